"""Runs git. Names of files are text whose odd bytes survive (`os.fsdecode`); contents are bytes."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

OLDEST = (2, 38)  # the first that merges without a work tree

# What would lead git to another repository than the one that is meant, as when an update is started by a git hook.
LEADING_AWAY = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)
# File descriptors that git commands hold open too, so that who waits for their end waits for git as well.
KEPT_OPEN: set[int] = set()
SURROUNDINGS = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}  # what git says is read
# Nothing of the team's runs, and looking changes nothing.
SETTINGS = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "-c", "core.quotePath=false")


class Refusal(Exception):
    """Nothing was done, and why; the text is for the person at the terminal and tells how to mend it."""


class Stopped(Refusal):
    """A person stopped it."""


class GitError(Exception):
    """A git command failed; the text is what it said."""


def git(
    folder: Path, *arguments: str, stdin: bytes | None = None, env: Mapping[str, str] | None = None, may_exit: int = 0
) -> bytes:
    """What a git command prints; raises GitError unless it exits with 0 or with `may_exit`."""
    inherited = {name: value for name, value in os.environ.items() if name not in LEADING_AWAY}
    done = subprocess.run(
        ["git", *SETTINGS, *arguments],
        cwd=folder,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        env={**inherited, **SURROUNDINGS, **(env or {})},
        capture_output=True,
        pass_fds=tuple(KEPT_OPEN),
        check=False,
    )
    if done.returncode not in (0, may_exit):
        said = os.fsdecode(done.stderr).strip() or os.fsdecode(done.stdout).strip()
        raise GitError(f"git {arguments[0]}: {said}" if said else f"git {arguments[0]} ended with {done.returncode}")
    return done.stdout


def say(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """What a git command prints, as one text without the last newline."""
    return os.fsdecode(git(folder, *arguments, env=env)).removesuffix("\n")


def succeeds(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> bool:
    """Whether a git command exits with 0."""
    try:
        git(folder, *arguments, env=env)
    except GitError:
        return False
    return True


def listed(output: bytes) -> list[str]:
    """The parts of an output of `-z`."""
    return [os.fsdecode(part) for part in output.split(b"\0") if part]


def require_git() -> None:
    """Raises Refusal where there is no git, or one that cannot merge what an update merges."""
    try:
        version = say(Path(), "version")
    except FileNotFoundError:
        raise Refusal("git is missing: install it, then run this again.") from None
    numbers = re.search(r"(\d+)\.(\d+)", version)
    if numbers is None or tuple(map(int, numbers.groups())) < OLDEST:
        raise Refusal(f"This is {version}, and an update needs git {OLDEST[0]}.{OLDEST[1]} or newer.")
