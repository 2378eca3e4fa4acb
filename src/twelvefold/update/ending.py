"""Lets a command that was told to end do so in good order."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STOPPING = (signal.SIGINT, signal.SIGTERM)


class Ending:
    """Whether somebody wanted to stop the command while it could not be stopped."""

    def __init__(self) -> None:
        self.is_wanted = False

    def end_if_wanted(self) -> None:
        """Raises KeyboardInterrupt when somebody wanted to stop it."""
        if self.is_wanted:
            raise KeyboardInterrupt

    @contextmanager
    def scratch(self, prefix: str) -> Iterator[Path]:
        """A folder for as long as the block lasts; who stops the command while it is removed changes nothing."""
        folder = tempfile.mkdtemp(prefix=prefix)
        try:
            yield Path(folder).resolve()
        finally:
            with self._put_off():
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _put_off(self) -> Iterator[None]:
        def want(number: int, frame: object) -> None:
            self.is_wanted = True

        before = {number: signal.signal(number, want) for number in STOPPING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def ending_as_by_an_interrupt() -> Iterator[Ending]:
    """Lets SIGTERM end what runs as Ctrl-C does, so that it takes back what it has begun."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield Ending()
    finally:
        signal.signal(signal.SIGTERM, before)
