"""The web process: one uvicorn server in this very process, with an end in two steps.

SIGTERM starts the drain: for DRAIN_SECONDS requests are still taken while `/readyz` says 503, so that routers notice.
Then the socket closes, and requests in flight have GRACE_SECONDS to finish. A second signal ends the drain at once.
"""

import asyncio
import gc
import signal
import socket
from math import ceil
from types import FrameType

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .. import telemetry
from ..settings import Settings
from . import errors
from .app import create_app
from .context import Lifecycle

log = structlog.get_logger()

MAX_HEAD_BYTES = 65_536
# Longer than routers keep an idle connection, which is mostly a minute: a request that they send just as the connection
# is closed from here is lost, and they may not send it again.
KEEP_ALIVE_SECONDS = 75


class BoundedHead(HttpToolsProtocol):
    """Refuses a request line and headers without end, which the parser would keep in memory whatever their size."""

    _head_bytes = 0
    _in_head = False

    def on_message_begin(self) -> None:
        """Begins to count."""
        self._head_bytes, self._in_head = 0, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stops counting: the body has a limit of its own."""
        self._in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP request, which never reaches the application."""
        log.warning("request refused", reason=msg)
        telemetry.REQUESTS.labels("other", "unmatched", 400).inc()
        body = errors.problem(400, msg).body
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: {errors.MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(f"{head}connection: close\r\n\r\n".encode() + bytes(body))
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Hands data to the parser, as long as the head is not too large."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The request line and headers are too large.")


class Server(uvicorn.Server):
    """uvicorn, with a drain before its graceful shutdown."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, drain_seconds: float) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._drain_seconds = drain_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to listen, and says so."""
        await super().startup(sockets)
        if self.started:
            gc.freeze()  # what the boot has made stays, so it is never looked through
            gc.enable()
            log.info("listening", host=self.config.host, port=self.config.port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins the drain at the first signal; ends it at the second, and the wait for requests at the third."""
        if self._lifecycle.draining:
            self.force_exit = self.should_exit
            self.should_exit = True
            return
        self._lifecycle.draining = True
        self._loop.call_soon_threadsafe(self._drain, signal.Signals(sig).name)

    def _drain(self, reason: str) -> None:
        log.info("draining", signal=reason, seconds=self._drain_seconds)
        self._loop.call_later(self._drain_seconds, setattr, self, "should_exit", True)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves until told to stop."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)
        log.info("stopped")


def run(settings: Settings) -> int:
    """Runs web until it is told to stop; returns 0 when all that had begun was finished, and 1 otherwise."""
    lifecycle = Lifecycle()
    config = uvicorn.Config(
        create_app(settings, lifecycle),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=BoundedHead,
        ws="none",
        workers=1,  # a platform's WEB_CONCURRENCY does not change that: scale by starting more processes
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=ceil(settings.grace_seconds),
    )
    server = Server(config, lifecycle, settings.drain_seconds)
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        address = {"host": settings.host, "port": settings.port}
        log.critical("web cannot listen: change HOST or PORT", **address, reason=str(error))
        return 1
    server.run([listener])
    return 0 if server.started and not lifecycle.cut_off else 1
