"""What is asked of the service's processes while a resource is away, and afterwards."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from . import http
from .claim import expect
from .deploy import Deploy, Made, unique_email, unique_marker
from .ledger import Ledger
from .processes import END_SECONDS, READY_SECONDS, Process, eventually

PROBE_SECONDS = 3.0
PAUSE_SECONDS = 0.1


def start(
    deploy: Deploy, types: Sequence[str] = (), prefix: Sequence[str] = (), **variables: str | None
) -> list[Process]:
    """Starts these process types, or all of them with web first, and waits for nothing."""
    web = deploy.web.process
    all_types = [web, *(name for name in deploy.contract.long_running if name != web)]
    return [deploy.start(name, ready=False, prefix=prefix, **variables) for name in types or all_types]


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
    jobs = ledger.deploy.contract.jobs
    if jobs is None or jobs.process == web.type or jobs.process not in ledger.deploy.contract.processes:
        return
    for made in ledger.there:
        eventually(partial(ledger.deploy.done, made), "every job to be done after the outage", END_SECONDS)
    first, second = (next(one for one in them if one.type == jobs.process) for them in (early, late))
    second.signal(signal.SIGSTOP)
    _expect_a_job(ledger, web, "the worker that went through the outage")
    second.signal(signal.SIGCONT)
    first.kill()
    _expect_a_job(ledger, web, "the worker that started before its database")


def _expect_a_job(ledger: Ledger, web: Process, who: str) -> None:
    made = ledger.create(web)
    eventually(lambda: ledger.deploy.done(made), f"a job to be done by {who}", END_SECONDS)
