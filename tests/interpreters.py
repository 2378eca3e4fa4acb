"""Interpreters that really run: version managers put scripts on PATH that only say "command not found"."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

INSTALLED = (
    "~/.pyenv/versions/{minor}.*/bin/python{minor}",
    "~/.asdf/installs/python/{minor}.*/bin/python{minor}",
    "~/.local/share/mise/installs/python/{minor}.*/bin/python{minor}",
    "~/.local/share/uv/python/cpython-{minor}.*/bin/python{minor}",
    "/opt/hostedtoolcache/Python/{minor}.*/*/bin/python{minor}",
    "/opt/homebrew/opt/python@{minor}/bin/python{minor}",
)
WHO = "import sys; print('%d.%d' % sys.version_info[:2], getattr(sys, '_base_executable', sys.executable))"


@cache
def real_interpreter(minor: str) -> Path | None:
    """The path of an interpreter of a minor version such as "3.13", for uv's UV_PYTHON; none when there is none here."""
    for candidate in _candidates(minor):
        if found := _runs(candidate, minor):
            return found
    return None


def newest_of(minors: Iterable[str]) -> str | None:
    """The newest of some minor versions that this machine has."""
    for minor in sorted(minors, key=_as_numbers, reverse=True):
        if real_interpreter(minor):
            return minor
    return None


def _candidates(minor: str) -> Iterator[Path]:
    if "%d.%d" % sys.version_info[:2] == minor:
        yield Path(sys.executable)
    for folder in os.get_exec_path():
        yield Path(folder, f"python{minor}")
        yield Path(folder, "python3")
    for pattern in INSTALLED:
        inside = Path(pattern.format(minor=minor)).expanduser().relative_to("/")
        yield from sorted(Path("/").glob(str(inside)), reverse=True)


def _runs(candidate: Path, minor: str) -> Path | None:
    try:
        said = subprocess.run([candidate, "-c", WHO], capture_output=True, encoding="utf-8", timeout=30, check=False)
    except OSError:
        return None
    version, _, path = said.stdout.strip().partition(" ")
    return Path(path) if said.returncode == 0 and version == minor else None


def _as_numbers(minor: str) -> tuple[int, ...]:
    return tuple(int(part) for part in minor.split("."))
