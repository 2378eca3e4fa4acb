"""The web process: one uvicorn server in this very process, with an end in two steps.

SIGTERM starts the drain: for DRAIN_SECONDS requests are still taken while `/readyz` says 503, so that routers notice.
Then the socket closes, and requests in flight have GRACE_SECONDS to finish. A second signal ends the drain at once.
"""

import asyncio
import gc
import signal
from math import ceil
from types import FrameType

import structlog
import uvicorn

from ..settings import Settings
from .app import create_app
from .context import Lifecycle

log = structlog.get_logger()


class Server(uvicorn.Server):
    """uvicorn, with a drain before its graceful shutdown."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, drain_seconds: float) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._drain_seconds = drain_seconds

    async def startup(self, sockets: object = None) -> None:
        """Binds the port, and says so."""
        await super().startup()
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
        self._loop.call_later(self._drain_seconds, self._stop)

    def _stop(self) -> None:
        self.should_exit = True

    async def serve(self, sockets: object = None) -> None:
        """Serves until told to stop."""
        self._loop = asyncio.get_running_loop()
        await super().serve()
        log.info("stopped")


def run(settings: Settings) -> int:
    """Runs web until it is told to stop; returns 0 when all that had begun was finished, and 1 otherwise."""
    lifecycle = Lifecycle()
    config = uvicorn.Config(
        create_app(settings, lifecycle),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        workers=1,  # a platform's WEB_CONCURRENCY does not change that: scale by starting more processes
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        timeout_graceful_shutdown=ceil(settings.grace_seconds),
    )
    server = Server(config, lifecycle, settings.drain_seconds)
    server.run()
    return 0 if server.started and not lifecycle.cut_off else 1
