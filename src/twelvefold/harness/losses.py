"""What answers tell no more, once a cache has lost what it held."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from .caches import Cache
from .ledger import Ledger
from .processes import Process

ABOUT_THE_CACHE = re.compile(r"cach|ttl|age(?:_|$)|hits?(?:_|$)", re.IGNORECASE)
STEADY_SECONDS = 1.1  # what tells the time in seconds is another one after so long

Told = dict[tuple[str, str], Any]
"""The values in the answers, by the thing's identifier and the JSON pointer."""


def told(ledger: Ledger, web: Process) -> Told:
    """Reads every thing, and keeps all that is told of it, but for what is about the cache itself."""
    return {
        (made.id, place): value
        for made in ledger.there
        for place, value in _values(ledger.document(web, made))
        if not ABOUT_THE_CACHE.search(place)
    }


def _values(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _values(one, f"{place}/{name}")
    elif not isinstance(value, bool):  # whether something is so may change at any time
        yield place, value


def after_a_flush(cache: Cache, ledger: Ledger, web: Process) -> tuple[Told, list[str]]:
    """Empties the cache twice; returns what was told the same both times, and what was lost."""
    before = told(ledger, web)
    cache.flush()
    first = told(ledger, web)
    time.sleep(STEADY_SECONDS)
    cache.flush()
    second = told(ledger, web)
    steady = {key: second.get(key) for key in before if first.get(key) == second.get(key)}
    return steady, lost(before, steady)


def lost(before: Told, after: Told) -> list[str]:
    """What is told no more, or a number that has fallen, as people read it; something new is no loss."""
    return [
        f"{after[key]!r} at {key[1]}, which was {value!r}"
        for key, value in before.items()
        if key in after and _less(value, after[key])
    ]


def _less(before: Any, after: Any) -> bool:
    numbers = isinstance(before, int | float) and isinstance(after, int | float)
    return bool(before) and (not after or (numbers and after < before))
