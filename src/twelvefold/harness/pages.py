"""The pages of a list: how to ask for a few things at a time, and for those that follow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from . import api, http
from .api import Api
from .deploy import Deploy
from .http import Response
from .processes import Process

# What says how many things a page has, and which page it is, where no document tells.
USUAL = ("limit", "page_size", "per_page", "size", "page", "offset")
NEXT = re.compile(r"next|cursor|token", re.IGNORECASE)
NEXT_IN_HEADER = re.compile(r'<([^>]*)>[^,<]*\brel="?next\b')
PARTS = 3  # into so many pages a list is cut
SPARE = 10  # things that somebody else may have created meanwhile

Ask = Callable[[str, int], Response]
Following = Callable[[Response, str, int, int], str | None]
"""The path of the page after an answer, given the path of the first, the size, and how many pages there were so far."""


@dataclass(frozen=True)
class Pages:
    """How a list is read to its end."""

    first: str
    """The path of the first page, up to how many things it has."""
    most: int
    """So many are on a page at most."""
    following: Following
    numbered: bool
    """Whether the client counts: then nothing in an answer says that it is the last."""

    def read(self, ask: Ask, things: int) -> Iterator[str]:
        """The texts of all pages of a list of so many things; `ask` is told how many came before."""
        size = min(self.most, things // PARTS + 1)
        first = path = f"{self.first}{size}"
        for number in range((things + SPARE) // size + 1 if self.numbered else things + SPARE):
            response = ask(path, number)
            if number and self.numbered and 400 <= response.status < 500:
                return  # behind the last page
            yield response.text
            following = self.following(response, first, size, number + 1)
            if not following:
                return
            path = following


def learn(deploy: Deploy, web: Process, markers: Sequence[str]) -> Pages | None:
    """Tries how the list gives one thing alone, and then another one; None when there is no such way.

    What is named as in the OpenAPI document, or as usual, counts only if the answers show that it does just that.
    """
    known = parameters(deploy, web)
    for size, most in ((name, most) for name, most in known.items() if most):
        begun = _with(_path(deploy), size, "")
        first = web.get(f"{begun}1")
        if len(shown := _shown(first, markers)) != 1:
            continue
        others = {name: number for name, number in known.items() if name != size}
        for following, numbered in _ways(first, others):
            path = following(first, f"{begun}1", 1, 1)
            if path and len(second := _shown(web.get(path), markers)) == 1 and second != shown:
                return Pages(begun, most, following, numbered)
    return None


def short(deploy: Deploy, web: Process) -> list[str]:
    """The paths that ask for lists of one thing, as far as anybody can tell."""
    if not deploy.contract.thing or not deploy.thing.list:
        return []
    return [_with(_path(deploy), name, "1") for name, most in parameters(deploy, web).items() if most]


def parameters(deploy: Deploy, web: Process) -> dict[str, int]:
    """The names of the list's parameters; with each the largest number that it may be, and 0 if it may be none."""
    document = api.known(deploy, web)
    operation = document.operation(str(deploy.thing.list)) if document else None
    if document is None or operation is None:
        return dict.fromkeys(USUAL, 100)
    found = [document.followed(one) for one in operation.parameters]
    return {one["name"]: _largest(document, one.get("schema")) for one in found if one.get("in") == "query"}


def _largest(document: Api, value: Any) -> int:
    schema = document.followed(value)
    if not isinstance(schema, Mapping):
        return 0
    kinds = schema.get("type")
    if kinds == "integer" or (isinstance(kinds, list) and "integer" in kinds):
        return int(schema.get("maximum", 100))
    return max((_largest(document, one) for one in schema.get("anyOf", [])), default=0)


def _path(deploy: Deploy) -> str:
    return str(deploy.thing.list).partition(" ")[2]


def _with(path: str, name: str, value: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{quote(name)}={quote(value)}"


def _shown(response: Response, markers: Sequence[str]) -> set[str]:
    return {one for one in markers if one in response.text} if response.status == 200 else set()


def _ways(first: Response, others: Mapping[str, int]) -> Iterator[tuple[Following, bool]]:
    """All that may lead to the page after the first one, and whether it is counting."""
    yield _linked, False
    for place in _tokens(_json(first)):
        for name in others:
            yield partial(_told, place, name), False
    for name in (name for name, most in others.items() if most):
        for begin in (0, 1):  # a service that counts from 1 gives the first page again for 1
            yield partial(_counted, name, begin), True


def _linked(response: Response, first: str, size: int, number: int) -> str | None:
    links = NEXT_IN_HEADER.findall(response.headers.get("link", ""))
    links += [str(_at(_json(response), place)) for place in _tokens(_json(response))]
    for link in (link for link in links if "?" in link):
        parts = urlsplit(urljoin(first, link))
        return f"{parts.path}?{parts.query}"
    return None


def _told(place: str, name: str, response: Response, first: str, size: int, number: int) -> str | None:
    token = _at(_json(response), place)
    return None if token in (None, "", False) else _with(first, name, str(token))


def _counted(name: str, begin: int, response: Response, first: str, size: int, number: int) -> str:
    return _with(first, name, str(begin + number if "page" in name.lower() else begin + number * size))


def _tokens(value: Any, place: str = "") -> Iterator[str]:
    """Where an answer tells of the next page; what is in lists are the things themselves."""
    for name, one in value.items() if isinstance(value, dict) else ():
        below = f"{place}/{name.replace('~', '~0').replace('/', '~1')}"
        if isinstance(one, dict):
            yield from _tokens(one, below)
        elif isinstance(one, str | int) and not isinstance(one, bool) and NEXT.search(below):
            yield below


def _at(document: Any, place: str) -> Any:
    with suppress(LookupError):
        return http.pointer(document, place)
    return None


def _json(response: Response) -> Any:
    with suppress(ValueError):
        return response.json()
    return None
