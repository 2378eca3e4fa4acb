"""XI. Logs: a stream of events on stdout, whoever speaks; where it flows is the platform's affair."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from ..harness import events, log_files, talkative, tracing
from ..harness.claim import NotRun, Observations, Violation, claim, expect
from ..harness.config import files_since
from ..harness.deploy import RELEASE_SECONDS, Deploy, Deploys, Made, unique_email, unique_marker
from ..harness.passage import Passage
from ..harness.processes import Process, eventually
from ..harness.traffic import ask, crying, failing, faulty, ordinary
from ..harness.trouble import (
    Inside,
    ends,
    failed_imports,
    has_worker,
    inside,
    refusals,
    release_that_fails,
    tells_of_it,
    worker_whose_job_fails,
)
from ..harness.usage import declared_in, is_among

ON_THE_PIPE_SECONDS = 1
REQUESTS = 120
THINGS = 40
BURST = 20
JOBS = 40
UNDER_WAY = 5  # so many of the last may still have been under way when the process was killed
JOB_SECONDS = 60
LAST_LINES_SECONDS = 0.05  # between the effect of a job and its line there may be another round trip
NO_SUCH = "no-such-thing-as-"
STARTS = 60  # characters by which a line is known
A_MINUTE = 60


@claim(
    "XI.1",
    "Logs go to stdout and stderr alone",
    threshold="0 log files, 0 collectors, after 200 requests and as many as that brings of jobs and errors",
    seconds=12,
)
def logs_go_to_stdout_alone(deploy: Deploy, observe: Observations) -> None:
    began = time.time()
    traces: list[tracing.Trace] = []

    def traced() -> tuple[str, ...]:
        traces.append(tracing.prepare(deploy, log_files.CALLS))
        return traces[-1].prefix

    passage = Passage(deploy, traced)
    web_type = deploy.contract.web.process if deploy.contract.web else ""
    running = [passage.start(name) for name in deploy.contract.long_running]
    places = {name: deploy.folder / f"for-{name}" for name in talkative.variables(deploy.workspace)}
    if web_type and (given := talkative.accepted(deploy, web_type, places)):
        running.append(deploy.start(web_type, ready=False, prefix=traced(), **given))
    for process in running:
        deploy.wait_until_ready(process)
    webs = [process for process in running if process.type == web_type]
    requests = load(deploy, webs[0]) if webs else 0
    requests += sum(len(failing(deploy, one)) for one in webs[1:] if can_fail(deploy))
    passed = passage.let_a_day_pass()
    running += passage.later
    ended = [deploy.launch(command, prefix=traced()) for command in ended_by_themselves(deploy)]
    for process in ended:
        process.wait(RELEASE_SECONDS)
    for process in running:  # what was kept in memory is written at the end
        process.stop()
    seen = talkative.kept(places)
    resources = declared_in(deploy.environment_of("", {})[0]).values()
    for process, trace in zip((*running, *ended), traces, strict=True):
        trace.wait(process.pid)
        seen += written(process.type, trace, resources)
    own = deploy.folder, deploy.workspace.environment
    left = [file for file in files_since(dict.fromkeys(own, 12), began) if log_files.looks_like_a_log(file)]
    seen += [f"the file {file} has lines like a log's" for file in left if str(file) not in "".join(seen)]
    observe.expect(not seen, "0 log files and 0 collectors of logs", "; ".join(seen[:5]))
    observe.note(f"{len(traces)} programs traced to their end, {requests} requests, {passed}")


def load(deploy: Deploy, web: Process) -> int:
    """Has web do everything, some of it often, and has the worker done with it; returns the number of requests."""
    asked = len(ordinary(deploy, web))
    asked += len([ask(web, "GET", f"/{NO_SUCH}{number}") for number in range(REQUESTS)])
    if deploy.contract.thing:
        made = [deploy.create(web) for _ in range(THINGS)]
        asked += len(made) + len([deploy.read(web, one) for one in made])
        if has_worker(deploy):
            wait_until_done(deploy, made)
        if can_fail(deploy):
            asked += len(failing(deploy, web))
    return asked + len(faulty(deploy, web))


def can_fail(deploy: Deploy) -> bool:
    """Whether requests can be made to fail by taking a table away."""
    return bool(deploy.database and deploy.contract.thing and deploy.thing.table)


def wait_until_done(deploy: Deploy, made: list[Made]) -> None:
    """Waits until the job of each has had its effect, and returns in that very moment."""
    left = [one.id for one in made]
    with deploy.db.connect() as connection:

        def is_done() -> bool:
            while left and connection.execute(deploy.jobs.effect, {"id": left[-1]}).fetchall():
                left.pop()
            return not left

        eventually(is_done, f"{len(made)} jobs to be done", JOB_SECONDS, pause=0.005)


def written(name: str, trace: tracing.Trace, resources: Collection[tuple[str, int]]) -> list[str]:
    """What a program has written where it should not, in words."""
    calls = trace.calls()
    told = log_files.told(calls)
    files = log_files.filled(calls).values()
    found = [f"{name} writes {file.path}, which {problem}" for file in files if (problem := file.problem(told))]
    strangers = [one for one in trace.contacts() if not is_among(one, resources)]
    places = log_files.collectors(calls, strangers)
    return found + [f"{name} tells a collector of logs, at {place}" for place in places]


def ended_by_themselves(deploy: Deploy) -> list[str]:
    """The release, the one-offs and what shows the configuration, as far as there are such."""
    admin = deploy.contract.admin
    commands = ["release" if "release" in deploy.contract.processes else None, deploy.contract.config.show]
    commands += [admin.succeeds, admin.fails, admin.purge, *admin.others] if admin else []
    return [command.replace("{email}", unique_email()) for command in commands if command]


@claim(
    "XI.2",
    "A line is on the pipe as soon as it is written",
    threshold="within 1 s, and there after a SIGKILL",
    seconds=8,
)
def a_line_is_there_at_once(deploys: Deploys, observe: Observations) -> None:
    deploy = deploys.new()
    within = inside(deploy)
    lines_come_at_once(within, observe)
    clocks = [deploy.contract.clock.process] if deploy.contract.clock else []
    ticking = [within.deploy.start(name, ready=False) for name in clocks if name in deploy.contract.processes]
    if has_worker(deploy):
        lines_of_jobs_come_at_once(within, observe)
    for clock in ticking:
        deploy.wait_until_ready(clock)
        warnings_come_at_once(within, clock)
        kept_until_the_end(clock, len(clock.lines), "its start")
    if "release" in deploy.contract.processes and deploy.workspace.driver == "process":
        lines_of_a_one_off_come_at_once(deploys.new(released=False), observe)


def warnings_come_at_once(within: Inside, process: Process) -> None:
    """Raises Violation when the process keeps what a library tells until its end; it may keep it to itself."""
    token = within.warn(process)
    if not token:
        return
    try:
        eventually(lambda: token in process.output, "the warning", ON_THE_PIPE_SECONDS)
    except Violation:
        process.end()
        text = f"a library's warning in the log of {process.type} within {ON_THE_PIPE_SECONDS} s"
        expect(token not in process.output, text, "that it is kept until the end")


def lines_come_at_once(within: Inside, observe: Observations) -> None:
    """Asks web a few times and waits for each line; then asks it often, and kills it upon the last answer."""
    deploy = within.deploy
    web = deploy.start(deploy.web.process)
    ask_for = telling_request(deploy, web)
    slowest, each = 0.0, []
    for _ in range(3):
        quiet(web)
        before = len(web.lines)
        ask_for()
        slowest = max(slowest, seconds_until_line(web, before))
        quiet(web)
        each.append(len(web.lines) - before)
    observe.measure("web: from the answer to its line", slowest, "<", ON_THE_PIPE_SECONDS, "s")
    warnings_come_at_once(within, web)
    web = web if web.alive else deploy.start(deploy.web.process)
    before = len(web.lines)
    for _ in range(BURST):
        ask_for()
    web.kill()
    expected = (BURST - UNDER_WAY) * min(each)
    observe.measure(f"web: lines of {BURST} requests after SIGKILL", len(web.lines) - before, ">=", expected)


def telling_request(deploy: Deploy, web: Process) -> Callable[[], object]:
    """A request of which web writes a line at once.

    Raises Violation when such lines come later, and NotRun when web tells of none.
    """
    kinds: list[Callable[[], object]] = [lambda: ask(web, "GET", f"/{NO_SUCH}{unique_marker()}")]
    if deploy.contract.thing:
        kinds.append(lambda: deploy.create(web))
    before = len(web.lines)
    for ask_for in kinds:
        before = len(web.lines)
        if all(tells_at_once(web, ask_for) for _ in range(2)):  # once may be a late line of the start
            return ask_for
    kept_until_the_end(web, before, "a request")
    raise NotRun("web writes no line about a request, so nothing can be said of when it would come")


def tells_at_once(web: Process, ask_for: Callable[[], object]) -> bool:
    """Whether web writes something as soon as it is asked."""
    quiet(web)
    before = len(web.lines)
    ask_for()
    try:
        eventually(lambda: len(web.lines) > before, "a line", ON_THE_PIPE_SECONDS)
    except Violation:
        return False
    return True


def kept_until_the_end(process: Process, before: int, what: str) -> None:
    """Ends the process; raises Violation when it only then writes of what was long ago."""
    asked_to_end, ahead = time.time(), time.time() - time.monotonic()
    try:
        process.stop()
    except Violation:
        process.kill()
    late = [line for at, line in process.lines[before:] if is_late(line, at + ahead, asked_to_end)]
    if late:
        text = f"the line of {what} within {ON_THE_PIPE_SECONDS} s"
        raise Violation(f"expected {text}, saw {process.type} keep it until its end: {late[0][:160]}")


def is_late(line: str, at: float, asked_to_end: float) -> bool:
    """Whether a line came long after what it tells of, at the latest before the process was told to end."""
    known = min(at, asked_to_end)
    newest = max(events.times_in(line), default=known)
    least = 0.5 if newest % 1 else 1.5  # a time in whole seconds may be that of a second later
    return (NO_SUCH in line and at >= asked_to_end) or least < known - newest < A_MINUTE


def seconds_until_line(process: Process, before: int) -> float:
    """Waits for the line of what has just been done; returns after how many seconds it was there."""
    began = time.monotonic()
    what = f"a line of {process.type} within {ON_THE_PIPE_SECONDS} s"
    eventually(lambda: len(process.lines) > before, what, ON_THE_PIPE_SECONDS)
    return max(0.0, process.lines[before][0] - began)


def quiet(process: Process, seconds: float = 0.2) -> None:
    """Waits until the process has written nothing for a moment."""
    eventually(lambda: not process.lines or time.monotonic() - process.lines[-1][0] > seconds, "silence in the log", 10)


def lines_of_jobs_come_at_once(within: Inside, observe: Observations) -> None:
    """The same with jobs: one, and many that a worker finds waiting."""
    deploy = within.deploy
    web = deploy.start(deploy.web.process)
    worker = deploy.start(deploy.jobs.process)
    for _ in range(2):  # once may be a late line of the start
        quiet(worker)
        before = len(worker.lines)
        made = deploy.create(web)
        eventually(partial(deploy.done, made), "a job to be done", JOB_SECONDS)
        with suppress(Violation):
            took = seconds_until_line(worker, before)
            observe.measure("worker: from the effect of a job to its line", took, "<", ON_THE_PIPE_SECONDS, "s")
        if len(worker.lines) == before:
            kept_until_the_end(worker, before, "a job")
            observe.note("worker: writes no line about a job")
            return
    warnings_come_at_once(within, worker)
    worker.end()
    several = [deploy.create(web) for _ in range(JOBS)]
    worker = deploy.start(deploy.jobs.process, ready=False)
    done, lines = kill_when_lines_are_missing(deploy, worker, several)
    observe.measure(f"worker: lines of {done} jobs after SIGKILL", lines, ">=", done - UNDER_WAY)


def kill_when_lines_are_missing(deploy: Deploy, worker: Process, made: list[Made]) -> tuple[int, int]:
    """Kills the worker once more lines are missing than jobs may be under way, at the latest when all are done.

    So it does not matter how often somebody writes what is kept. Returns how many jobs were done, and how many lines
    came since the first of them.
    """
    began, starts, done = time.monotonic(), 0, 0
    with deploy.db.connect() as connection:
        while done < len(made) and done - (len(worker.lines) - starts) <= UNDER_WAY:
            before = len(worker.lines)
            done = sum(bool(connection.execute(deploy.jobs.effect, {"id": one.id}).fetchall()) for one in made)
            starts = starts if done else before
            expect(time.monotonic() - began < JOB_SECONDS, f"{len(made)} jobs to be done within {JOB_SECONDS} s", done)
            time.sleep(LAST_LINES_SECONDS)
    worker.kill()
    return done, len(worker.lines) - starts


def lines_of_a_one_off_come_at_once(deploy: Deploy, observe: Observations) -> None:
    """Looks at how a program that ends by itself writes: who keeps lines writes several together in the end."""
    trace = tracing.prepare(deploy, ["write", "writev"])
    finished = deploy.run("release", prefix=trace.prefix)
    expect(finished.code == 0, "release to exit 0", finished.process.tail())
    trace.wait(finished.process.pid)
    lines = [line for _, line in finished.process.lines]
    starts = {line[:STARTS] for line in lines}
    alone = {start for text in log_files.told(trace.calls()) for start in starts if plain(text).startswith(start)}
    held_back = len(starts) - len(alone)
    observe.measure(f"release: of {len(lines)} lines, those that were written later with others", held_back, "==", 0)


def plain(text: str) -> str:
    """What strace shows of a text, as it was."""
    return text.replace('\\"', '"').replace("\\\\", "\\")


@claim(
    "XI.3",
    "Every line of every process type is one JSON event",
    threshold="0 lines without a time, a level and a message, whatever goes wrong",
    seconds=16,
)
def every_line_is_one_event(deploys: Deploys, observe: Observations) -> None:
    deploy = deploys.new()
    within = inside(deploy)
    heard: list[Process] = []
    imported: dict[str, list[str]] = {}

    def hear(process: Process) -> Process:
        """Takes it among those whose every line counts, and what was imported until now."""
        heard.append(process)
        imported[process.type] = within.make_trouble(process)
        expect_events(heard)
        return process

    for kind in ("postgres", "cache"):
        if deploy.contract.resource(kind):
            with suppress(NotRun):  # not every machine has a cache
                deploy.proxied(kind)
    web = hear(within.deploy.start(deploy.web.process))
    expect_access_log(deploy, web)
    if has_worker(deploy):
        hear(worker_whose_job_fails(within.deploy, web))
    passage = Passage(within.deploy)
    for name in deploy.contract.long_running:
        if name not in imported:
            process = passage.start(name)
            deploy.wait_until_ready(process)
            hear(process)
    passed = passage.let_a_day_pass()
    heard += passage.later
    if deploy.database and deploy.contract.thing:
        without_table_and_resources(deploy, web, heard)
    for process in heard[::-1]:
        process.stop()
    expect_events(heard)
    names = ", ".join(process.type for process in heard)
    observe.note(f"{names}: work, mistakes, outages, crashes, SIGTERM, {passed}")

    traces: list[tracing.Trace] = []

    def traced() -> tuple[str, ...]:
        with suppress(NotRun):  # without it, the lines of a crash are looked at all the same
            traces.append(tracing.prepare(within.deploy, log_files.CALLS))
            return traces[-1].prefix
        return ()

    crashes = failed_imports(within, imported, traced)
    with ThreadPoolExecutor() as pool:
        looks = [pool.submit(list, one) for one in (refusals(deploy), crashes, ends(deploy))]
    refused, crashed, ended = (look.result() for look in looks)
    if not traces:
        observe.note("not seen: files that a crash writes, since nothing can be traced here")
    for (what, process), trace in zip(crashed, traces, strict=False):
        trace.wait(process.pid)
        told = written(process.type, trace, declared_in(deploy.environment_of("", {})[0]).values())
        expect(not told, f"{what} to tell of it on stdout and stderr alone", "; ".join(told))
    for what, process in (*refused, *crashed):
        expect(process.lines, f"{what} to say so", "nothing")
        expect_events([process])
        heard.append(process)
        observe.note(f"{what.rstrip(',')}: {len(process.lines)} event(s)")
    heard += [process for _, process in ended if not is_usage(process)]
    if "release" in deploy.contract.processes and deploy.database and deploy.contract.thing:
        heard.append(release_that_fails(deploys.new(released=False)))
    expect_events(heard)
    observe.measure(f"of {sum(len(process.lines) for process in heard)} lines, those that are no event", 0, "==", 0)
    if within.reason:
        observe.note(f"not seen: crashes and warnings of libraries ({within.reason})")


def expect_events(processes: list[Process]) -> None:
    """Raises Violation with the first lines that are no events."""
    found = events.problems(processes)
    expect(not found, "one JSON event a line, with a time, a level and a message", "; ".join(found[:3]))


def expect_access_log(deploy: Deploy, web: Process) -> None:
    """Raises Violation unless requests are told of, each in an event."""
    before = len(web.lines)
    asked = len([*ordinary(deploy, web), *faulty(deploy, web)])
    with suppress(Violation):
        eventually(lambda: len(web.lines) - before >= asked, "", 2)
    seen = len(web.lines) - before
    expect(seen >= asked // 2, f"an access log, so at least {asked // 2} lines after {asked} requests", seen)


def without_table_and_resources(deploy: Deploy, web: Process, everybody: list[Process]) -> None:
    """Has requests fail since the table is not there, and since neither the cache nor the database answers."""
    before = len(web.lines)
    if deploy.thing.table:
        answers = [exchange.response for exchange in failing(deploy, web)]
        if any(answer is None or answer.status >= 500 for answer in answers):
            eventually(lambda: tells_of_it(web, before), "web to tell of the request that it could not answer", 5)
    kept = deploy.create(web)
    for kind in ("cache", "postgres"):
        if proxy := deploy.proxies.get(kind):
            proxy.cut()
            crying(deploy, web, once=True)
            ask(web, *deploy.thing.read.replace("{id}", kept.id).split(" ", 1))
            expect_events(everybody)
            proxy.restore()


def is_usage(process: Process) -> bool:
    """Whether it only told a person how it is called."""
    return process.exit_code == 2 and process.output.lower().startswith("usage:")
