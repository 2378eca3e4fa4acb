"""VIII. Concurrency: the service scales out by process types, each of which does its own work and nobody else's."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from psycopg.errors import UndefinedTable

from ..harness import cron
from ..harness.claim import NotRun, Observations, Violation, claim, expect, need
from ..harness.deploy import Deploy, Deploys, Made
from ..harness.jobs import (
    PAUSE_SECONDS,
    QUIET_SECONDS,
    held,
    last_effect,
    now,
    observe_effects,
    queued,
    settled,
    wait_until_done,
    waiting,
)
from ..harness.kin import kin, pid_files, session_ports
from ..harness.moved_time import MovedTime, moved_time
from ..harness.passage import A_DAY, OLD_DAYS
from ..harness.processes import Process, eventually
from ..harness.proxy import Proxy
from ..harness.sockets import ports_of
from ..harness.traffic import reading

ALONE_SECONDS = 4.0  # how long web and clock are watched while no worker runs
AGAIN_SECONDS = 1.5  # and how long a web that was started with jobs in the queue
BEGUN_SECONDS = 0.5  # after it is ready, web may have something left of its start to do
READ_SECONDS = 1.0  # how long an answer is waited for: some have no end
TAKEN_SECONDS = 30  # a busy machine may take long to start a worker; that it starts soon is IX.1

WORKERS, FASTER = 4, 2.5
SCALED_JOBS, JOB_SECONDS = 48, 0.25
BEGIN_SECONDS = 5.0  # how long the workers may take to begin after the first of them
SHARE_SECONDS = 0.06  # of each job that is done at once: what a machine has to do beside them is little
TRIES, NOT_WORTH_IT = 3, 1.25  # a busy machine can make four workers look slower than they are, but not as slow as one

LOOK_AGAIN_SECONDS = 0.7
WORK_SECONDS = 5.0

LEAD_SECONDS = 0.5  # how long before a tick the time is moved to
TICK_SECONDS = 6.0  # how long a tick may take to become a job
SETTLE_SECONDS = 0.4  # how much later another clock may come
NO_TICK_SECONDS = 2.0  # how long one is waited for that must not come
DELAY_SECONDS = 0.05  # between the clocks and the database, so that who looks first and acts then is overtaken
MISSED = 2
DAYS = (0.1, 1.1, 8)


@claim(
    "VIII.1",
    "Process types are real: a job waits for a worker, and nobody else does it",
    threshold=f"no effect while only web and clock run; done within {TAKEN_SECONDS:g} s of a worker's start",
    seconds=14,
)
def a_job_waits_for_its_worker(deploy: Deploy, observe: Observations) -> None:
    """Web creates things, is read from, is stopped and started again; a clock runs beside it. Then a worker comes."""
    idle = _without_work(deploy)
    before = None
    with suppress(UndefinedTable):  # there may be none before web makes it
        before = waiting(deploy)
    web = deploy.start(deploy.web.process)
    _observe_no_job_of_its_own(deploy, before, observe)
    before = waiting(deploy)
    others = [deploy.launch(name) for name in idle]
    made = [deploy.create(web) for _ in range(3)]
    _expect_nothing_done(deploy, made, "web and clock run", ALONE_SECONDS, web)
    if before is not None:
        observe.measure("jobs in the queue", (waiting(deploy) or 0) - before, ">=", len(made))
    for process in (web, *others):
        process.stop()
    _expect_nothing_done(deploy, made, "web and clock have stopped", 0)
    left = waiting(deploy)
    web = deploy.start(deploy.web.process)
    _observe_no_job_of_its_own(deploy, left, observe)
    _expect_nothing_done(deploy, made, "web runs again", AGAIN_SECONDS, web)
    web.stop()
    _expect_nothing_done(deploy, made, "web has stopped again", 0)
    observe.note(f"no effect in {ALONE_SECONDS + AGAIN_SECONDS:g} s without a worker")
    began = time.monotonic()
    deploy.start(deploy.jobs.process, ready=False)
    wait_until_done(deploy, made, TAKEN_SECONDS)
    observe.measure("done after a worker's start", time.monotonic() - began, "<=", TAKEN_SECONDS, "s")
    for process in deploy.processes:
        process.stop()
    observe.note(_web_lets_time_pass(deploy))


def _web_lets_time_pass(deploy: Deploy) -> str:
    """Web runs alone for days, beside things that are old: what there is to do about them is not for it to do."""
    table = deploy.thing.table
    if not table:
        return "factors.toml has no [thing] table to see what web does as time passes"
    try:
        moved = deploy.stack.enter_context(moved_time(deploy, time.time()))
        web = moved.start(deploy.web.process)
        deploy.wait_until_ready(web)
        moved.expect_reached(web)
    except NotRun as error:
        return f"not seen: what web does as time passes ({error})"
    deploy.db.age(table, OLD_DAYS)

    def rows() -> tuple[object, int | None]:
        return settled(
            lambda: (deploy.db.rows(f"SELECT md5(entry::text) FROM {table} entry ORDER BY 1"), waiting(deploy))
        )

    before = rows()
    for days in DAYS:
        moved.move(time.time() + days * A_DAY)
        expect(rows() == before, f"web alone to change nothing within {days} days", "other rows, or jobs")
    return f"web alone changes nothing in {DAYS[-1]} days"


def _without_work(deploy: Deploy) -> list[str]:
    """The long-running process types that neither answer requests nor do jobs."""
    return [name for name in deploy.contract.long_running if name not in (deploy.web.process, deploy.jobs.process)]


def _observe_no_job_of_its_own(deploy: Deploy, before: int | None, observe: Observations) -> None:
    """That web runs is no reason for work: each of its processes would make a job, wherever and whenever it starts."""
    if before is not None:
        time.sleep(BEGUN_SECONDS)
        observe.measure("jobs that web has made without a request", (waiting(deploy) or 0) - before, "==", 0)


def _expect_nothing_done(
    deploy: Deploy, made: Sequence[Made], while_: str, seconds: float, web: Process | None = None
) -> None:
    """Watches the things for a while, and asks all that can be read: an answer must not do the work either."""
    began = time.monotonic()
    while True:
        for one in made:
            expect(not deploy.done(one), f"no job to be done while {while_}, without a worker", "its effect")
            if web:
                reading(deploy, web, one, READ_SECONDS)
        if time.monotonic() - began >= seconds:
            return
        time.sleep(0.2)


@claim(
    "VIII.2",
    "Workers scale out: four do the same jobs much sooner than one, each job once",
    threshold=f"{SCALED_JOBS} jobs of {JOB_SECONDS * 1000:g} ms >= {FASTER} times sooner on {WORKERS} workers",
    seconds=14,
)
def four_workers_are_faster_than_one(deploys: Deploys, observe: Observations) -> None:
    """The same jobs in two databases; a lock holds them back until every worker is there, and the rows tell the times.

    Noise can only make four workers look slower than they are, so the best of a few tries counts. Where one worker
    does so many jobs at once that four have no more to do, there are more jobs, and these take longer.
    """
    origin, made = _slow_jobs(deploys, SCALED_JOBS, JOB_SECONDS)
    first = deploys.moved(origin)
    alone, at_once = _seconds_for(first, made, 1)
    observe_effects(first, made, observe)
    if at_once >= len(made):
        raise NotRun(f"one worker does {at_once} jobs at once, if not more: what four do sooner cannot be told")
    if at_once * WORKERS > len(made):
        origin, made = _slow_jobs(deploys, at_once * WORKERS, at_once * SHARE_SECONDS)
        alone, _ = _seconds_for(deploys.moved(origin), made, 1)
    for number in range(1, TRIES + 1):
        deploy = deploys.moved(origin)
        together, _ = _seconds_for(deploy, made, WORKERS)
        observe_effects(deploy, made, observe)
        if number == TRIES or not NOT_WORTH_IT < alone / together < FASTER:
            observe.note(f"{alone:.1f} s on one worker, {together:.1f} s on {WORKERS}")
            observe.measure(f"{WORKERS} workers faster by", alone / together, ">=", FASTER)
            return


def _slow_jobs(deploys: Deploys, number: int, seconds: float) -> tuple[Deploy, list[Made]]:
    """A deploy in which so many jobs wait that take so long each."""
    deploy = deploys.new()
    made = queued(deploy, number)
    deploy.db.slow_down(deploy.jobs.table, seconds, "INSERT OR UPDATE")
    return deploy, made


def _seconds_for(deploy: Deploy, made: Sequence[Made], workers: int) -> tuple[float, int]:
    """Lets workers do all jobs; returns how long that took, by the database's clock, and how many they did at once."""
    with deploy.db.locked(deploy.jobs.table):
        running = [deploy.start(deploy.jobs.process, ready=False) for _ in range(workers)]
        for worker in running:
            deploy.wait_until_ready(worker)
        eventually(lambda: held(deploy.db), "a worker to begin", TAKEN_SECONDS, PAUSE_SECONDS)
        with suppress(Violation):  # where they begin one after the other, no more will come
            eventually(lambda: len(held(deploy.db)) >= workers, "each to begin", BEGIN_SECONDS, PAUSE_SECONDS)
        at_once = settled(lambda: len(held(deploy.db)))
        began = now(deploy)
    wait_until_done(deploy, made, SCALED_JOBS * JOB_SECONDS + TAKEN_SECONDS)
    for worker in running:
        worker.kill()
    return (last_effect(deploy) - began).total_seconds(), at_once


@claim(
    "VIII.3",
    "Each tick makes one job, however many clocks run, and no other process makes any",
    threshold=f"five ticks, five jobs; after a SIGKILL no tick missed for more than {MISSED} periods",
    seconds=17,
)
def clocks_tick_once(deploy: Deploy, observe: Observations) -> None:
    """Moves the time from just before one tick to just before the next, so that the clocks meet at each.

    In the end no clock is there for two ticks, while web and worker run; then two come back at once. What the clocks
    agree upon for longer than these seconds, such as a lease of a minute, is not seen through to its end.
    """
    schedule = need(deploy.clock.schedule, "[clock] schedule")
    need(deploy.clock.jobs, "[clock] jobs")
    coming = cron.ticks(schedule, time.time() + 90)
    due = next(coming)
    with moved_time(deploy, start=due - 60) as moved:
        others = [moved.start(name) for name in deploy.contract.long_running if name != deploy.clock.process]
        watch = Ticks(deploy, moved, itertools.chain([due], coming), deploy.proxied("postgres"))
        first, second = watch.clocks(2)
        before = watch.jobs()
        for _ in range(2):
            watch.one("two clocks run")
        first.kill()
        missed = [watch.until_one("one of two clocks was killed")]
        (third,) = watch.clocks(1)
        second.kill()
        missed.append(watch.until_one("the other clock was killed"))
        third.kill()
        observe.measure("ticks missed after a SIGKILL", max(missed), "<=", MISSED)
        alone = " and ".join(one.type for one in others)
        expect(watch.next(NO_TICK_SECONDS) == 0, f"no job at a tick while no clock runs, but {alone} do")
        moved.move(next(watch.due) + 30)
        away = watch.jobs()
        watch.clocks(2)
        late = watch.jobs() - away
        observe.measure("jobs for two ticks without a clock", late, "<=", 2)
        watch.one("two clocks have come back")
        jobs, ticks = settled(watch.jobs, QUIET_SECONDS) - before - late, 5 + sum(missed)
        observe.measure(f"jobs of {ticks} ticks", jobs, "<=" if any(missed) else "==", ticks)


@dataclass
class Ticks:
    """Ticks of the schedule, one after the other, and the jobs that come of them."""

    deploy: Deploy
    moved: MovedTime
    due: Iterator[float]
    proxy: Proxy
    late: int = 0
    """The jobs of ticks that seem missed: a clock that looks seldom may make them yet."""

    def jobs(self) -> int:
        """How many jobs were ever made."""
        return int(self.deploy.db.value(str(self.deploy.clock.jobs)) or 0)

    def clocks(self, number: int) -> list[Process]:
        """Starts clocks at the same moment, and waits until they have made what they make at their start."""
        self.proxy.delay(0)
        began = [self.moved.start(self.deploy.clock.process, **self.deploy.clock.nudge) for _ in range(number)]
        for clock in began:
            self.deploy.wait_until_ready(clock)
            self.moved.expect_reached(clock)
        settled(self.jobs, 1.0)
        self.proxy.delay(DELAY_SECONDS)
        return began

    def next(self, seconds: float = TICK_SECONDS) -> int:
        """Lets the next tick pass; returns how many jobs came of it, within so many seconds."""
        due, before = next(self.due), self.jobs()
        self.moved.move(due - LEAD_SECONDS)
        while self.moved.now() < due + seconds:
            jobs = self.jobs()
            if jobs > before and self.moved.now() < due:
                expect(jobs - before <= self.late, "no job before its tick")
                self.late -= jobs - before
                before = jobs
            elif jobs > before:
                return settled(self.jobs, SETTLE_SECONDS) - before
            time.sleep(PAUSE_SECONDS / 2)
        return 0

    def one(self, when: str) -> int:
        """Lets the next tick pass; raises Violation unless just one job came of it."""
        jobs = self.next()
        if jobs == 0 and not self.deploy.clock.nudge:
            raise NotRun(
                "the clock did not wake up when its time was moved: [clock] nudge can name a variable for that"
            )
        expect(jobs == 1, f"one job at a tick while {when}", f"{jobs} jobs")
        return jobs

    def until_one(self, when: str) -> int:
        """Lets ticks pass until a job comes of one; returns how many were missed."""
        for missed in range(MISSED + 1):
            jobs = self.next()
            expect(jobs <= 1 + self.late, f"at most one job at a tick after {when}", f"{jobs} jobs")
            if jobs:
                self.late = 0
                return missed
            self.late += 1
        raise Violation(f"no job came of {MISSED + 1} ticks after {when}")


@claim(
    "VIII.4",
    "Every process type stays in the foreground: the PID that was started does the work",
    threshold="the same PID leads its group, owns the port and the database sessions; no PID file",
    fast=True,
    seconds=5,
)
def processes_stay_in_the_foreground(deploy: Deploy, observe: Observations) -> None:
    """Starts one of each process type, has them work, and looks with the kernel's eyes at who does what."""
    began = time.time()
    names = deploy.contract.long_running
    if not names:
        raise NotRun("neither the Procfile nor factors.toml names a process that runs on")
    running = [deploy.launch(name) for name in names]
    for process in running:
        deploy.wait_until_ready(process)
        expect(process.alive, f"{process.type} to stay, as the PID that was started", f"exit code {process.exit_code}")
    _have_them_work(deploy, running)
    apart = _stray(deploy, running) & _stray(deploy, running, after=LOOK_AGAIN_SECONDS)
    observe.measure("processes outside of the group of the PID that was started", len(apart), "==", 0)
    for process in running:
        expect_at_work(process)
    if deploy.database:
        strangers = _stranger_sessions(deploy, running) & _stranger_sessions(deploy, running)
        observe.measure("database sessions of other processes", len(strangers), "==", 0)
    files = [file for process in running for file in pid_files(process, deploy.folder, since=began)]
    expect(not files, "no PID file", ", ".join(files))
    observe.note(f"{', '.join(names)}: the PID that was started does the work, without a PID file")


def _have_them_work(deploy: Deploy, running: Sequence[Process]) -> None:
    """Creates a thing, and waits until its job is done; whether that comes about is for others to say."""
    contract = deploy.contract
    web = next((one for one in running if contract.web and one.type == contract.web.process), None)
    if web and contract.thing:
        with suppress(Violation):
            made = deploy.create(web)
            if contract.jobs and contract.jobs.process in contract.processes and deploy.database:
                wait_until_done(deploy, [made], WORK_SECONDS)


def _stranger_sessions(deploy: Deploy, running: Sequence[Process]) -> set[int]:
    """The ports of sessions that none of these processes holds; it takes two looks, since some come and go."""
    time.sleep(LOOK_AGAIN_SECONDS / 2)
    return session_ports(deploy.db) - ports_of(pid for process in running for pid in process.family())


def _stray(deploy: Deploy, running: Sequence[Process], *, after: float = 0) -> set[int]:
    """What belongs to these processes, but is not in the group of one; somebody's look at their health is not meant."""
    time.sleep(after)
    leaders, found = {process.pid for process in running}, set()
    for pid, _ in set().union(*(kin(deploy, process) for process in running)):
        with suppress(ProcessLookupError):
            if os.getpgid(pid) not in leaders:
                found.add(pid)
    return found


def expect_at_work(process: Process) -> None:
    """A program that only waits for a child, which does all the work, is not the service.

    Whoever connects anew for each piece of work has its sockets only now and then, so one look is not enough.
    """
    began, own, others = time.monotonic(), set[int](), set[int]()
    while not own and time.monotonic() - began < (WORK_SECONDS if others else LOOK_AGAIN_SECONDS):
        own = ports_of([process.pid])
        others |= ports_of({*process.family()} - {process.pid})
        time.sleep(PAUSE_SECONDS / 20)
    expect(own or not others, f"the PID of {process.type} to do its work", "a child that does it all")
    if process.port and process.listens():
        family = ", ".join(map(str, process.family()))
        expect(process.port in own, f"the PID of {process.type} ({process.pid}) to own its port", f"family {family}")
