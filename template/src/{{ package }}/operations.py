"""The operations port of worker and clock: /livez, /readyz and /metrics on METRICS_PORT.

Threads of its own answer, so that it also tells of an event loop that hangs.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any, NamedTuple

from . import identity, telemetry

if TYPE_CHECKING:
    from .process import Heartbeat
    from .resources import Resources

ANSWER_SECONDS = 3.0  # how long the event loop may take to answer
LOOK_SECONDS = 0.1  # how often the port looks whether it is to close


class Answer(NamedTuple):
    """What is sent back."""

    status: int
    body: bytes
    content_type: str = "application/json"


Answers = dict[str, Callable[[], Coroutine[Any, Any, Answer]]]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_port = False  # two processes that share a port would answer for each other

    def server_bind(self) -> None:
        """Does not look its own name up, which can take long where there is no name server."""
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: a client that goes away is no event."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10

    def __init__(self, answers: Answers, loop: asyncio.AbstractEventLoop, *arguments: Any) -> None:
        self._answers = answers
        self._loop = loop
        super().__init__(*arguments)

    def do_GET(self) -> None:
        status, body, content_type = self._answer(self.path.partition("?")[0])
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, path: str) -> Answer:
        if path not in self._answers:
            return Answer(404, b'{"title": "Not Found", "status": 404}', "application/problem+json")
        answer = asyncio.run_coroutine_threadsafe(self._answers[path](), self._loop)
        try:
            return answer.result(ANSWER_SECONDS)
        except TimeoutError:
            answer.cancel()
            if path == "/metrics":  # what is counted is still told, the heartbeat's age above all
                return Answer(200, telemetry.exposition(), telemetry.CONTENT_TYPE)
            return Answer(503, json.dumps({"status": "hangs"}).encode())

    def log_message(self, *_: Any) -> None:
        """Says nothing: those who ask do so every few seconds."""


@contextmanager
def server(host: str, port: int, resources: Resources, heartbeat: Heartbeat, stop: asyncio.Event) -> Iterator[None]:
    """Answers on the port; raises OSError when it is taken."""

    async def livez() -> Answer:
        who = {"service": identity.SERVICE, "version": identity.VERSION, "commit": identity.commit()}
        alive = heartbeat.fresh
        return Answer(200 if alive else 503, json.dumps({"status": "alive" if alive else "hangs", **who}).encode())

    async def readyz() -> Answer:
        readiness = await resources.readiness(draining=stop.is_set())
        return Answer(200 if readiness["status"] == "ready" else 503, json.dumps(readiness).encode())

    async def metrics() -> Answer:
        await resources.measure()
        return Answer(200, telemetry.exposition(), telemetry.CONTENT_TYPE)

    answers: Answers = {"/livez": livez, "/readyz": readyz, "/metrics": metrics}
    _Server.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with _Server((host, port), partial(_Handler, answers, asyncio.get_running_loop())) as listening:
        threading.Thread(target=listening.serve_forever, args=(LOOK_SECONDS,), daemon=True).start()
        try:
            yield
        finally:
            listening.shutdown()
