"""A week of the clock, let pass in a moment: whatever is due daily or weekly is due in it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from .claim import NotRun, Violation
from .deploy import Deploy
from .jobs import settled, waiting
from .moved_time import MovedTime, moved_time
from .processes import Process, eventually

A_DAY = 86_400
JUMPS = 1, 6  # the first one shows how many jobs a day brings
MANY = 100  # jobs of a day: then a week of them would take too long
DUE_SECONDS = 3.0
SETTLED_SECONDS = 0.4
DONE_SECONDS = 5.0


class Week:
    """A clock whose time can be moved, where there is one; every other process type is started as usual."""

    def __init__(self, deploy: Deploy) -> None:
        self._deploy = deploy
        self._clock = deploy.contract.clock
        self._moved: MovedTime | None = None
        if self._clock and self._clock.process in deploy.contract.processes:
            with suppress(NotRun):
                self._moved = deploy.stack.enter_context(moved_time(deploy, time.time()))

    def start(self, name: str, prefix: Sequence[str] = ()) -> Process:
        """Starts a process type, and waits for nothing."""
        if self._moved and self._clock and name == self._clock.process:
            return self._moved.start(name, prefix=prefix, **self._clock.nudge)
        return self._deploy.start(name, ready=False, prefix=prefix)

    def let_pass(self) -> str:
        """Moves the time, and gives the worker a while to do what is due; returns what was done of it."""
        if not self._moved:
            return "no clock's time was moved"
        for days in JUMPS:
            before = self._jobs()
            self._moved.move(self._moved.now() + days * A_DAY)
            with suppress(Violation):
                eventually(lambda before=before: self._jobs() != before, "a job", DUE_SECONDS)  # type: ignore[misc]
            if settled(self._jobs, SETTLED_SECONDS) - before > MANY:
                break
        if self._deploy.contract.jobs:
            with suppress(Violation):  # how long the jobs take is another claim's affair
                eventually(lambda: not waiting(self._deploy), "no job to wait", DONE_SECONDS, 0.1)
        return "a week of the clock"

    def _jobs(self) -> int:
        """How many jobs the clock has made."""
        return int(self._deploy.db.value(self._clock.jobs) or 0) if self._clock and self._clock.jobs else 0
