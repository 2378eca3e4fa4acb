"""The Pythons of this machine on which a generated service can be tried."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from hooks import interpreters


@cache
def real_interpreter(minor: str) -> Path | None:
    """An interpreter of a minor version such as "3.13" that really runs, for UV_PYTHON; none where there is none."""
    found = interpreters.find(minor)
    return Path(found) if found else None


def newest_of(minors: Iterable[str]) -> str | None:
    """The newest of some minor versions that this machine has."""
    newest_first = sorted(minors, key=lambda minor: [int(part) for part in minor.split(".")], reverse=True)
    return next((minor for minor in newest_first if real_interpreter(minor)), None)
