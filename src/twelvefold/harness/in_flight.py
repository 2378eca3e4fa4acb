"""Requests that have begun and are not answered yet: the answer is fetched later."""

from __future__ import annotations

import json
import select
import socket
from contextlib import suppress
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
            self.connection.send(self.rest) if self.rest else None
        except http.NO_ANSWER as error:
            raise Violation(f"{self.what} was dropped before its body had arrived: {_name(error)}") from None

    @property
    def is_read(self) -> bool:
        """Whether the server has said that it reads the body."""
        with suppress(*http.NO_ANSWER):
            if self.connection.sock and select.select([self.connection.sock], [], [], 0)[0]:
                return b" 100 " in self.connection.sock.recv(32, socket.MSG_PEEK)
        return False

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


def opened(process: Process, *, warm: str | None = None, timeout: float = 10) -> HTTPConnection | None:
    """A connection to a process, never opened anew behind the scenes; with `warm` it has carried one request already.

    None where the server does not keep connections. Raises Violation when it does not answer.
    """
    connection = HTTPConnection(process.host, int(process.port or 0), timeout=timeout)
    try:
        connection.connect()
        if warm is not None:
            connection.request("GET", warm)
            connection.getresponse().read()
    except http.NO_ANSWER as error:
        raise Violation(f"expected an answer from {process.type} at {warm}, saw {_name(error)}") from None
    connection.auto_open = 0
    return connection if connection.sock else None


def begin(what: str, connection: HTTPConnection, route: str, body: Any, *, sent: float = 1) -> InFlight:
    """Sends a request, and its body up to this share; raises Violation when nobody takes it.

    With a part of the body, it asks to be told when the server begins to read it.
    """
    method, _, path = route.partition(" ")
    data = json.dumps(body).encode()
    cut = round(len(data) * sent)
    try:
        connection.putrequest(method, path)
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(data)))
        if sent < 1:
            connection.putheader("Expect", "100-continue")
        connection.endheaders()
        connection.send(data[:cut])
    except http.NO_ANSWER as error:
        raise Violation(f"{what} was not taken: {_name(error)}") from None
    return InFlight(what, connection, data[cut:])


def _name(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()
