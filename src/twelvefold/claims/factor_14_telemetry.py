"""XIV. Telemetry: what the service tells about itself is true, complete, and bounded."""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from uuid import uuid4

from ..harness import api, cardinality, collector, fuzz, http, metrics, traffic
from ..harness.claim import NotRun, Observations, Violation, claim, expect, need
from ..harness.collector import Collector, Span
from ..harness.contract import Telemetry
from ..harness.deploy import RELEASE_SECONDS, Deploy, Deploys, Made, unique_email, unique_marker
from ..harness.jobs import settled, wait_until_done
from ..harness.metrics import Metrics
from ..harness.processes import Process, eventually
from ..harness.sockets import ports_of

METHOD = ("method", "http_method", "http_request_method", "verb")
STATUS = ("status", "code", "status_code", "http_status", "http_status_code", "http_response_status_code")
ROUTE = ("route", "path", "http_route", "handler", "endpoint", "url", "uri", "path_template")
AT_ONCE = 5
DELETED = 3
HUGE_BODIES = 2
SETTLED_SECONDS = 5.0  # within which a count shows, where it is not made before the answer is sent
SCRAPES = 10
PAUSE_SECONDS = 0.05
GAUGE_SECONDS = 20.0  # longer than services usually wait before they count their queue again
JOBS_SECONDS = 60.0  # a busy machine may take long for so many
GRACE_SECONDS = 5.0
FAILS_SECONDS = 5.0
RETRIED_SECONDS = 8.0  # longer than services usually wait before they try a job again for the first time
EXCHANGES = 60
USUAL_PORT = 4318  # where OTLP over HTTP goes when nobody says where
HANDFUL = 20
LATE_FAMILIES = 4  # that come late, such as the first of a periodic job, may each bring a histogram's series
KINDS_OF_WHIMS = 200


@dataclass(frozen=True)
class Kind:
    """Requests that are to be counted alike."""

    method: str
    status: int | None
    """What has to be answered; None where that is for the service to choose."""
    times: int
    ask: Callable[[int], http.Response]
    """Asks for the nth time."""
    during: Callable[[], AbstractContextManager[None]] = nullcontext
    """What is so while they are asked."""


@dataclass(frozen=True)
class Context:
    """A client's own trace and span."""

    trace: str
    span: str

    @property
    def header(self) -> str:
        """What the client sends along (W3C Trace Context), with the mark that the trace is kept."""
        return f"00-{self.trace}-{self.span}-01"


@claim(
    "XIV.1",
    "Fifty requests move the counter by fifty; the queue's gauge is the count in SQL",
    threshold="counter + 50; gauge == SQL, with jobs and without, in web and worker",
    fast=True,
    seconds=5,
)
def metrics_tell_what_happened(deploy: Deploy, observe: Observations) -> None:
    path = need(deploy.web.metrics, "[web] metrics")
    web = deploy.start("web")
    queue = _Queue(deploy, path) if deploy.contract.jobs and deploy.contract.jobs.gauge else None
    if queue:
        queue.expect_agreement(web)
    metrics.scrape(web, path)  # which is under way itself while it is answered, and from then on has its series
    idle = _idle(web, path)
    kinds = _kinds(deploy, web)
    moved = [_count(web, path, deploy.web.requests_metric, kind) for kind in kinds]
    observe.measure("counter moved by", sum(sum(one.values()) for one in moved), "==", 50)
    _refused_bodies_count(deploy, web, path, observe)
    _told_apart([one for kind, one in zip(kinds, moved, strict=True) if kind.status])
    _nothing_is_under_way(web, path, idle)
    if queue:
        _gauge_is_true(deploy, web, path, queue, observe)
    elif deploy.contract.jobs:
        raise NotRun("the counter is right; factors.toml has no [jobs] gauge")


def _kinds(deploy: Deploy, web: Process) -> list[Kind]:
    """Fifty requests of several kinds."""
    thing = deploy.contract.thing
    nowhere = Kind("GET", 404, 10, lambda number: web.get(f"/nowhere-{number}-{uuid4().hex}"))
    if thing is None:
        alive = need(deploy.web.live or deploy.web.ready, "[thing], and no [web] live")
        return [nowhere, Kind("GET", 200, 40, lambda _: web.get(alive))]
    made = deploy.create(web)
    method, _, path = thing.create.partition(" ")
    kinds = [
        Kind(method, thing.status, 10, lambda _: deploy.create(web).response),
        nowhere,
        Kind(method, None, 5, lambda _: web.ask(method, path, body=b"{", headers={"Content-Type": "application/json"})),
    ]
    if thing.table and deploy.database:
        attempt = partial(deploy.attempt, web)
        fails = Kind(method, None, 5, lambda _: attempt(unique_marker(), unique_email()), lambda: traffic.away(deploy))
        kinds.append(fails)
    if thing.delete:
        gone = [deploy.create(web) for _ in range(DELETED)]
        how = thing.delete.partition(" ")[0]
        kinds.append(Kind(how, None, DELETED, lambda number: deploy.delete(web, gone[number])))
    if thing.list:
        how, _, where = thing.list.partition(" ")
        kinds.append(Kind(how, 200, 7, lambda _: web.ask(how, where)))
    return [*kinds, Kind("GET", 200, 50 - sum(kind.times for kind in kinds), lambda _: deploy.read(web, made))]


def _idle(web: Process, path: str) -> dict[str, float]:
    """The gauges of what is under way, while nobody asks for anything else; the last scrape may not have ended yet."""
    looks = []
    for _ in range(3):
        looks.append(metrics.under_way(metrics.scrape(web, path)))
        time.sleep(PAUSE_SECONDS)
    return {name: min(look.get(name, 0) for look in looks) for name in looks[-1]}


def _baseline(web: Process, path: str, name: str) -> tuple[Metrics, Metrics]:
    """All series, and by what asking for them moves the counter, once nothing else does any more.

    What was asked before may be counted a little later than it was answered.
    """
    last, before = metrics.scrape(web, path), metrics.scrape(web, path)
    own = metrics.moved(last, before, name)
    deadline = time.monotonic() + SETTLED_SECONDS
    while time.monotonic() < deadline:
        time.sleep(PAUSE_SECONDS)
        last, before, previous = before, metrics.scrape(web, path), own
        own = metrics.moved(last, before, name)
        if own == previous:
            break
    return before, own


def _count(web: Process, path: str, name: str, kind: Kind) -> Metrics:
    """Makes the requests of one kind, several at once; returns which series of the counter they have moved."""
    before, own = _baseline(web, path, name)
    expect(any(series.name == name for series in before), f"a counter called {name} at {path}")
    with kind.during(), ThreadPoolExecutor(AT_ONCE) as clients:
        answered = {answer.status for answer in clients.map(kind.ask, range(kind.times))}
    wrong = answered - {kind.status} if kind.status else set()
    expect(not wrong, f"{kind.status} from each of {kind.times} requests", wrong)
    statuses = {str(status) for status in answered} | {f"{status // 100}XX" for status in answered}

    moved: Metrics = {}
    for scrapes in count(1):
        moved = metrics.moved(before, metrics.scrape(web, path), name)
        for series, change in own.items():
            moved[series] = moved.get(series, 0) - change * scrapes
        moved = {series: change for series, change in moved.items() if change}
        if sum(moved.values()) >= kind.times or scrapes == SCRAPES:
            break
        time.sleep(SETTLED_SECONDS / SCRAPES)
    told = ", ".join(f"{series} {change:+g}" for series, change in moved.items())
    after = f"after {kind.times} requests with {kind.method} and {' or '.join(map(str, sorted(answered)))}"
    expect(sum(moved.values()) == kind.times, f"{name} + {kind.times} {after}", told or "no change")
    for names, right in ((METHOD, {kind.method}), (STATUS, statuses)):
        labels = {(series.label(*names) or "").upper() for series in moved} - {""}
        expect(labels <= right, f"{' or '.join(sorted(right))} on what was counted {after}", told)
    return moved


def _refused_bodies_count(deploy: Deploy, web: Process, path: str, observe: Observations) -> None:
    """Sends bodies that are larger than most services take: whoever is answered is counted, wherever it was refused."""
    if deploy.contract.thing is None:
        return
    name, (method, _, where) = deploy.web.requests_metric, deploy.thing.create.partition(" ")
    typed = (("Content-Type", "application/json"),)
    before, own = _baseline(web, path, name)
    huge = fuzz.Question("a huge body", method, where, typed, b" " * fuzz.HUGE)
    answered = sum(fuzz.ask(int(web.port or 0), huge) is not None for _ in range(HUGE_BODIES))

    scrapes = count(1)  # each may count itself

    def counted() -> bool:
        moved = metrics.moved(before, metrics.scrape(web, path), name)
        return sum(moved.values()) - next(scrapes) * sum(own.values()) >= answered

    eventually(counted, f"{name} to count {answered} requests with a huge body that were answered", SETTLED_SECONDS)
    observe.note(f"{answered} requests with a huge body are counted")


def _told_apart(moved: list[Metrics]) -> None:
    """Where the counter has a label for routes, different routes are in different series."""
    seen: set[metrics.Series] = set()
    for one in moved:
        routed = {series for series in one if series.label(*ROUTE) is not None}
        expect(not routed & seen, "the routes in different series", ", ".join(map(str, routed & seen)))
        seen |= routed


def _nothing_is_under_way(web: Process, path: str, idle: Mapping[str, float]) -> None:
    """Waits until the gauges of what is under way tell what they told before anybody asked for anything."""
    told: Mapping[str, float] = {}
    deadline = time.monotonic() + 3 * SETTLED_SECONDS  # some work may go on after an answer
    while time.monotonic() < deadline:
        told = metrics.under_way(metrics.scrape(web, path))
        wrong = [name for name in told if told[name] != idle.get(name, 0)]
        if not wrong:
            return
        time.sleep(SETTLED_SECONDS / SCRAPES)
    shown = ", ".join(f"{name} {told[name]:g}, {idle.get(name, 0):g} before" for name in wrong)
    raise Violation(f"expected nothing under way once every request was answered, saw {shown}")


class _Queue:
    """The waiting jobs, as SQL counts them and as a process tells."""

    def __init__(self, deploy: Deploy, path: str) -> None:
        self._database = deploy.db
        self._count = need(deploy.jobs.waiting, "[jobs] waiting")
        self._gauge = metrics.selector(need(deploy.jobs.gauge, "[jobs] gauge"))
        self._path = path

    @property
    def waiting(self) -> int:
        """How many there are."""
        return int(self._database.value(self._count))

    def expect_agreement(self, process: Process, least: int = 0) -> int:
        """Waits until the process tells the count, and that is no less; returns it. Raises Violation."""
        told: float | None = None
        deadline = time.monotonic() + GAUGE_SECONDS
        while time.monotonic() < deadline:
            before = self.waiting
            told = metrics.value_of(metrics.scrape(process, self._path), self._gauge)
            if told == before == self.waiting >= least:
                return before
            time.sleep(0.1)
        raise Violation(f"{process.type} tells {self._gauge} {told}, where SQL counts {self.waiting}")


def _gauge_is_true(deploy: Deploy, web: Process, path: str, queue: _Queue, observe: Observations) -> None:
    many = settled(lambda: queue.waiting)  # a job may be made after the answer
    expect(many > 10, "a waiting job for each thing that was created", many)
    queue.expect_agreement(web)
    deploy.create(web)
    eventually(lambda: queue.waiting == many + 1, "one more waiting job after one more thing")
    queue.expect_agreement(web)
    due = _due(deploy)
    with deploy.db.locked(need(deploy.thing.table, "[thing] table")):
        worker = deploy.start(deploy.jobs.process)
        deploy.db.wait_for_waiting(seconds=30)
        held = queue.expect_agreement(worker) if worker.port else 0
        queue.expect_agreement(web)
    eventually(lambda: queue.waiting == 0, "every job to be done", JOBS_SECONDS)
    queue.expect_agreement(web)
    observe.note(f"web's gauge == SQL at 0, {many}, {many + 1}, {held} and 0")
    if not worker.port:
        raise NotRun("web's gauge is right; factors.toml has no [jobs] metrics_port to look at the worker's")
    queue.expect_agreement(worker)
    observe.note(f"worker's gauge == SQL at {held} and 0")
    if deploy.jobs.counter:
        _expect_told(worker, path, metrics.selector(deploy.jobs.counter), many + 1, lambda: _due(deploy) - due)
        observe.note(f"worker's counter == {many + 1} jobs")
    _expect_told_of_retries(deploy, web, queue, observe)


def _expect_told_of_retries(deploy: Deploy, web: Process, queue: _Queue, observe: Observations) -> None:
    """Has a job fail, and compares while it waits to be tried again, if such jobs count as waiting."""
    table = deploy.jobs.table
    events = "UPDATE" if table == deploy.thing.table else "INSERT OR UPDATE"
    with deploy.db.failing(table, events) as failures:
        if deploy.attempt(web, unique_marker(), unique_email()).status != deploy.thing.status:
            return
        with suppress(Violation):  # which need not be: the job may be done otherwise
            eventually(failures, "its job to fail", FAILS_SECONDS)
        if failures() and settled(lambda: queue.waiting):
            queue.expect_agreement(web, 1)
            observe.note("web's gauge == SQL while a job waits to be tried again")


def _due(deploy: Deploy) -> int:
    """How many jobs the schedule has made; a worker may be its own clock."""
    clock = deploy.contract.clock
    return int(deploy.db.value(clock.jobs) or 0) if clock and clock.jobs else 0


def _expect_told(
    process: Process, path: str, counter: metrics.Series, right: int, scheduled: Callable[[], int]
) -> None:
    """Waits until a counter tells that much, and looks whether it tells more than what the schedule adds."""
    told: float | None = None

    def enough() -> bool:
        nonlocal told
        told = metrics.value_of(metrics.scrape(process, path), counter)
        return (told or 0) >= right

    with suppress(Violation):
        eventually(enough, "", JOBS_SECONDS)  # the last may be at work still
    expect(
        right <= (told or 0) <= right + scheduled(),
        f"{counter} {right} from {process.type}, once so many jobs are done",
        told,
    )


@claim(
    "XIV.2",
    "A trace crosses web and worker to a collector, and a dead collector changes nothing",
    threshold="one trace, in order; without a collector the same answers, half of them in < 0.5 s, each < 3 s later,"
    " and an end within the grace time",
    seconds=10,
)
def traces_arrive_and_cost_nothing(deploys: Deploys, observe: Observations) -> None:
    deploy = deploys.new()
    if deploy.contract.telemetry is None:
        raise NotRun("factors.toml has no [telemetry]")
    if deploy.web.grace:
        deploy.variables[deploy.web.grace] = f"{GRACE_SECONDS:g}"
    if deploy.web.drain:
        deploy.variables[deploy.web.drain] = "0"
    _a_trace_crosses(deploy, deploy.contract.telemetry, observe)
    _a_dead_collector_changes_nothing(deploy, deploy.contract.telemetry, observe)


def _started(deploy: Deploy, process: str, telemetry: Telemetry, url: str | None) -> Process:
    """Starts a process type with traces going to a collector, and waits for nothing."""
    before = dict(deploy.variables)
    if url:
        deploy.variables |= {**telemetry.given, telemetry.endpoint: url}
    try:
        return deploy.start(process, ready=False)
    finally:
        deploy.variables = before


def _a_trace_crosses(deploy: Deploy, telemetry: Telemetry, observe: Observations) -> None:
    has_worker = bool(deploy.contract.jobs and deploy.contract.jobs.process in deploy.contract.processes)
    # A collector for each process: where a span arrives shows where it comes from.
    with collector.listening() as of_web, collector.listening() as of_worker:
        web = _started(deploy, "web", telemetry, of_web.url)
        worker = _started(deploy, deploy.jobs.process, telemetry, of_worker.url) if has_worker else None
        running = [process for process in (web, worker) if process]
        for process in running:
            deploy.wait_until_ready(process)
        retried = _retried(deploy, web) if worker else None
        contexts = [_context() for _ in range(2)]
        made = [deploy.create(web, headers={"traceparent": context.header}) for context in contexts]
        if worker:
            wait_until_done(deploy, made, JOBS_SECONDS)
        again = bool(retried and _done_in_the_end(deploy, retried.id))
        with suppress(Violation):  # most exporters wait for more spans before they send any; an end makes them send
            eventually(lambda: of_web.of(contexts[1].trace) and (not worker or of_worker.of(contexts[1].trace)), "", 6)
        for process in running:
            process.stop()
        for context in contexts:
            _is_one_trace(context, of_web, of_worker if worker else None)
        if retried and again:
            _is_one_trace(retried.context, of_web, of_worker)
            late = [span for span in of_worker.of(retried.context.trace) if span.ended > retried.mended]
            seen = ", ".join(map(str, of_worker.of(retried.context.trace)))
            expect(late, "the attempt that succeeded in the client's trace too", f"only those before it: {seen}")
            observe.note("a job that failed at first stays in its trace")
        expect(not of_web.trouble + of_worker.trouble, "OTLP over HTTP", (of_web.trouble + of_worker.trouble)[:1])
        names = {span.service for span in of_web.spans + of_worker.spans}
        nameless = {name for name in names if not name or name.startswith("unknown_service")}
        expect(not nameless, "a service.name in every resource", nameless)
        observe.note(
            f"{len(of_web.spans)} spans from web and {len(of_worker.spans)} from worker, of {' and '.join(names)}"
        )


def _context() -> Context:
    return Context(uuid4().hex, uuid4().hex[:16])


@dataclass(frozen=True)
class _Retried:
    """A thing whose job has failed once."""

    id: str
    context: Context
    mended: int
    """Since when its job can succeed, in nanoseconds since 1970."""


def _retried(deploy: Deploy, web: Process) -> _Retried | None:
    """Makes a thing whose job fails at first; None where the experiment cannot make it fail."""
    thing, jobs, context = deploy.thing, deploy.jobs, _context()
    if not thing.table:
        return None
    events = "UPDATE" if jobs.table == thing.table else "INSERT OR UPDATE"
    with deploy.db.failing(jobs.table, events) as failures:
        response = deploy.attempt(web, unique_marker(), unique_email(), headers={"traceparent": context.header})
        if response.status != thing.status:
            return None
        with suppress(Violation):  # which need not be: the job may be done otherwise
            eventually(failures, "its job to fail", FAILS_SECONDS)
        failed, mended = failures(), time.time_ns()
    return _Retried(deploy.id_in(response), context, mended) if failed else None


def _done_in_the_end(deploy: Deploy, identifier: str) -> bool:
    """Whether a failed job is tried again soon, which is not this claim's matter."""
    with suppress(Violation):
        eventually(lambda: deploy.done(identifier), "the job to be tried again", RETRIED_SECONDS)
        return True
    return False


def _is_one_trace(context: Context, of_web: Collector, of_worker: Collector | None) -> None:
    """The client's span is the parent of the server's, that one's descendant is the producer, whose is the consumer."""
    in_web = of_web.of(context.trace)
    spans = {span.id: span for span in in_web + (of_worker.of(context.trace) if of_worker else [])}
    seen = ", ".join(map(str, spans.values())) or "no span of it"

    def above(span: Span) -> list[Span]:
        chain = [span]
        while chain[-1].parent in spans and len(chain) <= len(spans):
            chain.append(spans[chain[-1].parent])
        return chain[1:]

    servers = [span for span in in_web if span.kind == "server" and span.parent == context.span]
    expect(len(servers) == 1, "one server span from web, as a child of the client's", seen)
    strays = [span for span in spans.values() if span is not servers[0] and servers[0] not in above(span)]
    expect(not strays, "every span of the trace below the server's", ", ".join(map(str, strays)))
    if of_worker is None:
        return
    producers = [span for span in in_web if span.kind == "producer"]
    expect(producers, "a producer span from web, in the client's trace", seen)
    consumers = [span for span in of_worker.of(context.trace) if span.kind == "consumer"]
    expect(consumers, "a consumer span from worker, in the client's trace", seen)
    lost = [span for span in consumers if not any(one in producers for one in above(span))]
    expect(not lost, "each consumer span below its producer's", ", ".join(map(str, lost)))


def _a_dead_collector_changes_nothing(deploy: Deploy, telemetry: Telemetry, observe: Observations) -> None:
    has_worker = bool(deploy.contract.jobs and deploy.contract.jobs.process in deploy.contract.processes)
    with ExitStack() as stack:
        refusing, silent = stack.enter_context(collector.refusing()), stack.enter_context(collector.silent())
        nobody = _at_the_usual_port(stack, deploy)
        plain = _started(deploy, "web", telemetry, None)
        dead = [_started(deploy, "web", telemetry, url) for url in (refusing, silent)]
        workers = [_started(deploy, deploy.jobs.process, telemetry, silent)] if has_worker else []
        late = stack.enter_context(ThreadPoolExecutor(1)).submit(_one_off_late, deploy, telemetry, silent)
        for process in (plain, *dead, *workers):
            deploy.wait_until_ready(process)
        usual, ordinary, _ = _exchange(deploy, plain)
        for web, how in zip(dead, ("refuses", "hangs"), strict=True):
            answers, seconds, made = _exchange(deploy, web)
            expect(answers == usual, f"the same answers where the collector {how}", f"{answers}, not {usual}")
            observe.measure(f"collector {how}: half of the answers within", statistics.median(seconds), "<", 0.5, "s")
            slower = max(one - other for one, other in zip(seconds, ordinary, strict=True))
            observe.measure("the slowest later than without one, by", slower, "<", 3, "s")
            if workers:
                wait_until_done(deploy, made, JOBS_SECONDS)
        if (seconds_late := late.result()) is not None:
            observe.measure(
                "a one-off ends later where the collector hangs, by", seconds_late, "<", GRACE_SECONDS + 2, "s"
            )
        _end_in_time((*dead, *workers), observe)
        plain.stop()
        if nobody:
            observe.expect(not nobody.connections, "nothing is sent without being told where to", nobody.connections)


def _one_off_late(deploy: Deploy, telemetry: Telemetry, url: str) -> float | None:
    """How many seconds later a one-off ends that has this collector than one without; None where there is none."""
    command = deploy.contract.admin and deploy.contract.admin.succeeds
    if not command:
        return None
    plain, traced = deploy.launch(command), deploy.launch(command, **{**telemetry.given, telemetry.endpoint: url})
    expect(plain.wait(RELEASE_SECONDS) == 0, f"`{command}` to exit 0", plain.tail())
    began = time.monotonic()
    code = traced.wait(RELEASE_SECONDS)
    expect(code == 0, f"`{command}` to exit 0 where the collector hangs", f"{code}: {traced.tail()}")
    return time.monotonic() - began


def _at_the_usual_port(stack: ExitStack, deploy: Deploy) -> Collector | None:
    """A collector where exporters send to by themselves; None where somebody else has that port.

    What others on this machine send there does not count, where it can be seen whose it is.
    """

    def of_the_service(port: int) -> bool:
        try:
            return port in ports_of(pid for process in list(deploy.processes) for pid in process.family())
        except NotRun:
            return True

    try:
        return stack.enter_context(collector.listening(USUAL_PORT, of_the_service))
    except OSError:
        return None


def _exchange(deploy: Deploy, web: Process) -> tuple[list[object], list[float], list[Made]]:
    """Several requests: what the answers look like, how long each took, and what was made."""
    answers: list[object] = []
    seconds: list[float] = []
    made: list[Made] = []
    for turn in range(EXCHANGES):
        began = time.monotonic()
        try:
            if turn % 3 == 0:
                made.append(deploy.create(web))
                response = made[-1].response
            else:
                response = deploy.read(web, made[-1]) if turn % 3 == 1 else web.get("/nowhere")
        except http.NO_ANSWER as error:
            raise Violation(f"expected an answer while the collector is dead, saw {error!r}") from None
        seconds.append(time.monotonic() - began)
        answers.append((response.status, *sorted(response.headers)))
    return answers[:3], seconds, made


def _end_in_time(processes: Sequence[Process], observe: Observations) -> None:
    """All are told to stop at once; each has the grace time, and a little for the rest."""
    began = time.monotonic()
    for process in processes:
        process.signal(signal.SIGTERM)
    for process in processes:
        code = process.wait(GRACE_SECONDS + 10)
        expect(code in (0, 143), f"a clean end of {process.type} without a collector", code)
    observe.measure("end without a collector", time.monotonic() - began, "<", GRACE_SECONDS + 2, "s")


@claim(
    "XIV.3",
    "A thousand random paths add a bounded number of series",
    threshold=f"<= {HANDFUL} more series",
    seconds=10,
)
def series_do_not_grow_with_what_clients_send(deploy: Deploy, observe: Observations) -> None:
    path = need(deploy.web.metrics, "[web] metrics")
    collections = _collections(deploy)
    web = deploy.start("web")
    has_worker = deploy.contract.jobs and deploy.contract.thing and deploy.contract.jobs.metrics_port
    running = [web, deploy.start(deploy.jobs.process)] if has_worker else [web]
    free, asked = _free_texts(deploy, web), _what_is_read(deploy, web, collections)
    _live(deploy, web, 5, free)  # whatever a kind of request adds, it adds at its first time
    _send(web, cardinality.whims(KINDS_OF_WHIMS, collections, seed=1))
    for process in running:
        metrics.scrape(process, path)  # which adds the series of that request
    before = [metrics.scrape(process, path) for process in running]
    answered = _send(web, cardinality.whims(1000, collections))
    expect(answered > 900, "answers to most of a thousand requests", answered)
    _send(web, (cardinality.with_values(*one, unique_marker()) for one in asked for _ in range(2 * HANDFUL)))
    _live(deploy, web, 30, free)
    for process, had in zip(running, before, strict=True):
        has = metrics.scrape(process, path)
        late = metrics.families(has.keys() - had.keys())
        more = len(has) - len(had) if len(late) > LATE_FAMILIES else len(late)
        observe.measure(f"series of {process.type}: {len(had)} +", more, "<=", HANDFUL)


def _collections(deploy: Deploy) -> tuple[str, ...]:
    """The paths below which identifiers lie."""
    thing = deploy.contract.thing
    return (thing.read.partition(" ")[2].partition("/{id}")[0],) if thing else ()


def _send(web: Process, whims: Iterable[cardinality.Whim]) -> int:
    """Sends them all; returns how many were answered."""
    return sum(cardinality.send(int(web.port or 0), whim) > 0 for whim in whims)


def _what_is_read(deploy: Deploy, web: Process, collections: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Paths, each with some names that the code may read of a request, and that do not change how it is answered."""
    names = cardinality.names_in(deploy.workspace.source / folder for folder in deploy.contract.code.folders)
    parts = [names[first : first + cardinality.AT_A_TIME] for first in range(0, len(names), cardinality.AT_A_TIME)]
    paths = collections or (deploy.web.live or "/",)
    return [(path, _without_effect(web, path, part)) for path in paths for part in parts]


def _without_effect(web: Process, path: str, names: list[str]) -> list[str]:
    """The names of which a value changes nothing of the status."""

    def status(*some: str) -> int:
        return cardinality.send(int(web.port or 0), cardinality.with_values(path, some, unique_marker()))

    usual = status()
    return names if status(*names) == usual else [name for name in names if status(name) == usual]


def _free_texts(deploy: Deploy, web: Process) -> list[str]:
    """The fields of a thing that take any text, and that are the same, or missing, in what is sent usually."""
    thing, path = deploy.contract.thing, deploy.web.contract
    if thing is None:
        return []
    names = {name: None for name, value in thing.body.items() if isinstance(value, str)}
    with suppress(Violation, NotRun, *http.NO_ANSWER):  # not everybody tells what may be sent
        document = api.parsed(web.get(path).text, path) if path else None
        operation = document.operation(thing.create) if document else None
        names |= dict.fromkeys(api.texts(document, operation) if document and operation else [])
    open_ = [name for name in names if "{" not in str(thing.body.get(name, ""))]

    def taken(*chosen: str) -> bool:
        more = dict.fromkeys(chosen, unique_marker())
        return deploy.attempt(web, unique_marker(), unique_email(), more=more).status == thing.status

    return open_ if taken(*open_) else [name for name in open_ if taken(name)]


def _live(deploy: Deploy, web: Process, times: int, free: Iterable[str]) -> None:
    """Makes things of which no two are alike, reads them and deletes some, and has their jobs done."""
    if deploy.contract.thing is None:
        return
    made = [
        deploy.create(web, more={name: unique_marker() for name in free}, headers=cardinality.remarks(unique_marker()))
        for _ in range(times)
    ]
    for one in made:
        deploy.read(web, one)
    if deploy.contract.jobs and deploy.contract.jobs.metrics_port:
        wait_until_done(deploy, made, JOBS_SECONDS)
    if deploy.thing.delete:
        for one in made[::2]:
            deploy.delete(web, one)
