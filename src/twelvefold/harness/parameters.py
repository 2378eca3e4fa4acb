"""Parameters of a query that only the code knows, and that change what is answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from .api import Api
from .cardinality import AT_A_TIME
from .fuzz import filled
from .http import Response
from .processes import Process
from .traffic import ask


def hidden(process: Process, document: Api, ids: dict[str, str], names: Iterable[str]) -> Iterator[str]:
    """The documented paths with a parameter that is not documented and brings something new into the answer."""
    for operation in document.operations:
        if operation.method != "GET" or ("{" in operation.path and operation.path not in ids):
            continue
        known = {str(document.followed(one).get("name")) for one in operation.parameters}
        path, tried = filled(operation.path, ids), [name for name in names if name not in known]
        usual = _parts(_asked(process, path, []))
        parts = [tried[first : first + AT_A_TIME] for first in range(0, len(tried), AT_A_TIME)]
        suspects = [part for part in parts if _parts(_asked(process, path, part)) - usual]
        for name in (name for part in suspects for name in part):
            if _parts(_asked(process, path, [name])) - usual:
                yield f"{path}?{name}=1"


def _asked(process: Process, path: str, names: list[str]) -> Response | None:
    query = f"?{urlencode(dict.fromkeys(names, 1))}" if names else ""
    return ask(process, "GET", f"{path}{query}").response


def _parts(answer: Response | None) -> set[str]:
    """What an answer that was given is made of: its kind, and the names in it. A refusal is made of nothing."""
    if answer is None or answer.status >= 400:
        return set()
    found = {answer.headers.get("content-type", "").partition(";")[0]}
    with suppress(ValueError):
        found |= set(_names(answer.json()))
    return found


def _names(value: Any, place: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield f"{place}/{name}"
            yield from _names(one, f"{place}/{name}")
    elif isinstance(value, list):
        for one in value:
            yield from _names(one, f"{place}/-")
