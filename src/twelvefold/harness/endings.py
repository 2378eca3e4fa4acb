"""The orderly end of a process: when it came, counted from the signal."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress

from .claim import Violation
from .processes import PAUSE_SECONDS, Process


class Ending:
    """Tells a process to stop (SIGTERM) and watches it from then on, whatever else happens meanwhile."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.began = time.monotonic()
        self._ended: float | None = None
        self._watch = threading.Thread(target=self._look, daemon=True)
        with suppress(ProcessLookupError):
            process.signal(signal.SIGTERM)
        self._watch.start()

    def _look(self) -> None:
        while self.process.alive:
            time.sleep(PAUSE_SECONDS)
        self._ended = time.monotonic()

    @property
    def elapsed(self) -> float:
        """How many seconds ago the signal was sent."""
        return time.monotonic() - self.began

    def sleep_until(self, seconds: float) -> None:
        """Waits until so many seconds have passed since the signal."""
        time.sleep(max(0.0, seconds - self.elapsed))

    def seconds(self, limit: float) -> float:
        """How long after the signal it ended; waits somewhat longer than the limit, then raises Violation."""
        self._watch.join(max(0.0, limit + 3 - self.elapsed))
        if self._ended is None:
            raise Violation(
                f"{self.process.type} still ran {self.elapsed:.1f} s after SIGTERM, where {limit:g} s were due"
            )
        self.process.wait(5)
        return self._ended - self.began
