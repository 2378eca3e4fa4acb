"""What a safe update costs, beside the plain one that it takes the place of."""

import os
import sys
import tempfile
from pathlib import Path

import copier

from hooks.releases import releases, tag_missing
from tests import copies

from .figure import Figure, Result, in_turn
from .processes import cpu_seconds_of

RATIO = 0.8
NEXT = "999.0.0"
SAFE = ("twelvefold", "update", "--yes")
PLAIN = ("copier", "update", "--defaults", "--quiet")


def update(_: Path, pairs: int) -> Result:
    """The CPU time of `twelvefold update` from the last release to what lies here, over that of `copier update`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        service = _service_of_the_last_release(folder)
        cpu = in_turn(pairs, lambda: _cpu_seconds(service, SAFE), lambda: _cpu_seconds(service, PLAIN))
    return Result(
        f"{cpu.ratio:.2f}",
        cpu.ratio <= RATIO,
        cpu.spread,
        [f"Updating: {cpu.medians('ms', 1000)} of CPU."],
    )


FIGURES = {
    "update": Figure(
        "CPU of a safe update of the default service, over plain `copier update`",
        f"<= {RATIO}",
        update,
        times=9,
        hurried=3,
    ),
}


def _service_of_the_last_release(folder: Path) -> Path:
    """A service whose template has what lies here as its next release."""
    released = folder / "twelvefold"
    copies.git(copies.ROOT, "clone", "--quiet", copies.ROOT, released)
    tag_missing(released)
    last = releases(released)[-1].tag
    copies.clone_work_tree(released, NEXT)
    service = folder / "service"
    copier.run_copy(str(released), service, vcs_ref=last, defaults=True, quiet=True)
    copies.commit(service, "Begin the service")
    return service


def _cpu_seconds(service: Path, command: tuple[str, ...]) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = folder / "settings.yml"
        settings.write_text("{}\n")  # not the user's own
        copy = folder / "orders"
        copies.git(folder, "clone", "--quiet", service, copy)
        environment = {**os.environ, "COPIER_SETTINGS_PATH": str(settings), "PYTHONPATH": str(copies.ROOT / "src")}
        seconds = cpu_seconds_of((sys.executable, "-m", *command), environment, copy)
        if copies.answers(copy)["_commit"] != f"v{NEXT}":
            raise RuntimeError(f"{' '.join(command)} did not update")
        return seconds
