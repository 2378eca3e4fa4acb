"""Lets a command that was told to end do so in good order."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ending_as_by_an_interrupt() -> Iterator[None]:
    """Lets SIGTERM end what runs as Ctrl-C does, so that it takes back what it has begun."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
