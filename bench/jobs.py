"""The worker: how many jobs it does beside the bare one, and how soon the job of a killed worker starts again."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from .database import POLL_SECONDS, Session
from .figure import Figure, Pairs, Result, in_turn
from .processes import Server
from .service import Service

RATE = 0.85
JOBS = 1000
WARM_JOBS = 100  # the first ones, which open connections, are not counted

DEFAULT_SECONDS, SET_SECONDS = 30, 5
DEFAULT_BEAT, SET_BEAT = 5, 1
KILLED = 4
PATIENCE_SECONDS = 90

OURS, BARE = "notes.count_words", "bare.count_words"
WRITE = "INSERT INTO notes (text) SELECT 'This is note number ' || n FROM generate_series(1, %s) AS n RETURNING id"
ENQUEUE = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, args)
    SELECT %s, %s, jsonb_build_object('note_id', note) FROM unnest(%s::text[]) AS note
"""
EMPTY = "TRUNCATE procrastinate_jobs CASCADE"
LEFT = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
DONE = "SELECT bool_and(status = 'succeeded') FROM procrastinate_jobs"
STARTED = """
    SELECT count(*) = %s FROM procrastinate_jobs AS job WHERE status = 'doing'
    AND (SELECT count(*) FROM procrastinate_events WHERE job_id = job.id AND type = 'started') = %s
"""
LAST_STARTS = """
    SELECT extract(epoch FROM max(at))::float FROM procrastinate_events
    WHERE type = 'started' GROUP BY job_id ORDER BY job_id
"""


def rate(service: Service, pairs: int) -> Result:
    """The jobs that one worker does in a second of its CPU time, and in a second by the clock."""
    clock: dict[str, list[float]] = {OURS: [], BARE: []}

    def jobs_a_second(queue: str, start: Callable[[], Server]) -> float:
        ask(EMPTY)
        ask(ENQUEUE, queue, queue, notes)
        with start() as worker:
            by_cpu, by_clock = _rates(ask, worker)
        clock[queue].append(by_clock)
        return by_cpu

    with service.session() as ask:
        notes = [note for (note,) in ask(WRITE, JOBS)]
        ours, bare = partial(service.start, "worker"), partial(service.bare_process, "worker")
        by_cpu = in_turn(pairs, lambda: jobs_a_second(OURS, ours), lambda: jobs_a_second(BARE, bare))
    by_clock = Pairs(clock[OURS][1:], clock[BARE][1:])
    return Result(
        f"{by_cpu.ratio:.2f}; {by_clock.ratio:.2f}",
        min(by_cpu.ratio, by_clock.ratio) >= RATE,
        by_cpu.spread,
        [
            f"Jobs: {by_cpu.medians('jobs', 1)} in a second of the worker's CPU; by the clock "
            f"{by_clock.medians('jobs', 1)} a second, {by_clock.spread}."
        ],
    )


def rescue(service: Service, rounds: int) -> Result:
    """The time from the SIGKILL of a worker to the second start of the job that it was at."""
    by_default = [seconds for _ in range(rounds) for seconds in _rescued(service, DEFAULT_BEAT, {})]
    setting = {"HEARTBEAT_SECONDS": str(SET_BEAT)}
    by_setting = [seconds for _ in range(rounds) for seconds in _rescued(service, SET_BEAT, setting)]
    return Result(
        f"{max(by_default):.1f} s; {max(by_setting):.1f} s",
        max(by_default) <= DEFAULT_SECONDS and max(by_setting) <= SET_SECONDS,
        f"{min(by_default):.1f} to {max(by_default):.1f} s; {min(by_setting):.1f} to {max(by_setting):.1f} s, "
        f"{len(by_default)} kills each",
        [
            f"Killed, {which}: {', '.join(f'{seconds:.1f} s' for seconds in taken)}."
            for which, taken in (("with defaults", by_default), (f"HEARTBEAT_SECONDS={SET_BEAT}", by_setting))
        ],
    )


FIGURES = {
    "jobs": Figure(
        "Jobs of one worker, over the same library's bare loop: in a second of CPU; by the clock",
        f">= {RATE}",
        rate,
        times=7,
        hurried=2,
    ),
    "rescue": Figure(
        f"SIGKILL amid a job to its second start, the longest: with defaults; with HEARTBEAT_SECONDS={SET_BEAT}",
        f"<= {DEFAULT_SECONDS} s; <= {SET_SECONDS} s",
        rescue,
        times=2,
        hurried=1,
    ),
}


def _rates(ask: Session, worker: Server) -> tuple[float, float]:
    """Jobs in a second of CPU, and by the clock, from the first hundred to the last."""
    left = _until_left(JOBS - WARM_JOBS, ask, worker)
    used, began = worker.cpu_seconds(), time.perf_counter()
    _until_left(0, ask, worker)
    return left / (worker.cpu_seconds() - used), left / (time.perf_counter() - began)


def _until_left(most: int, ask: Session, worker: Server) -> int:
    """Waits until no more jobs than that are left; returns how many there are."""
    while (left := int(ask.one(LEFT))) > most:
        if worker.popen.poll() is not None:
            raise RuntimeError(f"the worker ended: {worker.output()[-500:]}")
        time.sleep(POLL_SECONDS)
    return left


def _rescued(service: Service, beat: float, variables: Mapping[str, str]) -> Sequence[float]:
    """Kills some workers, each at one job, at a random phase of what beats; returns how long their jobs waited.

    A lock on the notes keeps the jobs from ending. Each has a worker of its own, and all of those are dead before the
    first of them counts as gone: the one that takes the jobs back is alone.
    """
    with ExitStack() as stack:
        ask, lock = stack.enter_context(service.session()), stack.enter_context(service.session())
        ask(EMPTY)
        notes = [note for (note,) in ask(WRITE, KILLED)]
        lock("BEGIN")
        lock("LOCK TABLE notes")
        doomed = []
        for number, note in enumerate(notes, 1):
            worker = service.start("worker", {"WORKER_CONCURRENCY": "1", **variables})
            doomed.append(stack.enter_context(worker))
            ask(ENQUEUE, OURS, OURS, [note])
            ask.until(STARTED, number, 1, seconds=PATIENCE_SECONDS)
        stack.enter_context(service.start("worker", variables)).until_ok("/readyz")
        killed = [_kill(worker, beat / KILLED) for worker in doomed]
        ask.until(STARTED, len(killed), 2, seconds=PATIENCE_SECONDS)
        starts = [at for (at,) in ask(LAST_STARTS)]
        lock("ROLLBACK")
        ask.until(DONE, seconds=PATIENCE_SECONDS)
    return [start - at for start, at in zip(starts, killed, strict=True)]


def _kill(worker: Server, within: float) -> float:
    time.sleep(random.uniform(0, within))
    at = time.time()  # as the database tells it
    worker.popen.kill()
    worker.popen.wait()
    return at
