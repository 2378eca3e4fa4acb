"""Makes a service's derived files again, in a copy of what an update makes of it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .running import run_to_its_end
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
    inherited = {name: value for name, value in os.environ.items() if name not in LEADING_AWAY}
    try:
        ended = run_to_its_end(COMMAND, service, inherited, stderr=subprocess.STDOUT, seconds=TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotDerived(str(error)) from error
    if ended.returncode != 0:
        said = [line for line in ended.stdout.splitlines() if line.strip() and not line.startswith("make: ")]
        raise NotDerived(said[-1] if said else f"{' '.join(COMMAND)} ended with {ended.returncode}")
