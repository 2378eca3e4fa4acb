"""Requests that have begun and are not answered yet: the answer is fetched later."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from . import http
from .claim import Violation
from .http import Response
from .processes import Process


@dataclass
class InFlight:
    """One request under way."""

    what: str
    """What it is, for the reader of a failure."""
    connection: HTTPConnection
    rest: bytes = b""
    """What of its body has not been sent yet."""

    def send_rest(self) -> None:
        """Sends what is left of the body; raises Violation when nobody takes it."""
        try:
            self.connection.send(self.rest)
        except http.NO_ANSWER as error:
            raise Violation(f"{self.what} was dropped before its body had arrived: {_name(error)}") from None

    def answer(self, seconds: float) -> Response:
        """Waits for the answer; raises Violation when there is none."""
        try:
            if self.connection.sock:
                self.connection.sock.settimeout(seconds)
            answer = self.connection.getresponse()
            return Response(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
        except http.NO_ANSWER as error:
            raise Violation(f"{self.what} was never answered: {_name(error)}") from None
        finally:
            self.connection.close()


def opened(process: Process, *, warm: str | None = None, timeout: float = 10) -> HTTPConnection:
    """A connection to a process that is kept alive; with `warm` it has carried one request for that path already.

    It is never opened anew behind the scenes. Raises Violation when it is not answered.
    """
    connection = HTTPConnection(process.host, int(process.port or 0), timeout=timeout)
    try:
        connection.connect()
        connection.auto_open = 0
        if warm is not None:
            connection.request("GET", warm)
            connection.getresponse().read()
    except http.NO_ANSWER as error:
        raise Violation(f"expected an answer from {process.type} at {warm}, saw {_name(error)}") from None
    return connection


def begin(what: str, connection: HTTPConnection, route: str, body: Any, *, sent: float = 1) -> InFlight:
    """Sends a request, and its body up to this share; raises Violation when nobody takes it."""
    method, _, path = route.partition(" ")
    data = json.dumps(body).encode()
    cut = round(len(data) * sent)
    try:
        connection.putrequest(method, path)
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(data)))
        connection.endheaders()
        connection.send(data[:cut])
    except http.NO_ANSWER as error:
        raise Violation(f"{what} was not taken: {_name(error)}") from None
    return InFlight(what, connection, data[cut:])


def _name(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()
