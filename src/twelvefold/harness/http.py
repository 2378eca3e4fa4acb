"""A client that asks as the world does: one connection a request, no redirects, no retries."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException
from typing import Any

from .claim import Violation

NOT_KEPT = re.compile(r"\bno-(?:store|cache)\b")
AGES = re.compile(r"\b(?:s-maxage|max-age)\s*=\s*\"?(\d+)")
NO_ANSWER = OSError, HTTPException


@dataclass(frozen=True)
class Response:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    @property
    def fresh_seconds(self) -> float:
        """For how long whoever has it may give it to others, without asking again (RFC 9111); 0 if nothing is said."""
        said = self.headers.get("cache-control", "").lower()
        if NOT_KEPT.search(said):
            return 0
        if told := AGES.findall(said):
            return float(max(map(int, told)))
        with suppress(ValueError, KeyError, TypeError):
            expires, date = (parsedate_to_datetime(self.headers[name]) for name in ("expires", "date"))
            return max(0.0, (expires - date).total_seconds())
        return 0

    def json(self) -> Any:
        """The body as JSON; raises ValueError when it is none."""
        return json.loads(self.body)


def request(
    port: int,
    method: str,
    path: str,
    *,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    host: str = "127.0.0.1",
    source: str = "",
    timeout: float = 10,
) -> Response:
    """Asks once, from the address `source` if there is one; raises one of NO_ANSWER when there is no answer in time."""
    connection = HTTPConnection(host, port, timeout=timeout, source_address=(source, 0) if source else None)
    given = dict(headers or {})
    data = body
    if body is not None and not isinstance(body, bytes):
        data = json.dumps(body).encode()
        given.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, path, data, given)
        answer = connection.getresponse()
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@contextmanager
def answered(who: str) -> Iterator[None]:
    """Takes a missing answer for a Violation, where one is owed."""
    try:
        yield
    except NO_ANSWER as error:
        raise Violation(f"expected {who} to answer, saw {type(error).__name__}: {error}") from None


def pointer(document: Any, path: str) -> Any:
    """What a JSON pointer names (RFC 6901); raises LookupError where there is nothing."""
    for part in path.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        try:
            document = document[int(name) if isinstance(document, list) else name]
        except (TypeError, ValueError, KeyError, IndexError):
            raise LookupError(f"nothing at {path}") from None
    return document
