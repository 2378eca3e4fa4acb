"""A Docker engine for the tests: the one that is here, or one that is started for them and leaves nothing behind.

Where `docker` reaches an engine with buildx and compose, that one is used, and pulls the base images itself. Elsewhere
root on Debian gets a private one (`daemon.py`), with stand-ins for the base images (`stand_ins.py`): it serves on a
machine without a registry too. To use a private one many times:

    eval "$(python -m tests.engine up FOLDER SERVICE)"      and later      python -m tests.engine down FOLDER
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import daemon, stand_ins
from .daemon import Engine, NoEngine

__all__ = ["PROGRAMS", "Engine", "NoEngine", "engine_for"]

# Where the programs of a private engine are kept between runs; git ignores it.
PROGRAMS = Path(__file__).resolve().parents[2] / ".tools" / "engine"


@contextmanager
def engine_for(service: Path) -> Iterator[Engine]:
    """An engine that can build and run a service.

    Raises NoEngine, which says what is missing.
    """
    here = Engine(dict(os.environ), private=stand_ins.VARIABLE in os.environ)
    if daemon.usable(here):
        if here.private:
            stand_ins.load(here, service)
        yield here
        return
    # A short path, for those of sockets are limited.
    with tempfile.TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True) as folder:
        started = daemon.start(Path(folder), PROGRAMS, with_parent=True)
        try:
            stand_ins.load(started, service)
            yield started
        finally:
            daemon.stop(Path(folder), PROGRAMS)
