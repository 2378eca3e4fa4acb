"""What worker and clock share: signs of life, the operations port, and an end in time.

SIGTERM asks the work to end. What has begun may take GRACE_SECONDS to finish or to be returned; then the process ends
whatever it does, so that a platform need not kill it.
"""

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from types import FrameType
from typing import Any

import structlog

from . import operations, telemetry
from .health import heartbeat_file
from .resources import Resources, attached
from .settings import Settings

log = structlog.get_logger()

CANCEL_SECONDS = 0.2  # for a statement that the database is asked to end
LAST_WORDS_SECONDS = 0.2

Work = Callable[[Resources, asyncio.Event], Awaitable[bool]]


class Heartbeat:
    """Signs of life of the event loop: a file for the health command, a gauge, and a time for the operations port."""

    def __init__(self, process: str, settings: Settings) -> None:
        self.process = process
        self.interval = settings.heartbeat_seconds
        self._file = heartbeat_file(process, settings.heartbeat_dir)
        self._last = time.monotonic()

    @property
    def fresh(self) -> bool:
        """Whether the last sign is at most two intervals old."""
        return time.monotonic() - self._last <= 2 * self.interval

    async def beat(self) -> None:
        """Gives signs of life until it is cancelled; takes the file away then."""
        writable = True
        try:
            while True:
                self._last = time.monotonic()
                telemetry.HEARTBEAT.labels(self.process).set_to_current_time()
                try:
                    self._file.touch()
                except OSError as error:
                    if writable:
                        log.warning("no heartbeat for the health command", file=str(self._file), reason=str(error))
                    writable = False
                await asyncio.sleep(self.interval)
        finally:
            with suppress(OSError):
                self._file.unlink()


def run(process: str, settings: Settings, work: Work) -> int:
    """Runs `work` until it is told to stop; returns 0 when all that had begun was finished or returned, 1 otherwise."""
    return asyncio.run(_run(process, settings, work))


async def _run(process: str, settings: Settings, work: Work) -> int:
    stop = asyncio.Event()
    _stop_when_told(stop, settings.grace_seconds)
    heartbeat = Heartbeat(process, settings)
    async with AsyncExitStack() as stack:
        resources = await stack.enter_async_context(attached(settings))
        if settings.metrics_port:
            host, port = settings.host, settings.metrics_port
            try:
                stack.enter_context(operations.server(host, port, resources, heartbeat, stop))
            except OSError as error:
                log.critical(f"{process} cannot listen: change METRICS_PORT", host=host, port=port, reason=str(error))
                return 1
        beating = asyncio.create_task(heartbeat.beat())
        stack.callback(beating.cancel)
        gc.freeze()  # what the boot has made stays, so it is never looked through
        gc.enable()
        log.info("started")
        finished = await work(resources, stop)
    log.info("stopped")
    return 0 if finished else 1


async def end(task: asyncio.Task[Any]) -> None:
    """Cancels a task and waits for its end, so that it has nothing more to say afterwards."""
    for _ in range(2):  # the second time it no longer waits for an answer of the database
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_SECONDS)


def _stop_when_told(stop: asyncio.Event, grace_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    last_resort: threading.Timer | None = None

    # Not the loop's own handlers: those never run while a job blocks the loop.
    def told(number: int, _: FrameType | None) -> None:
        nonlocal last_resort
        if last_resort:
            return
        last_resort = threading.Timer(grace_seconds, _end_now)
        last_resort.daemon = True
        last_resort.start()
        loop.call_soon_threadsafe(stopping, signal.Signals(number).name)

    # Written by the loop: the handler may have interrupted an event that is just being written.
    def stopping(name: str) -> None:
        log.info("stopping", signal=name, seconds=grace_seconds)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)


def _end_now() -> None:
    text = "cut off: the grace time is over, and what was running starts again elsewhere"
    last_words = threading.Thread(target=log.error, args=(text,), daemon=True)
    last_words.start()
    last_words.join(LAST_WORDS_SECONDS)  # nobody may be reading
    os._exit(1)
