"""XII. Admin processes: what is run once runs in the release, and its exit code says how it went."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ..harness import apart, contents, migrating, repository, tracing
from ..harness.beginnings import wait_until_begun
from ..harness.claim import NotApplicable, NotRun, Observations, Violation, claim, expect, need
from ..harness.config import canary
from ..harness.deploy import RELEASE_SECONDS, Deploy, Deploys, filled, unique_email, unique_marker
from ..harness.http import NO_ANSWER
from ..harness.jobs import settled, waiting
from ..harness.kin import kin, left_of
from ..harness.migrating import Watch
from ..harness.one_off import (
    executed,
    held_at,
    is_of_release,
    mapped,
    opened,
    packages,
    program_of,
    programs_of,
    variables_of,
)
from ..harness.passage import Passage
from ..harness.person import Search, files_of, keep, neighbours_of, somebody_else, someone
from ..harness.processes import Process, eventually
from ..harness.rehearsal import Rehearsal
from ..harness.releases import Rollout, configuration
from ..harness.sockets import connections, listeners
from ..harness.trouble import has_worker
from ..harness.workspace import Workspace

AT_ONCE = 5
CODE_CALLS = ("execve", "execveat", "open", "openat")
JOBS_SECONDS = 30.0
LEFT_SECONDS = 2.0
SETTLE_SECONDS = 1.0  # for what a process does once it has begun


# XII.1


@claim(
    "XII.1",
    "a one-off is a part of the release",
    threshold="the same program, packages, code and variables as web",
    seconds=6,
)
def a_one_off_is_a_part_of_the_release(deploy: Deploy, observe: Observations, tmp_path: Path) -> None:
    if deploy.contract.admin is None:
        raise NotRun("factors.toml has no [admin]")
    command = need(deploy.contract.admin.succeeds, "[admin] succeeds")
    _deployed_together(deploy, command)
    found = apart.with_packages_of_their_own(deploy.workspace)
    expect(not found, "no program with packages of its own beside the release", "; ".join(found))
    _run_in_the_release_that_runs(deploy.workspace, command.split()[-1], tmp_path, observe)
    web = deploy.start(deploy.contract.web.process if deploy.contract.web else deploy.contract.long_running[0])
    trace = _trace(deploy, CODE_CALLS)
    with held_at(deploy, command, prefix=trace.prefix if trace else ()) as held:
        if not held.program:
            code = held.process.exit_code
            expect(code in (0, None), f"`{command}` to run in the release", f"exit code {code}: {held.process.tail()}")
            raise NotRun(f"`{command}` does not read the things, so it could not be looked at while it runs")
        programs = programs_of(web.family())
        program = program_of(held.program)
        observe.expect(program in programs, f"the program of web: {program}", programs)
        given = variables_of(held.program)
        changed = [name for name, value in deploy.variables.items() if given.get(name) != value]
        expect(not changed, f"`{command}` to have the variables of web", changed)
        files, of_web = mapped([held.program]), mapped(web.family())
    expect(
        (code := held.process.wait(RELEASE_SECONDS)) == 0, f"`{command}` to exit 0", f"{code}: {held.process.tail()}"
    )
    if trace:
        trace.wait(held.process.pid)
        files |= opened(trace)
        others = [one for one in executed(trace) if not is_of_release(deploy, one, programs)]
        observe.expect(not others, "no other program to be run", others)
    strange = sorted(file for file in files if not is_of_release(deploy, file, programs, packages(of_web)))
    observe.expect(not strange, f"{len(files)} files of code, all of the release", strange)
    if trace:
        _others_are_parts_too(deploy, programs, packages(of_web), observe)


def _others_are_parts_too(deploy: Deploy, programs: set[str], of_web: set[str], observe: Observations) -> None:
    """The same of the other one-offs, as far as that is seen from what they run and open."""
    commands = _other_one_offs(deploy)
    traces = [tracing.prepare(deploy, CODE_CALLS) for _ in commands]
    runs = [deploy.launch(one, prefix=trace.prefix) for one, trace in zip(commands, traces, strict=True)]
    for command, trace, run in zip(commands, traces, runs, strict=True):
        code = run.wait(RELEASE_SECONDS)
        trace.wait(run.pid)
        strange = {one for one in executed(trace) if not is_of_release(deploy, one, programs)}
        strange |= {file for file in opened(trace) if not is_of_release(deploy, file, programs, of_web)}
        expect(not strange, f"`{command}` to run programs and code of the release alone", sorted(strange))
        expect(code == 0, f"`{command}` to exit 0", f"{code}: {run.tail()}")
    if commands:
        observe.note(f"and all of {', '.join(f'`{command}`' for command in commands)}")


def _other_one_offs(deploy: Deploy) -> list[str]:
    """All one-offs that succeed but for the first, each as a command line."""
    assert deploy.contract.admin
    admin = deploy.contract.admin
    return [filled(one, email="ada@example.com") for one in (admin.purge, *admin.others) if one]


def _deployed_together(deploy: Deploy, command: str) -> None:
    """Compose files run one-offs in what web runs in."""
    for file, services in repository.compose_files(deploy.workspace.source).items():
        web = services.get(deploy.contract.web.process) if deploy.contract.web else None
        for name, service in services.items():
            words = [*(service.get("entrypoint") or []), *(service.get("command") or [])]
            if web and (name == "admin" or words[:2] == command.split()[:2]):
                for what in ("image", "build"):
                    same = service.get(what) == web.get(what)
                    expect(same, f"the {what} of web for {name} in {file}", service.get(what))


def _run_in_the_release_that_runs(workspace: Workspace, one_off: str, folder: Path, observe: Observations) -> None:
    """Whatever was built and released since."""
    how, build = workspace.contract.release, workspace.contract.code.build
    if how is None or how.admin is None or build is None:
        return
    project = repository.clone(workspace, folder / "clone")
    rollout = Rollout(Rehearsal(folder / "engine", project), how, build, configuration(project, canary()))
    image, release = rollout.built(), rollout.released()
    rollout.change()
    rollout.built()
    rollout.released()
    expect((done := rollout.run(str(release["id"]))).code == 0, f"release {release['id']} to run", done.tail)
    command = how.admin.replace("{arguments}", one_off)
    done = rollout.do(command)
    here = done.code == 0 and rollout.started() == {image}
    observe.expect(here, f"`{command}` to run in the release that runs", rollout.started() or done.tail)


# XII.2


@claim(
    "XII.2",
    "migrations are the release phase's alone, and any number may run at once",
    threshold="of five one applies, all exit 0; web, worker and clock change no schema",
    seconds=12,
)
def only_the_release_phase_migrates(deploys: Deploys, observe: Observations) -> None:
    alone = deploys.new(released=False)
    watch = migrating.watch(alone.db)
    _booting_migrates_nothing(alone, watch, observe)
    if "release" not in alone.contract.processes:
        raise NotApplicable("there is no release process")
    expect((code := alone.run("release").code) == 0, "release to exit 0 on an empty database", code)
    if not (applied := watch.statements()):
        raise NotApplicable("the release phase changes no schema")
    once, rows = watch.schema(), contents.digests(alone.db)
    expect((code := alone.run("release").code) == 0, "release to exit 0 once more", code)
    changed = watch.statements() - applied or contents.digests(alone.db) != rows
    observe.expect(not changed, "nothing left to do for a second release", changed)
    _using_it_migrates_nothing(alone, watch)
    together = deploys.new(released=False)
    watch = migrating.watch(together.db)
    _five_at_once(together, watch)
    twice = watch.statements() - applied
    expect(not twice and watch.statements() == applied, f"one of {AT_ONCE} to apply the migrations", dict(twice))
    expect(watch.schema() == once, "the schema that one release makes", watch.schema())
    counts = {table: count for table, (count, _) in contents.digests(together.db).items()}
    expect(counts == {table: count for table, (count, _) in rows.items()}, "the rows that one release makes", counts)
    observe.note(f"{AT_ONCE} at once: {applied.total()} changes, as by one, and each exit code 0")


def _booting_migrates_nothing(deploy: Deploy, watch: Watch, observe: Observations) -> None:
    """On an empty database: there whatever a process does to a schema has an effect, or fails."""
    processes = [deploy.start(name, ready=False) for name in deploy.contract.long_running]
    for process in processes:
        wait_until_begun(deploy, process)
    for web in processes:
        _use(deploy, web)
    time.sleep(SETTLE_SECONDS)
    for process in processes:
        process.kill()
    names = ", ".join(process.type for process in processes)
    done = dict(watch.statements()) or f"{watch.attempts()} attempts"
    observe.expect(not watch.attempts(), f"no change of the schema by {names}", done)


def _using_it_migrates_nothing(deploy: Deploy, watch: Watch) -> None:
    """Neither the schema nor, when more of them start, the things that are there already."""
    if deploy.contract.web is None or deploy.contract.thing is None:
        return
    before, known, passage = watch.attempts(), watch.statements(), Passage(deploy)
    web = deploy.start(deploy.web.process, ready=False)
    if has_worker(deploy):
        deploy.start(deploy.jobs.process, ready=False)
    deploy.wait_until_ready(web)
    _use(deploy, web)
    at_rest = _create_and_wait(deploy, web)
    rows = settled(lambda: _things(deploy), SETTLE_SECONDS)
    later = [passage.start(name) for name in deploy.contract.long_running]
    for process in later:
        wait_until_begun(deploy, process)
    if deploy.contract.admin and deploy.contract.admin.succeeds:
        deploy.run(deploy.contract.admin.succeeds)
    time.sleep(SETTLE_SECONDS)
    everybody = ", ".join(process.type for process in later)
    same = _things(deploy) == rows or not at_rest
    expect(same, f"the things that were there as they were when {everybody} start", "other rows")
    passage.let_a_day_pass()
    for process in deploy.processes:
        process.kill()
    done = dict(watch.statements() - known) or "attempts"
    expect(watch.attempts() == before, f"no change of the schema by {everybody} and one-offs at work", done)


def _create_and_wait(deploy: Deploy, web: Process) -> bool:
    """Has things made that a change of case, or the like, would alter; returns whether all jobs have come to an end."""
    made: list[str] = []
    for _ in range(2):
        with suppress(Violation, *NO_ANSWER):
            marker = unique_marker()
            made.append(deploy.id_in(deploy.attempt(web, f" {marker.title()} {marker}", unique_email().title())))
    if not has_worker(deploy):
        return True

    def over() -> bool:
        return all(map(deploy.done, made)) and not waiting(deploy)

    with suppress(Violation):  # which is another claim's affair
        eventually(over, "the jobs to be done", JOBS_SECONDS)
    return over()


def _things(deploy: Deploy) -> object:
    """The rows of the things, as a digest."""
    table = deploy.thing.table or ""
    return contents.digests(deploy.db).get(table if "." in table else f"public.{table}")


def _use(deploy: Deploy, web: Process) -> None:
    """Asks web for what it has, whatever it says."""
    if deploy.contract.web is None or web.type != deploy.contract.web.process or deploy.contract.thing is None:
        return
    thing = deploy.thing
    for route in filter(None, (thing.create, thing.list, thing.read)):
        method, _, path = route.partition(" ")
        body = filled(thing.body, marker=unique_marker(), email="ada@example.com") if route == thing.create else None
        try:
            web.ask(method, path.replace("{id}", "1"), body=body)
        except NO_ANSWER:
            continue


def _five_at_once(deploy: Deploy, watch: Watch) -> None:
    """The first that changes something is held until all others are there too."""
    with watch.held():
        runs = [deploy.launch("release") for _ in range(AT_ONCE)]
        there: set[int] = set()

        def all_there() -> bool:
            there.update(one.pid for one in runs if not one.alive or connections(one.family()))
            hasty = [one for one in runs if one.exit_code == 0]
            expect(not hasty, "no release to exit 0 before the migrations are applied", len(hasty))
            return len(there) == AT_ONCE

        eventually(all_there, f"{AT_ONCE} releases to reach the database", RELEASE_SECONDS)
        deploy.db.wait_for_waiting(seconds=RELEASE_SECONDS)
        all_there()
    codes = [one.wait(RELEASE_SECONDS) for one in runs]
    expect(codes == [0] * AT_ONCE, f"{AT_ONCE} releases at once to exit 0", codes)


# XII.3


@claim(
    "XII.3",
    "a one-off ends, opens no port, and its exit code is the truth",
    threshold="exit 0 when done, another code when not; it can be run again after a SIGKILL",
    seconds=12,
)
def an_exit_code_is_the_truth(deploys: Deploys, observe: Observations) -> None:
    deploy = deploys.new()
    if deploy.contract.admin is None:
        raise NotRun("factors.toml has no [admin]")
    if fails := deploy.contract.admin.fails:
        failed = deploy.run(fails)
        observe.expect(failed.code != 0, f"a failure of `{fails}` (exit code {failed.code})", failed.code)
    else:
        observe.note("factors.toml has no [admin] fails")
    succeeds = need(deploy.contract.admin.succeeds, "[admin] succeeds")
    with ThreadPoolExecutor(1) as pool:
        released = pool.submit(_a_killed_release_is_run_again, deploys, deploy) if has_release(deploy) else None
        proxy = deploy.proxied("postgres") if deploy.contract.resource("postgres") else None
        _it_is_killed_and_runs_again(deploy, succeeds, observe)
        if proxy:
            others = [filled(one, email="ada@example.com") for one in deploy.contract.admin.others]
            _it_fails_without_its_database(deploy, [*([succeeds] if proxy.connections else []), *others], observe)
            _it_fails_when_it_is_cut_off(deploy, succeeds, observe)
    if released:
        observe.expect(released.result(), "a whole schema after a release that was killed")


def has_release(deploy: Deploy) -> bool:
    """Whether there is a release phase."""
    return "release" in deploy.contract.processes


def _it_is_killed(deploy: Deploy, command: str) -> None:
    with held_at(deploy, command) as held:
        found = listeners(pid for pid, _ in kin(deploy, held.process))
        expect(not found, f"`{command}` to listen on nothing", found)
        expect(held.process.alive or not held.program, f"`{command}` to run until its work is done", "that it ended")
        before = kin(deploy, held.process)
        held.process.signal(signal.SIGKILL)
        held.process.wait()
        eventually(lambda: not left_of(deploy, held.process, before), f"`{command}` to end as one", 5)


def _it_is_killed_and_runs_again(deploy: Deploy, command: str, observe: Observations) -> None:
    _it_is_killed(deploy, command)
    trace = _trace(deploy, ["listen"])
    again = deploy.run(command, prefix=trace.prefix if trace else ())
    observe.expect(again.code == 0, f"`{command}` to exit 0 after a SIGKILL in the middle", again.process.tail())
    with suppress(Violation):  # what ends with it may take a moment
        eventually(lambda: not left_of(deploy, again.process, set()), "nothing to be left", LEFT_SECONDS)
    left = left_of(deploy, again.process, set())
    expect(not left, f"nothing to run on when `{command}` has ended", left)
    if trace:
        trace.wait(again.process.pid)
        expect(not trace.ports(), f"`{command}` to open no port", trace.ports())
        observe.note("no port is opened at any time")


def _trace(deploy: Deploy, calls: Sequence[str]) -> tracing.Trace | None:
    """What shows that which is gone in a moment, if this machine has it."""
    try:
        return tracing.prepare(deploy, calls)
    except NotRun:
        return None


def _it_fails_without_its_database(deploy: Deploy, users: list[str], observe: Observations) -> None:
    """The release, and the one-offs that were seen to use it or are said to."""
    proxy = deploy.proxied("postgres")
    proxy.cut()
    commands = [*users, *(["release"] if has_release(deploy) else [])]
    runs = [deploy.launch(command) for command in commands]
    for command, one in zip(commands, runs, strict=True):
        code = one.wait(RELEASE_SECONDS)
        observe.expect(code != 0, f"a failure of `{command}` without its database (exit code {code})", code)
    proxy.restore()


def _it_fails_when_it_is_cut_off(deploy: Deploy, succeeds: str, observe: Observations) -> None:
    """In the middle of its work, and for good, so that trying again does not help; and can be run again."""
    assert deploy.contract.admin
    purge = deploy.contract.admin.purge
    command = filled(purge, email="ada@example.com") if purge else succeeds
    if purge:
        _it_is_killed(deploy, command)
    with held_at(deploy, command) as held:
        if held.program:
            deploy.proxied("postgres").cut()
        code = held.process.wait(RELEASE_SECONDS) if held.program else 0
    deploy.proxied("postgres").restore()
    if held.program:
        observe.expect(code != 0, f"a failure of `{command}` that is cut off in the middle (exit code {code})", code)
    if purge:
        again = deploy.run(command)
        what = f"`{command}` to exit 0 after a SIGKILL and a cut in the middle"
        observe.expect(again.code == 0, what, f"{again.code}: {again.process.tail()}")


def _a_killed_release_is_run_again(deploys: Deploys, released: Deploy) -> bool:
    """Returns whether its schema is whole then."""
    table = released.contract.thing.table if released.contract.thing else None
    fresh = deploys.new(released=False)
    watch = migrating.watch(fresh.db, f"public.{table}" if table else "*")
    with watch.held():
        release = fresh.launch("release")
        eventually(lambda: watch.waiting() or not release.alive, "release to begin its work", RELEASE_SECONDS)
        release.kill()
    done = fresh.run("release")
    expect(done.code == 0, "release to exit 0 after a SIGKILL in the middle", done.process.tail())
    return watch.schema() == released.db.schema()


# XII.4


@claim(
    "XII.4",
    "a person's data can be erased",
    threshold="gone from database, cache, queue and files; neighbours untouched; a second run changes nothing",
    seconds=10,
)
def a_person_is_erased(deploy: Deploy, observe: Observations) -> None:
    if deploy.contract.admin is None or deploy.contract.admin.purge is None:
        raise NotRun("factors.toml has no [admin] purge")
    if "{email}" not in json.dumps(deploy.thing.body):
        raise NotApplicable("a thing names no person")
    cache = deploy.with_cache() if deploy.contract.resource("cache") else None
    traces = [_trace(deploy, tracing.WRITES) for _ in range(4)]
    prefixes = [trace.prefix if trace else () for trace in traces]
    web = deploy.start(deploy.web.process, prefix=prefixes[0])
    her = someone()
    neighbours = neighbours_of(her)
    search = Search(her, neighbours)
    other = somebody_else()

    for one in (*neighbours, other):
        one.writes(deploy, web)
    for spelling in (her.email, her.email.lower(), her.email.upper()):
        her.writes(deploy, web, spelling)
    if deploy.contract.jobs:  # some have been done, and others wait
        worker = deploy.start(deploy.jobs.process, prefix=prefixes[1])
        eventually(lambda: all(map(deploy.done, her.ids)), "the jobs to be done", JOBS_SECONDS)
        worker.stop()
    her.writes(deploy, web)
    undone = neighbours[0].writes(deploy, web)
    for one in (*neighbours, other, her):
        one.reads(deploy, web)
    if cache:
        keep(cache)
    expect(search.in_database(deploy.db), "her things in the database, before she is erased")
    others = [word for one in neighbours for word in one.words()]
    if deploy.contract.jobs and deploy.jobs.process == deploy.web.process:  # which does it whenever it likes
        eventually(lambda: deploy.done(undone), "the job of a neighbour to be done", JOBS_SECONDS)
    of_neighbours = settled(lambda: contents.rows_with(deploy.db, others))

    purge = filled(deploy.contract.admin.purge, email=her.email.lower())
    done = deploy.run(purge, prefix=prefixes[2])
    observe.expect(done.code == 0, "her to be erased (exit code 0)", f"{done.code}: {done.process.tail()}")
    _nothing_is_left(deploy, search, [trace for trace in traces[:3] if trace], observe)
    back = [one for one in her.ids if deploy.marker_of(web, one) is not None]
    observe.expect(not back, "nothing of her in what web answers", back)
    now = contents.rows_with(deploy.db, others)
    touched = sorted(table for table, rows in of_neighbours.items() if now.get(table) != rows)
    observe.expect(not touched, "every row of her neighbours as it was", f"other rows in {', '.join(touched)}")
    for one in neighbours:
        one.reads(deploy, web)

    erased = deploy.run(filled(deploy.contract.admin.purge, email=other.email), prefix=prefixes[3])
    expect(erased.code == 0, "another person to be erased (exit code 0)", f"{erased.code}: {erased.process.tail()}")
    _nothing_is_left(deploy, Search(other, neighbours), [trace for trace in traces[3:] if trace], observe)

    web.end()  # which may have rows of its own to write
    before = contents.digests(deploy.db)
    again = deploy.run(purge)
    expect(again.code == 0, "a second run to exit 0", f"{again.code}: {again.process.tail()}")
    after = contents.digests(deploy.db)
    changed = [table for table in after if after[table] != before.get(table)]
    observe.expect(not changed, "a second run to change nothing", changed)
    if deploy.contract.jobs:
        deploy.start(deploy.jobs.process)
        eventually(lambda: deploy.done(undone), "the job of a neighbour to be done", JOBS_SECONDS)
        _nothing_is_left(deploy, search, [], observe)


def _nothing_is_left(deploy: Deploy, search: Search, traces: list[tracing.Trace], observe: Observations) -> None:
    rows = search.in_database(deploy.db)
    expect(not rows, "nothing of her in the database and its queue", rows)
    if deploy.cache:
        entries = search.in_cache(deploy.cache)
        expect(not entries, "nothing of her in the cache", entries)
    files = search.in_files(files_of(deploy.folder, traces))
    expect(not files, "nothing of her in files", files)
    observe.note("nothing is left in database, cache and files")
