"""What several test modules use: the template as a released repository, and one service made from it.

pytest-copier's own `copier` fixture (it trusts the template, and knows one tag) works on the same repository. The
functions in `copies.py` trust nobody and know releases.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pytest_gitconfig.plugin import GitConfig
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # it has no types

from . import copies
from .engine import Engine, NoEngine, engine_for

# Services as others write them, with tests that need packages of theirs.
collect_ignore = ["foreign"]

GATE, ROOM = Path(__file__), Path(__file__).with_name("__init__.py")


# These begin first, since they take longest; an engine is only in one process, for two would share a network.
ENGINE = "test_image.py", "test_prove_image.py", "test_releases_of_a_service.py"
LONG = (
    "test_matrix.py",
    "test_prove.py",
    *ENGINE,
    "test_long_life.py",
    "test_foreign.py",
    "test_update.py",
    "test_safe_update.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets the files that take long begin first."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Has each file run in one process, so that what its tests share is made once."""
    return ByFile(config, log)


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # a class without types
    """Each file in one process, and those that need an engine all in the same."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "engine" if Path(file).name in ENGINE else file


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Any:
    """Keeps the machine free of other tests for one that is marked `alone`, since it looks at how long things take."""
    alone = item.get_closest_marker("alone") is not None
    # Whoever waits to be alone holds the gate, so that the others do not keep coming in.
    with locked(GATE, fcntl.LOCK_EX) as gate, locked(ROOM, fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
        if not alone:
            fcntl.flock(gate, fcntl.LOCK_UN)
        return (yield)


@contextmanager
def locked(file: Path, how: int) -> Iterator[int]:
    """Holds a lock on a file that is there anyway."""
    opened = os.open(file, os.O_RDONLY)
    try:
        fcntl.flock(opened, how)
        yield opened
    finally:
        os.close(opened)


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_this_machine(tmp_path_factory: pytest.TempPathFactory, sessionpatch: pytest.MonkeyPatch) -> None:
    """Gives Copier empty settings, so that it trusts no template and knows no answer, and a cache of its own."""
    folder = tmp_path_factory.mktemp("copier")
    (folder / "settings.yml").write_text("{}\n")
    sessionpatch.setenv("COPIER_SETTINGS_PATH", str(folder / "settings.yml"))
    sessionpatch.setenv("COPIER_CACHE_DIR", str(folder / "cache"))


@pytest.fixture(scope="session", autouse=True)
def one_cache_of_mypy(tmp_path_factory: pytest.TempPathFactory, sessionpatch: pytest.MonkeyPatch) -> None:
    """Lets all services share what mypy knows of their packages: it goes by contents, and is most of a check's time."""
    sessionpatch.setenv("MYPY_CACHE_DIR", str(tmp_path_factory.mktemp("mypy")))


@pytest.fixture(scope="session")
def copier_template(tmp_path_factory: pytest.TempPathFactory, default_gitconfig: GitConfig) -> Path:
    """The template as it lies here, committed and tagged as v0.1.0. Not to be changed: `git clone` it for that."""
    return copies.clone_work_tree(tmp_path_factory.mktemp("template") / "twelvefold")


@pytest.fixture(scope="session")
def default_service(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service `orders` with default answers, set up and committed. Not to be changed: `git clone` it for that.

    Only its Python may differ from the default: it is the newest one here where the default one is not on this machine.
    """
    service = tmp_path_factory.mktemp("default") / "orders"
    copies.generate_committed(copier_template, service, python=copies.default_python())
    copies.make(service, "setup")
    copies.commit(service, "Lock the packages")
    return service


@pytest.fixture(scope="module")
def engine(default_service: Path) -> Iterator[Engine]:
    """A container engine; without one, what needs it says that it did not run."""
    try:
        with engine_for(default_service) as found:
            yield found
    except NoEngine as reason:
        pytest.skip(f"nothing was built or run: {reason}")
