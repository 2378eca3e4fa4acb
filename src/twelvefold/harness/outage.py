"""What is asked of the service's processes while a resource is away, and afterwards."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice

from . import cron, http
from .claim import NotRun, Violation, expect
from .deploy import Deploy, Made, unique_email, unique_marker
from .jobs import settled
from .ledger import Ledger
from .moved_time import MovedTime, moved_time
from .processes import END_SECONDS, READY_SECONDS, Process, eventually

PROBE_SECONDS = 3.0
PAUSE_SECONDS = 0.1
LEAD_SECONDS = 60.0
SOON_SECONDS = 3.0
PATIENCE_SECONDS = 10.0  # longer than a clock usually waits before it looks, or connects, again
WAITS_SECONDS = 1.0  # after its job is there, a clock soon waits for the next time
CLOSE_SECONDS = 5.0  # before a tick, which then comes by itself: no leap of the time disturbs anybody in an outage


def start(
    deploy: Deploy,
    types: Sequence[str] = (),
    prefix: Sequence[str] = (),
    moved: MovedTime | None = None,
    clock: Ticking | None = None,
    **variables: str | None,
) -> list[Process]:
    """Starts these process types, or all of them with web first, and waits for nothing."""
    web = deploy.web.process
    names = types or [web, *(name for name in deploy.contract.long_running if name != web)]
    started = []
    for name in names:
        if clock and name == deploy.clock.process:
            started.append(clock.start(name, **variables))
        elif moved:
            started.append(moved.start(name, prefix=prefix, **variables))
        else:
            started.append(deploy.start(name, ready=False, prefix=prefix, **variables))
    return started


def wait_until_ready(deploy: Deploy, processes: Sequence[Process]) -> None:
    """Waits for each of them."""
    for process in processes:
        deploy.wait_until_ready(process)


def slowest(processes: Sequence[Process], path: str, status: int, seconds: float = READY_SECONDS) -> float:
    """Asks all that have a port, side by side, until they answer so; returns the seconds of the slowest."""
    asked = [process for process in processes if process.port]

    def wait(process: Process) -> float:
        return process.wait_for(path, status, seconds)

    with ThreadPoolExecutor(len(asked)) as pool:
        return max(pool.map(wait, asked))


def expect_not_ready(processes: Sequence[Process], path: str) -> None:
    """Asks each that has a port: none may say that it is ready."""
    for process in processes:
        if process.port:
            seen = process.status(path, timeout=PROBE_SECONDS)
            expect(seen != 200, f"{process.type} not to call itself ready while the database is away", seen)
    time.sleep(PAUSE_SECONDS)


@contextmanager
def watched_alive(processes: Sequence[Process], path: str) -> Iterator[list[str]]:
    """Asks all that have a port, over and over, as long as the context lasts; gives the answers other than 200."""
    wrong: list[str] = []
    over = threading.Event()

    def watch(process: Process) -> None:
        while not over.wait(PAUSE_SECONDS):
            if (seen := process.status(path, timeout=PROBE_SECONDS)) != 200:
                wrong.append(f"{process.type}: {seen or 'no answer'}")

    watching = [threading.Thread(target=watch, args=(process,), daemon=True) for process in processes if process.port]
    for thread in watching:
        thread.start()
    try:
        yield wrong
    finally:
        over.set()
        for thread in watching:
            thread.join(PROBE_SECONDS + 1)


def confirmed(ledger: Ledger, web: Process) -> list[Made]:
    """Asks for a thing while the database is away; returns it if the service says that it has been created."""
    deploy, marker, email = ledger.deploy, unique_marker(), unique_email()
    try:
        response = deploy.attempt(web, marker, email, timeout=PROBE_SECONDS)
    except http.NO_ANSWER:
        return []
    return [Made(deploy.id_in(response), marker, email, response)] if response.status == deploy.thing.status else []


def expect_no_lie(ledger: Ledger, web: Process, kept: Made) -> None:
    """Reads a thing while the database is away: it may be unknown, but it is not gone."""
    try:
        response = ledger.deploy.read(web, kept, timeout=PROBE_SECONDS)
    except http.NO_ANSWER:
        return
    true = response.status >= 500 or (response.status == 200 and kept.marker in response.text)
    expect(true, "an error or the truth from a read while the database is away", f"{response.status} {response.text}")


def expect_each_worker_to_work(ledger: Ledger, web: Process, early: Sequence[Process], late: Sequence[Process]) -> None:
    """A job is done while only the early worker runs, and another while only the late one does."""
    if not ledger.deploy.contract.works_apart:
        return
    for made in ledger.there:
        eventually(partial(ledger.deploy.done, made), "every job to be done after the outage", END_SECONDS)
    first, second = (next(one for one in them if one.type == ledger.deploy.jobs.process) for them in (early, late))
    second.signal(signal.SIGSTOP)
    _expect_a_job(ledger, web, "the worker that went through the outage")
    second.signal(signal.SIGCONT)
    first.kill()
    _expect_a_job(ledger, web, "the worker that started before its database")


class Ticking:
    """A clock that is due in an outage, by a time of its own."""

    def __init__(self, deploy: Deploy, moved: MovedTime, first: float, second: float, third: float) -> None:
        self._deploy = deploy
        self._moved = moved
        self._first, self._due, self._next = first, second, third
        self._before = 0
        self._sees = False

    def start(self, name: str, **variables: str | None) -> Process:
        """Starts the clock, some time before it is due."""
        return self._moved.start(name, prefix=(), **variables)

    def come_close(self) -> None:
        """Lets it be due, to learn whether it sees the time move at all; then comes close to when it is due again."""
        settled(self._jobs, 1.0)
        self._before = self._jobs()
        for moment in (self._first + 1, self._first + LEAD_SECONDS):  # it may have begun to wait just before
            self._moved.move(moment)
            if self._more(1, SOON_SECONDS):
                self._sees = True
                break
        time.sleep(WAITS_SECONDS)
        self._moved.move(self._due - CLOSE_SECONDS)

    def ticks_still(self) -> str:
        """Lets it be due again, after `come_close`; raises Violation when no job comes of it."""
        if not self._sees:
            return "the clock does not see its time move"
        settled(self._jobs, 1.0)
        self._before = self._jobs()
        for moment in (self._due + 1, self._next + 1):  # the first of them may have come by itself
            self._moved.move(moment)
            if self._more(1, SOON_SECONDS):
                return "the clock ticks on"
        expect(self._more(1, PATIENCE_SECONDS), "the clock to tick on", "no job of its next two ticks")
        return "the clock ticks on, a little late"

    def begin(self) -> None:
        """Says that the database has just gone."""
        self._sees = self._sees and self._moved.now() < self._due
        self._before = self._jobs()

    def made_up_for(self, others: Sequence[Process]) -> str:
        """Waits for the job of the tick that came in the outage; raises Violation when it does not come.

        A clock among the others is killed: it may have become the only one that makes jobs, and sees another time.
        """
        if not self._sees:
            return "no tick came in the outage: the clock does not see its time move, or it moved too soon"
        for process in others:
            if process.type == self._deploy.clock.process:
                process.kill()
        expected = "the job of a tick that came in the outage, once the database is back"
        if not self._more(1, PATIENCE_SECONDS):
            # It may have begun to wait just when its time was moved, and so for too long: then for two ticks.
            self._moved.move(self._next + 1)
            expect(self._more(2, END_SECONDS), expected, "nothing of it")
        return "the job of a tick that came in the outage was made afterwards"

    def _more(self, jobs: int, seconds: float) -> bool:
        """Whether within some seconds there are so many more than before."""
        with suppress(Violation):
            eventually(lambda: self._jobs() >= self._before + jobs, "jobs of the clock", seconds)
            return True
        return False

    def _jobs(self) -> int:
        return int(self._deploy.db.value(str(self._deploy.clock.jobs)) or 0)


def ticking(deploy: Deploy) -> Ticking | None:
    """A clock to be started before an outage; None where its jobs cannot be counted, or its time cannot be moved."""
    clock = deploy.contract.clock
    web, jobs = deploy.contract.web, deploy.contract.jobs
    others = {web and web.process, jobs and jobs.process}
    if clock and clock.process in set(deploy.contract.processes) - others and clock.schedule and clock.jobs:
        with suppress(NotRun):
            coming = cron.ticks(clock.schedule, time.time() + 2 * LEAD_SECONDS)
            first, second, third = islice(coming, 3)
            moved = deploy.stack.enter_context(moved_time(deploy, first - LEAD_SECONDS))
            return Ticking(deploy, moved, first, second, third)
    return None


def _expect_a_job(ledger: Ledger, web: Process, who: str) -> None:
    made = ledger.create(web)
    eventually(lambda: ledger.deploy.done(made), f"a job to be done by {who}", END_SECONDS)
