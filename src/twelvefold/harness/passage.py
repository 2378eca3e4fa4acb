"""Lets the time of running processes pass, so that they do what is only done now and then.

Whoever makes up for what was due does so for some hours at most, or for every single time that was missed. So each due
time is met that is known, since its schedule stands in the code; and no clock is there while time leaps further than a
day: it is started anew just before what is due.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from . import cron
from .claim import NotRun, Violation, expect
from .deploy import Deploy
from .jobs import settled
from .moved_time import MovedTime, moved_time
from .processes import END_SECONDS, Process, eventually
from .rollback import texts

A_DAY = 86_400
OLD_DAYS = 400
FEW = 3
LEAD_SECONDS = 60
WAKE_SECONDS = 0.4  # within which whoever waits for a time sees that it has come
DUE_SECONDS = 1.0  # what is due then takes a moment: the clock makes a job, and a worker takes it
QUEUE_SECONDS = 3.0
SETTLED_SECONDS = 0.7  # one that is just being tried waits again soon
READ_ONLY = re.compile(r"read-only file system|\bEROFS\b|Errno 30\b", re.I)


class Passage:
    """Starts process types as usual, but for the clock: its time can be let pass, where the machine can do that."""

    def __init__(self, deploy: Deploy, prefix: Callable[[], Sequence[str]] = tuple) -> None:
        self.later: list[Process] = []
        """The clocks that were started while time passed."""
        self._deploy, self._prefix = deploy, prefix
        self._name = clock_of(deploy)
        self._clock: Process | None = None
        self._moved: MovedTime | None = None
        if self._name:
            with suppress(NotRun):
                self._moved = deploy.stack.enter_context(moved_time(deploy, time.time()))

    def start(self, name: str) -> Process:
        """Starts a process type, and waits for nothing."""
        if self._moved and name == self._name:
            self._clock = self._moved.start(name, prefix=self._prefix(), **self._deploy.clock.nudge)
            return self._clock
        return self._deploy.start(name, ready=False, prefix=self._prefix())

    def let_a_day_pass(self) -> str:
        """Lets it pass as the function of that name does, if the clock was started; returns what was done of it."""
        if not self._moved:
            return "no clock's time was moved"
        return let_a_day_pass(self._deploy, self._moved, self._clock, self._start_another)

    def _start_another(self) -> Process:
        self.later.append(self.start(str(self._name)))
        return self.later[-1]


def let_a_day_pass(
    deploy: Deploy,
    moved: MovedTime,
    clock: Process | None,
    start_clock: Callable[[], Process],
    soon: Sequence[float] = (),
) -> str:
    """Stops at all that is due within a day, and at the next due time of what is rarer; returns what was done."""
    if deploy.database and deploy.contract.thing and deploy.contract.thing.table:
        deploy.db.age(deploy.contract.thing.table, OLD_DAYS)  # so that what is due finds something to do
    began = moved.now()
    due = cron.due_times(texts(deploy.workspace.source), began)
    near = [moment + 1 for moment in due if moment < began + A_DAY]
    for moment in sorted([*near, *(began + seconds for seconds in soon), began + A_DAY]):
        _move(moved, moment)
    _let_work(deploy)
    rare = [moment for moment in due if moment >= began + A_DAY][:FEW]
    for moment in rare:
        if clock:
            clock.end()
        moved.move(moment - LEAD_SECONDS)
        if clock:
            clock = start_clock()
            with suppress(Violation):  # another claim is about that
                deploy.wait_until_ready(clock)
                time.sleep(DUE_SECONDS)  # what it does at its start may have to be over before it waits
        _move(moved, moment + 1)
        _move(moved, moment + LEAD_SECONDS)  # again, in case that it was not
        _let_work(deploy)
    return f"a day was let pass, and {len(near) + len(rare)} due times that stand in the code were met"


def movable(deploy: Deploy) -> MovedTime | None:
    """A time for processes to be started with, whatever they see of the file system; None where it cannot be moved."""
    place = Path(tempfile.mkdtemp(prefix="time-", dir=deploy.workspace.folder))
    with suppress(NotRun):
        return deploy.stack.enter_context(moved_time(deploy, time.time(), place))
    return None


def expect_due_jobs_to_be_done(
    deploy: Deploy, moved: MovedTime, processes: Sequence[Process], prefix: list[str]
) -> str:
    """Lets a day pass on a read-only file system: no job may wait because it could write no file."""
    name = clock_of(deploy)
    before = {process.pid: len(process.lines) for process in processes}
    clock = next((process for process in processes if process.type == name), None)
    passed = let_a_day_pass(deploy, moved, clock, lambda: moved.start(str(name), prefix=prefix, **deploy.clock.nudge))
    told = [line for process in processes for _, line in process.lines[before[process.pid] :] if READ_ONLY.search(line)]
    if told and deploy.contract.jobs and (waiting := deploy.contract.jobs.waiting):
        with suppress(Violation):
            eventually(lambda: not deploy.db.value(waiting), "the queue to be empty", END_SECONDS)
        left = settled(lambda: int(deploy.db.value(waiting) or 0), SETTLED_SECONDS)
        expect(not left, "all jobs to be done that are due within a day on a read-only file system", told[-1])
    return passed


def clock_of(deploy: Deploy) -> str | None:
    """The process type that makes periodic jobs, if there is one of its own."""
    clock = deploy.contract.clock
    return clock.process if clock and clock.process in deploy.contract.processes else None


def _move(moved: MovedTime, moment: float) -> None:
    moved.move(moment)
    time.sleep(WAKE_SECONDS)


def _let_work(deploy: Deploy) -> None:
    """Waits a moment, and until no job waits, where somebody can tell."""
    time.sleep(DUE_SECONDS)
    if deploy.database and deploy.contract.jobs and (waiting := deploy.contract.jobs.waiting):
        with suppress(Violation):  # what fails is tried again later
            eventually(lambda: not deploy.db.value(waiting), "the queue to be empty", QUEUE_SECONDS)
