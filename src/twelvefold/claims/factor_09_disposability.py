"""IX. Disposability: processes start quickly, stop in order, and survive a sudden death."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from http.client import HTTPConnection
from typing import Any

from ..harness import gates
from ..harness.claim import NotRun, Observations, Violation, claim, expect
from ..harness.deploy import Deploy, Deploys, Made, filled, unique_email, unique_marker
from ..harness.endings import Ending
from ..harness.gates import Gates
from ..harness.in_flight import InFlight, begin, opened
from ..harness.jobs import (
    PAUSE_SECONDS,
    held,
    last_effect,
    now,
    observe_effects,
    queued,
    rows_of,
    settled,
    wait_until_done,
    wait_until_in_the_middle,
    waiting,
)
from ..harness.kin import Birth, kin, left_of
from ..harness.processes import Process, eventually
from ..harness.traffic import ask

BOOTS, BOOT_SECONDS = 5, 10
HOLD_SECONDS = 4
DRAIN_SECONDS = 2
IN_HAND_SECONDS = 3  # how long a request is waited for that the server may not take beside others
REFUSED_SECONDS = 2  # after the drain time: a server looks at its clock now and then
GRACE_SECONDS = 8
SHORT_GRACE_SECONDS = 2
USUAL_GRACE_SECONDS = 10  # what a platform gives to a service that has no variable for it
LAST_WORDS_SECONDS = 2  # of a platform's stop period, after the drain time and the grace time
LEFT_SECONDS = 2
CLEAN = 0, 128 + signal.SIGTERM

KILLS, HITS, JOBS = 6, 5, 30
RESTART_SECONDS = 30
FAST_RESTART_SECONDS = 5
AT_ONCE_SECONDS = 5  # sooner than the jobs of a dead worker start again
TAKEN_SECONDS = 10  # how long an idle worker may take to begin with a job that waits


@claim(
    "IX.1",
    "From the launch to the first real work takes little time",
    threshold=f"first write < {BOOT_SECONDS} s in the worst of {BOOTS} boots; worker and clock < {BOOT_SECONDS} s",
    seconds=9,
)
def first_work_comes_soon(deploy: Deploy, observe: Observations) -> None:
    """Starts web again and again, each time after a sudden end, until a POST is answered and its row is there.

    That it takes no longer than twice the figure of the last release is left out: figures belong to the machine that
    they were taken on, and are kept beside it in the evidence of a run, which is no part of the repository.
    """
    made: list[Made] = []
    boots = [_boot_until_written(deploy, made) for _ in range(BOOTS)]
    observe.measure(f"worst of {BOOTS} boots to the first write", max(boots), "<", BOOT_SECONDS, "s")
    contract = deploy.contract
    if _works_apart(deploy):
        with _booted(deploy, deploy.jobs.process, lambda: any(map(deploy.done, made))) as seconds:
            observe.measure("worker to its first effect", seconds, "<", BOOT_SECONDS, "s")
            _observe_work_of_answers(deploy, made, "a SIGKILL", observe)
    if contract.clock and contract.clock.process in contract.processes:
        with _booted(deploy, deploy.clock.process) as seconds:
            observe.measure("clock until it is ready", seconds, "<", BOOT_SECONDS, "s")


def _boot_until_written(deploy: Deploy, made: list[Made]) -> float:
    table = deploy.thing.table if deploy.database else None
    began = time.monotonic()
    web = deploy.launch(deploy.web.process)
    while (answer := _written(deploy, web)) is None:
        expect(web.alive, "web to keep running", f"exit code {web.exit_code}: {web.tail()}")
        if time.monotonic() - began > BOOT_SECONDS:
            raise Violation(f"{BOOT_SECONDS} s after its launch, web had not answered {deploy.thing.create}")
        time.sleep(0.02)
    seconds = time.monotonic() - began
    made.append(answer)
    if table:
        expect(deploy.db.count(table) == len(made), f"a row for each answer in {table}", deploy.db.count(table))
    _expect_first_reads(deploy, web, answer)
    web.kill()
    return seconds


def _expect_first_reads(deploy: Deploy, web: Process, made: Made) -> None:
    """Asks a new web for what nobody has asked it before: what it puts off until then belongs to its boot as well."""
    for route in (deploy.thing.list, deploy.thing.read):
        if route:
            method, _, path = route.replace("{id}", made.id).partition(" ")
            answer = ask(web, method, path, timeout=BOOT_SECONDS)
            expect(
                answer.response, f"the first {route} after a boot to be answered within {BOOT_SECONDS} s", "no answer"
            )


def _written(deploy: Deploy, web: Process) -> Made | None:
    try:
        return deploy.create(web, timeout=BOOT_SECONDS) if web.listens() else None
    except Violation:  # not yet; if it stays so, the time tells
        return None


@contextmanager
def _booted(deploy: Deploy, process: str, works: Callable[[], object] | None = None) -> Iterator[float]:
    """Starts a process type until it works, or is ready; gives how long that took, and kills it in the end."""
    began = time.monotonic()
    started = deploy.launch(process)
    if works:
        eventually(works, f"the first work of {process}", BOOT_SECONDS)
    else:
        deploy.wait_until_ready(started, BOOT_SECONDS)
    yield time.monotonic() - began
    started.kill()


def _works_apart(deploy: Deploy) -> bool:
    """Whether a worker does later, and visibly, what web's answers promise; what web does itself is shown by IX.3."""
    return bool(deploy.contract.works_apart and deploy.database)


def _observe_work_of_answers(deploy: Deploy, things: Sequence[Made | str], end: str, observe: Observations) -> None:
    """Waits for the jobs of what was answered: they must not have been in web's memory when that came to its end."""

    def done() -> int:
        return sum(map(deploy.done, things))

    with suppress(Violation):
        eventually(lambda: done() == len(things), "all of their jobs", RESTART_SECONDS, PAUSE_SECONDS)
    observe.measure(f"jobs done of {len(things)} requests that were answered before {end}", done(), "==", len(things))


@claim(
    "IX.2",
    "SIGTERM lets web finish the requests in hand, and nothing of it stays behind",
    threshold=f"requests held {HOLD_SECONDS} s after the drain time are answered 201, one row each; new connections "
    "are refused after the drain time; exit within the grace time; no process is left",
    fast=True,
    seconds=11,
)
def requests_in_hand_survive_sigterm(deploys: Deploys, observe: Observations) -> None:
    """Tells web to stop while it answers several kinds of requests, which a lock in the database holds up.

    Another web is held up for longer than its grace time, and must end all the same.
    """
    deploy, stuck = deploys.new(), deploys.new()
    web = deploy.launch(deploy.web.process, **_times(deploy, drain=DRAIN_SECONDS, grace=GRACE_SECONDS))
    stuck_web = stuck.launch(stuck.web.process, **_times(stuck, drain=0, grace=SHORT_GRACE_SECONDS))
    deploy.wait_until_ready(web)
    stuck.wait_until_ready(stuck_web)
    drain = DRAIN_SECONDS if deploy.web.drain else 0
    grace = GRACE_SECONDS if deploy.web.grace else USUAL_GRACE_SECONDS
    idle = opened(web, warm=_harmless(deploy))  # must not keep web from ending
    calm = deploy.create(web)  # which web outlives by far
    with _held_up(deploy), _held_up(stuck):
        (requests, most), (never_answered, _) = _requests(deploy, web), _requests(stuck, stuck_web)
        family = kin(deploy, web)
        ending, stuck_ending = Ending(web), Ending(stuck_web)
        if drain:
            _expect_answers_while_draining(deploy, ending)
        ending.sleep_until(drain)
        eventually(lambda: not web.listens(), "new connections to be refused after the drain time", REFUSED_SECONDS)
        for request in requests:
            request.send_rest()
        ending.sleep_until(drain + HOLD_SECONDS)
        expect(not web.listens(), "new connections to be refused until the end")
        if stuck.web.grace:
            limit = SHORT_GRACE_SECONDS + LAST_WORDS_SECONDS
            observe.measure("exit with a request that never ends", stuck_ending.seconds(limit), "<=", limit, "s")
    things = _observe_answers(deploy, requests, most + 1, grace, observe)
    observe.measure("exit after SIGTERM", ending.seconds(drain + grace), "<=", drain + grace, "s")
    _observe_nothing_left(deploy, web, family, observe)
    if _works_apart(deploy):
        deploy.launch(deploy.jobs.process)
        _observe_work_of_answers(deploy, things, "the exit", observe)
    _expect_all_of_it(deploy, calm, things)
    for connection in (idle, *(request.connection for request in never_answered)):
        connection.close() if connection else None


def _expect_all_of_it(deploy: Deploy, calm: Made, things: Sequence[str]) -> None:
    """Compares where the rows are that know a thing: web may owe nothing to what it has answered last."""
    if not deploy.database:
        return
    everything = [calm, *(replace(calm, id=one) for one in things)]

    def lost() -> set[str]:
        seen = rows_of(deploy, everything)
        tables = [{table for table, name in seen if name == one.id} for one in everything]
        return set().union(*(tables[0] - others for others in tables[1:]))

    with suppress(Violation):  # a worker may have something left to do for some of them
        eventually(lambda: not lost(), "", RESTART_SECONDS if _works_apart(deploy) else LEFT_SECONDS)
    expect(not lost(), "all that follows from an answer to be there after the exit", f"less in {', '.join(lost())}")


def _observe_answers(
    deploy: Deploy, requests: list[InFlight], most: int, seconds: float, observe: Observations
) -> list[str]:
    answers = [request.answer(seconds) for request in requests]
    for request, answer in zip(requests, answers, strict=True):
        expect(answer.status == deploy.thing.status, f"{deploy.thing.status} for {request.what}", answer.status)
    things = {deploy.id_in(answer) for answer in answers}
    observe.measure("requests in hand that were answered", len(things), "==", len(requests))
    if deploy.database and deploy.thing.table:
        rows = deploy.db.count(deploy.thing.table)
        observe.measure("rows", rows, ">=", len(requests))
        observe.measure("rows", rows, "<=", most)
    return sorted(things)


def _observe_nothing_left(deploy: Deploy, web: Process, family: set[Birth], observe: Observations) -> None:
    expect(web.exit_code in CLEAN, "exit code 0 or 143", web.exit_code)
    expect(not web.listens(), "nothing to listen on the port any more")
    with suppress(Violation):  # what ends with it may take a moment
        eventually(lambda: not left_of(deploy, web, family), "nothing to be left", LEFT_SECONDS)
    observe.measure("processes left behind", len(left_of(deploy, web, family)), "==", 0)


def _harmless(deploy: Deploy) -> str:
    """A path that may be asked for at any time."""
    return deploy.web.live or deploy.web.ready or "/"


def _times(deploy: Deploy, *, drain: float | None = None, grace: float | None = None) -> dict[str, Any]:
    """The variables of the drain time and the grace time, as far as the service has them."""
    web = deploy.contract.web
    names = {web.drain: drain, web.grace: grace} if web else {}
    return {name: f"{seconds:g}" for name, seconds in names.items() if name and seconds is not None}


@contextmanager
def _held_up(deploy: Deploy) -> Iterator[None]:
    """Holds up whoever writes a thing; where there is no database to do it with, only slow clients hold a request."""
    with ExitStack() as stack:
        if deploy.database and deploy.thing.table:
            stack.enter_context(deploy.db.locked(deploy.thing.table))
        yield


def _requests(deploy: Deploy, web: Process) -> tuple[list[InFlight], int]:
    """Begins requests of several kinds; returns those that the server has in hand, for it may take fewer at once.

    And how many may come of it: one that is not in hand yet has been sent all the same.
    """
    found: list[InFlight] = []
    whole = 0
    carried = opened(web, warm=_harmless(deploy))  # before the others: it may serve one at a time

    def creating(what: str, connection: HTTPConnection | None, sent: float = 1) -> InFlight | None:
        body = filled(deploy.thing.body, marker=unique_marker(), email=unique_email())
        return begin(what, connection, deploy.thing.create, body, sent=sent) if connection else None

    def keep(request: InFlight | None, in_hand: Callable[[], object]) -> None:
        with suppress(Violation):
            if request:
                eventually(in_hand, "it to be in hand", IN_HAND_SECONDS)
                found.append(request)

    if deploy.database and deploy.thing.table:
        plain = creating("a request that waited for the database", opened(web))
        whole += 1
        deploy.db.wait_for_waiting()
        keep(plain, lambda: True)
        with suppress(Violation):  # a server keeps an idle connection for as long as it likes
            kept = creating("a request on a connection that had carried another", carried)
            whole += bool(kept)
            keep(kept, lambda: len(held(deploy.db)) >= 2)
    slow = creating("a request whose body was still arriving", opened(web), sent=0.5)
    keep(slow, lambda: slow and slow.is_read)
    if not found:
        raise NotRun("no request can be held up: factors.toml names no [thing] table, and web reads no slow body")
    return found, max(whole, len(found))


def _expect_answers_while_draining(deploy: Deploy, ending: Ending) -> None:
    web, ready, live = ending.process, deploy.web.ready, deploy.web.live
    if ready:
        told = "the readiness address to say 503, and not to be refused, in the drain time"
        eventually(lambda: web.status(ready, timeout=2) == 503 or not web.alive, told, DRAIN_SECONDS)
    expect(web.alive, "web to go on while it has requests in hand", f"exit code {web.exit_code}")
    ending.sleep_until(DRAIN_SECONDS / 2)  # a server without a drain may answer until it looks at its clock
    answered = web.status(live, timeout=2) == 200 if live else web.listens()
    expect(answered or ending.elapsed > DRAIN_SECONDS, "web to answer in the drain time")


@claim(
    "IX.3",
    "SIGTERM lets a worker finish its job, or give it back",
    threshold=f"the job is in the queue again, or done, within the grace time; exit within it + {LAST_WORDS_SECONDS} s",
    seconds=12,
)
def jobs_in_hand_survive_sigterm(deploys: Deploys, observe: Observations) -> None:
    """One lock in the database holds jobs up. The first worker's grace time ends before; the second's does not.

    What the first gives back, the second must take at once. Told to stop in its turn, it has time to finish. Beside
    them stands one process of each type that has nothing to do, and must stop as well.
    """
    deploy, quiet = deploys.new(), deploys.new()
    times = _times(quiet, drain=0, grace=GRACE_SECONDS)
    idle = [quiet.launch(name, **times) for name in quiet.contract.long_running]
    made = queued(deploy, 3)
    for process in idle:
        quiet.wait_until_ready(process)
    idle_endings = [Ending(process) for process in idle]
    with deploy.db.locked(deploy.jobs.table):
        first = deploy.start(deploy.jobs.process, **_times(deploy, grace=SHORT_GRACE_SECONDS))
        wait_until_in_the_middle(deploy, first)
        second = deploy.start(deploy.jobs.process, **_times(deploy, grace=GRACE_SECONDS))
        of_first = held(deploy.db, first)
        _observe_exit(deploy, Ending(first), SHORT_GRACE_SECONDS, "exit of a worker whose jobs do not end", observe)
        _expect_at_hand(deploy, len(made), of_first)
        ending = Ending(second)
        ending.sleep_until(HOLD_SECONDS)
    _observe_exit(deploy, ending, GRACE_SECONDS, f"exit of one whose jobs end after {HOLD_SECONDS} s", observe)
    expect(second.exit_code in CLEAN, "exit code 0 or 143", second.exit_code)
    if not all(map(deploy.done, made)):
        deploy.start(deploy.jobs.process)
    wait_until_done(deploy, made, TAKEN_SECONDS)
    observe_effects(deploy, made, observe)
    for ending in idle_endings:
        process = ending.process
        _observe_exit(deploy, ending, GRACE_SECONDS, f"exit of an idle {process.type}", observe)
        expect(process.exit_code in CLEAN, f"exit code 0 or 143 of an idle {process.type}", process.exit_code)


def _observe_exit(deploy: Deploy, ending: Ending, grace: float, what: str, observe: Observations) -> None:
    limit = (grace if deploy.contract.web and deploy.web.grace else USUAL_GRACE_SECONDS) + LAST_WORDS_SECONDS
    observe.measure(what, ending.seconds(limit), "<=", limit, "s")


def _expect_at_hand(deploy: Deploy, jobs: int, given_back: set[int]) -> None:
    """Waits until the jobs of the worker that has just ended are with another one, as far as that takes so many."""

    def at_hand() -> int:
        return len(held(deploy.db) - given_back) + (waiting(deploy) or 0)

    wanted = jobs if deploy.jobs.waiting else 1
    eventually(lambda: at_hand() >= wanted, "its jobs to be with another worker, or in the queue", AT_ONCE_SECONDS)
    # Those in the queue have been given back; when another worker looks there is its own affair.
    limit = TAKEN_SECONDS if deploy.jobs.waiting else AT_ONCE_SECONDS
    eventually(lambda: held(deploy.db) - given_back, "another worker to take them", limit)


@claim(
    "IX.4",
    "A worker may die at any moment: no job is lost, and none takes effect twice",
    threshold=f"{KILLS} SIGKILLs across {JOBS} jobs, {HITS} mid-job: {JOBS} effects; with the default settings the "
    f"jobs are done within {RESTART_SECONDS} s",
    seconds=28,
)
def sudden_deaths_lose_nothing(deploys: Deploys, observe: Observations) -> None:
    """Kills workers that stand at a gate: before their first statement, before they write, and in their commit.

    What was killed in its commit has taken effect though nobody has heard of it. The case with the default settings
    runs beside it, and takes as long as those say. So does one in which nobody is killed: what it has written of the
    things, in whichever table, is all that may be there.
    """
    deploy = deploys.new()
    made = queued(deploy, JOBS)
    queue = {table for table, _ in rows_of(deploy, made)}  # what comes anew may have rows there again
    calm, usual = deploys.moved(deploy), deploys.moved(deploy)
    killed = _kill_one_with_default_settings(usual)
    calm.launch(deploy.jobs.process)

    between = gates.build(deploy.db, deploy.jobs.table)
    hits = sum(_kill_in_the_middle(deploy, between, number) for number in range(KILLS))
    observe.measure(f"of {KILLS} kills mid-job", hits, ">=", HITS)
    deploy.launch(deploy.jobs.process, **deploy.jobs.fast)
    wait_until_done(deploy, made, RESTART_SECONDS)
    observe_effects(deploy, made, observe)

    wait_until_done(usual, made, RESTART_SECONDS)
    seconds = (last_effect(usual) - killed).total_seconds()
    observe.measure("with the default settings all done after a kill in", seconds, "<=", RESTART_SECONDS, "s")
    observe_effects(usual, made, observe)

    wait_until_done(calm, made, RESTART_SECONDS)
    once = settled(lambda: rows_of(calm, made))
    more = {
        f"{times} in {table} instead of {once[table, one]}"
        for after in (deploy, usual)
        for (table, one), times in rows_of(after, made).items()
        if times > once[table, one] and table not in queue
    }
    expect(not more, "as many rows of a thing after kills as without any", "; ".join(sorted(more)))
    observe.note("no table has more rows of a thing than without a kill")


def _kill_one_with_default_settings(deploy: Deploy) -> datetime:
    """Kills a worker in the middle of its jobs, and starts another; returns when, by the database's clock."""
    with deploy.db.locked(deploy.jobs.table):
        worker = deploy.start(deploy.jobs.process, ready=False)
        wait_until_in_the_middle(deploy, worker)
        worker.kill()
    killed = now(deploy)
    deploy.start(deploy.jobs.process, ready=False)
    return killed


def _kill_in_the_middle(deploy: Deploy, between: Gates, number: int) -> bool:
    """Kills a new worker while it is held up; returns whether that was in the middle of a job for sure."""
    places = (
        between.closed(between.commit),
        between.closed(between.write),
        deploy.db.locked(deploy.jobs.table),
    )
    fast: dict[str, Any] = dict(deploy.jobs.fast)
    with places[number % len(places)]:
        worker = deploy.start(deploy.jobs.process, ready=False, **fast)
        sessions = wait_until_in_the_middle(deploy, worker)
        worker.kill()
        return bool(sessions & held(deploy.db))
