"""Makes a service's derived files again, in a copy of what an update makes of it."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .trees import Tree

COMMAND = ("make", "setup", "derive")
NOT_MADE = ("TWELVE_FACTOR.md",)  # by the experiments, which take minutes
TIMEOUT_SECONDS = 600

# What would bind the commands to another environment, to the make that runs this, or to a lock that is older.
LEADING_AWAY = "CI", "GNUMAKEFLAGS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "UV_FROZEN", "UV_LOCKED", "VIRTUAL_ENV"


@dataclass(frozen=True)
class Derived:
    """The files with the derived ones made again, if that was wanted and worked."""

    tree: Tree = field(default_factory=dict)
    done: bool = False
    left_yours: list[str] = field(default_factory=list)
    """What the commands would have made, and is the team's own."""
    why_not: str = ""


class NotDerived(Exception):
    """The files could not be made; the text says why."""


def derive(service: Path) -> None:
    """Lets a service make its derived files. Raises NotDerived."""
    try:
        code, output = _run(service)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotDerived(str(error)) from error
    if code != 0:
        said = [line for line in output.splitlines() if line.strip() and not line.startswith("make: ")]
        raise NotDerived(said[-1] if said else f"{' '.join(COMMAND)} ended with {code}")


def _run(service: Path) -> tuple[int, str]:
    """Runs the command; whatever ends this before, such as Ctrl-C, ends all that the command has started."""
    inherited = {name: value for name, value in os.environ.items() if name not in LEADING_AWAY}
    with subprocess.Popen(
        COMMAND,
        cwd=service,
        env=inherited,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=TIMEOUT_SECONDS)
        except BaseException:
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, output
