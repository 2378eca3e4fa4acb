"""A rolling restart under load: two web processes behind a balancer, and two workers, replaced one after the other."""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import cycle, islice
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

from . import load
from .exchange import Connections
from .figure import Figure, Result
from .processes import CORES, Server, free_port, on_all_cores
from .service import Service, attached

ROOT = Path(__file__).resolve().parent.parent
RATE = 200  # requests a second
START_SECONDS, WARM_SECONDS = 1, 3
STEADY_SECONDS, WINDOW_SECONDS, RESTARTS = 20, 60, 10
PLACES = ("web", "worker", "web", "worker")
DRAIN = {"DRAIN_SECONDS": "2"}
P99 = 2
PATIENCE_SECONDS = 60

# Each time that a job has its effect, it sets the words of its note: the database itself takes note of that.
WATCH_EFFECTS = """
    CREATE TABLE effects (note uuid, words integer);
    CREATE INDEX ON effects (note);
    CREATE FUNCTION take_note() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO effects VALUES (NEW.id, NEW.words); RETURN NULL; END';
    CREATE TRIGGER effect AFTER UPDATE OF words ON notes FOR EACH ROW EXECUTE FUNCTION take_note();
"""
QUEUE_IS_EMPTY = "SELECT NOT EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))"
UNFINISHED = "SELECT count(*) FROM procrastinate_jobs WHERE status <> 'succeeded'"
# Of the notes that the service said it had created, those whose words were not counted rightly, once and only once.
NOT_DONE_ONCE = """
    SELECT count(*) FROM jsonb_each_text(%s::jsonb) AS created (note, words)
    WHERE (SELECT array_agg(effects.words) FROM effects WHERE effects.note = created.note::uuid)
        IS DISTINCT FROM ARRAY[created.words::integer]
"""


class Sent(NamedTuple):
    """A request: when it was due, how long after that its answer was there, and what was wrong with it, if anything."""

    due: float
    seconds: float
    failure: str


class Restart(NamedTuple):
    """How a process ended, and how long it took until its successor was in its place."""

    process: str
    code: int
    seconds: float


class Outcome(NamedTuple):
    """What a run has shown; `restarting` is when the restarts began, and when the time for them was over.

    A job is lost when it was not done, or not once. `client` and `balancer` are the shares that they took of one core.
    """

    sent: list[Sent]
    restarting: tuple[float, float]
    restarts: list[Restart]
    jobs: int
    lost_jobs: int
    client: float
    balancer: float

    @property
    def failures(self) -> list[str]:
        """What was wrong with each request that failed."""
        return [sent.failure for sent in self.sent if sent.failure]

    @property
    def codes(self) -> set[int]:
        """The exit codes of all that were restarted."""
        return {restart.code for restart in self.restarts}

    def p99(self) -> tuple[float, float]:
        """The time within which 99 of 100 requests were answered: before and after the restarts, and during them."""
        warm = self.sent[0].due + WARM_SECONDS
        begin, end = self.restarting
        during = [sent.seconds for sent in self.sent if begin <= sent.due < end]
        steady = [sent.seconds for sent in self.sent if warm <= sent.due < begin or end <= sent.due]
        return quantiles(steady, n=100)[98], quantiles(during, n=100)[98]


class Traffic:
    """Requests at a fixed rate, answered or not: in turn a note is created, and one of those created is read."""

    def __init__(self, port: int) -> None:
        self.created: dict[str, int] = {}  # how many words each note has
        self.over = False
        self._ids: list[str] = []
        self._port = port

    async def send(self, count: int, begin: float) -> list[Sent]:
        """Sends requests, the first at `begin` by the monotonic clock."""
        self._connections = Connections(self._port)
        if failure := await self._create(0):  # there must be one to be read
            raise RuntimeError(failure)
        sending = []
        for number in range(count):
            due = begin + number / RATE
            await asyncio.sleep(max(0, due - time.monotonic()))
            if self.over:
                break
            one = self._read() if number % 2 else self._create(number)
            sending.append(asyncio.create_task(_timed(one, due)))
        sent = await asyncio.gather(*sending)
        self._connections.close()
        return sent

    async def _create(self, number: int) -> str:
        words = 1 + number % 9
        answer = await self._connections.ask(load.sending("/notes", {"text": " ".join(["word"] * words)}))
        if not answer.startswith(b"HTTP/1.1 201 "):
            return _in_short("POST", answer)
        note = json.loads(answer.partition(b"\r\n\r\n")[2])["id"]
        self.created[note] = words
        self._ids.append(note)
        return ""

    async def _read(self) -> str:
        note = random.choice(self._ids)
        answer = await self._connections.ask(load.request(f"/notes/{note}"))
        right = answer.startswith(b"HTTP/1.1 200 ") and note.encode() in answer
        return "" if right else _in_short("GET", answer)


class Place:
    """Where a process of the service runs, and after it its successors, all at the same address."""

    def __init__(self, service: Service, process: str) -> None:
        self.process = process
        self.port = free_port()
        self._service = service
        self._server = self._start()

    def _start(self) -> Server:
        return self._service.start(self.process, DRAIN, self.port)

    def until_ready(self) -> None:
        """Waits for the process."""
        self._server.until_ok("/readyz")

    def restart(self) -> int:
        """Ends the process as a platform does, then starts its successor; returns the exit code."""
        code = self._server.end()
        self.close()
        self._server = self._start()
        return code

    def close(self) -> None:
        """Ends the process."""
        self._server.__exit__()


def run(service: Service, steady: float, window: float, restarts: int) -> Outcome:
    """Sends requests all the time; restarts processes in a window with half of the steady time on each side."""
    with ExitStack() as stack:
        ask = stack.enter_context(service.session())
        ask(WATCH_EFFECTS)
        places = [stack.enter_context(closing(Place(service, process))) for process in PLACES]
        balancer = stack.enter_context(_balancer(service, [place.port for place in places if place.process == "web"]))
        balancer.until_ok("/balancer")
        for place in places:
            _until_in(place, balancer)
        traffic = Traffic(balancer.port)
        sender = stack.enter_context(ThreadPoolExecutor(1))
        stack.callback(setattr, traffic, "over", True)
        begin, used = time.monotonic() + START_SECONDS, _cpu_seconds(balancer)
        count = int(RATE * (WARM_SECONDS + steady + window))
        sending = sender.submit(asyncio.run, traffic.send(count, begin))
        begin += WARM_SECONDS + steady / 2
        restarted = []
        for number, place in enumerate(islice(cycle(places), restarts)):
            time.sleep(max(0, begin + number * window / restarts - time.monotonic()))
            restarted.append(_restart(place, balancer))
        sent = sending.result()
        client, balanced = ((now - then) / count * RATE for now, then in zip(_cpu_seconds(balancer), used, strict=True))
        ask.until(QUEUE_IS_EMPTY, seconds=PATIENCE_SECONDS)
        lost = ask.one(NOT_DONE_ONCE, json.dumps(traffic.created)) + ask.one(UNFINISHED)
    return Outcome(sent, (begin, begin + window), restarted, len(traffic.created), lost, client, balanced)


def rolling(service: Service, _: int) -> Result:
    """Restarts processes under load, with a database of their own, on all cores."""
    with on_all_cores(), attached(service.folder, service.scratch / "rolling", CORES) as own:
        outcome = run(own, STEADY_SECONDS, WINDOW_SECONDS, RESTARTS)
    steady, during = outcome.p99()
    failed, seconds = len(outcome.failures), [restart.seconds for restart in outcome.restarts]
    return Result(
        f"{failed}; {outcome.lost_jobs}; {during / steady:.1f}",
        failed == outcome.lost_jobs == 0 and outcome.codes == {0} and during <= P99 * steady,
        f"1 run, {len(outcome.sent):,} requests, {outcome.jobs:,} jobs",
        [
            f"Rolling restart: 99 of 100 answers came within {during * 1000:.1f} ms, otherwise {steady * 1000:.1f} ms; "
            f"restarts took {min(seconds):.1f} to {max(seconds):.1f} s; exit codes: "
            f"{', '.join(map(str, outcome.codes))}; of one core the client took {outcome.client:.0%}, the balancer "
            f"{outcome.balancer:.0%}.",
            *(f"Failed: {failure}." for failure in outcome.failures[:5]),
        ],
    )


FIGURES = {
    "rolling": Figure(
        f"Rolling restart ({RESTARTS} in {WINDOW_SECONDS} s, {RATE} requests/s): failed requests; lost jobs; p99 over "
        "the steady one",
        f"0; 0; <= {P99}",
        rolling,
        times=1,
        hurried=1,
    )
}


async def _timed(sending: Coroutine[Any, Any, str], due: float) -> Sent:
    try:
        failure = await sending
    except OSError as error:
        failure = f"{type(error).__name__}: {error}"
    return Sent(due, time.monotonic() - due, failure)


def _in_short(method: str, answer: bytes) -> str:
    return f"{method}: {' '.join(answer.decode('latin-1').split())[:200]}"


def _balancer(service: Service, targets: list[int]) -> Server:
    port = free_port()
    argv = (sys.executable, "-m", "bench.balancer", str(port), *map(str, targets))
    return Server(argv, {**os.environ, "PYTHONPATH": str(ROOT)}, service.scratch, port, service.cores)


def _restart(place: Place, balancer: Server) -> Restart:
    began = time.monotonic()
    code = place.restart()
    _until_in(place, balancer)
    return Restart(place.process, code, time.monotonic() - began)


def _until_in(place: Place, balancer: Server) -> None:
    """Waits until a process is ready, and gets requests if it is one that does."""
    place.until_ready()
    if place.process == "web":
        balancer.until(lambda: place.port in _of(balancer)["ready"], f"{place.port} is not in")


def _of(balancer: Server) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(load.get(balancer.port, "/balancer").body)
    return told


def _cpu_seconds(balancer: Server) -> tuple[float, float]:
    """What the client, which is this process, and the balancer have used."""
    return time.process_time(), _of(balancer)["cpu_seconds"]
