"""A thousand requests of which no two are alike, in whatever a careless label might be made of."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode
from uuid import UUID

from .http import NO_ANSWER
from .routes import sources

SEED = 12
METHODS = ("GET", "GET", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
# Methods that parsers know, and words that only some of them let pass.
RARE = """
    PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK SEARCH REPORT MERGE CHECKOUT NOTIFY SUBSCRIBE UNSUBSCRIBE PURGE
    LINK UNLINK ACL BIND REBIND UNBIND MKACTIVITY MKCALENDAR SOURCE M-SEARCH TRACE QUERY
""".split()
# What code may ask a request for: a text in quotes, a property of a query, a parameter that is a text.
NAME = re.compile(
    r"""["']([A-Za-z][\w-]{1,39})["'] | \bquery\.([A-Za-z]\w*) | \b([a-z]\w*):\ (?:Annotated\[)?str\b""",
    re.ASCII | re.VERBOSE,
)
# Headers that say how a message is to be read, or whether it is to be answered at all.
OF_THE_MESSAGE = re.compile(
    r"content-|transfer-|if-|host$|connection$|expect$|upgrade$|te$|trailer$|range$|keep-alive$"
)
MOST_NAMES = 800
AT_A_TIME = 40  # more headers than a hundred are too many for some servers


@dataclass(frozen=True)
class Whim:
    """A request like no other."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    client: str = "127.0.0.1"
    """The address that it comes from."""


def whims(number: int, collections: tuple[str, ...], seed: int = SEED) -> Iterator[Whim]:
    """So many requests; `collections` are paths below which identifiers lie."""
    chance = random.Random(seed)
    for turn in range(number):
        word = f"{chance.getrandbits(64):016x}"
        path = _path(chance, turn, word, collections)
        rare = RARE[turn // 20 % len(RARE)] if turn % 20 == 10 else f"X{word[:6].upper()}"
        method = rare if turn % 10 == 0 else METHODS[turn % len(METHODS)]
        body = None if method in ("GET", "HEAD") else b" " * chance.randrange(2000)
        yield Whim(method, path, _headers(chance, word), body, f"127.0.{chance.randrange(1, 250)}.{turn % 250 + 1}")


def _path(chance: random.Random, turn: int, word: str, collections: tuple[str, ...]) -> str:
    collection = collections[turn % len(collections)] if collections else "/x"
    paths = (
        f"/{word}",
        f"/{word}/{chance.randrange(10**6)}",
        f"{collection}/{UUID(int=chance.getrandbits(128), version=4)}",
        f"{collection}/{word}",
        f"{collection}?limit={chance.randrange(1, 99)}&{word}={word}",
        f"{collection}/{chance.randrange(10**9)}?x={word}",
        f"/%{chance.randrange(16, 100)}{word}",
    )
    return paths[turn % len(paths)]


def _headers(chance: random.Random, word: str) -> dict[str, str]:
    return {
        **remarks(word),
        "Host": f"{word}.example",
        "Accept-Language": word[:2],
        "Content-Type": f"application/x-{word}",
        "Cookie": f"session={word}",
        "Authorization": f"Bearer {word}",
        "Origin": f"https://{word}.example",
        "X-Forwarded-For": f"10.{chance.randrange(250)}.{chance.randrange(250)}.7",
        **{f"X-{name}": word for name in ("Tenant-ID", "User-ID", "Api-Key")},
    }


def names_in(folders: Iterable[Path]) -> list[str]:
    """The names of headers and of parameters that the code in some folders may read, whatever it makes of them."""
    found = dict.fromkeys("".join(groups) for _, text in sources(folders) for groups in NAME.findall(text))
    return list(found)[:MOST_NAMES]


def with_values(path: str, names: Iterable[str], word: str) -> Whim:
    """A request that has a value of its own under each of these names, in its query and as a header."""
    query = {name: f"{word}-{name}" for name in names}
    headers = {name.lower().removeprefix("http_").replace("_", "-"): value for name, value in query.items()}
    kept = {name: value for name, value in headers.items() if not OF_THE_MESSAGE.match(name)}
    return Whim("GET", f"{path}?{urlencode(query)}", kept)


def remarks(word: str) -> dict[str, str]:
    """Headers that change nothing of what is asked for."""
    told = {"User-Agent": f"{word}/1.0", "Referer": f"https://{word}.example/{word}"}
    return {**told, "X-Request-ID": word, "X-Client-Version": word}


def send(port: int, whim: Whim, timeout: float = 10) -> int:
    """Sends it; returns the status of the answer, 0 without one."""
    with suppress(*NO_ANSWER):
        connection = HTTPConnection("127.0.0.1", port, timeout=timeout, source_address=(whim.client, 0))
        try:
            connection.request(whim.method, whim.path, whim.body, whim.headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()
    return 0
