"""V. Build, release, run: three stages, and no way back from one into the one before."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..harness import baked, passage, rollback, tracing, tree
from ..harness.baked import Wheel
from ..harness.claim import NotApplicable, NotRun, Observations, Violation, claim, expect, need
from ..harness.config import canary
from ..harness.contract import ContractError
from ..harness.deploy import RELEASE_SECONDS, Deploy, Deploys, Made, unique_marker
from ..harness.http import answered
from ..harness.jobs import wait_until_done
from ..harness.person import keep
from ..harness.processes import END_SECONDS, Process, ProcessDriver
from ..harness.proxy import Proxy
from ..harness.rehearsal import Rehearsal
from ..harness.releases import Rollout, configuration
from ..harness.repository import clone, head
from ..harness.tools import PreparationError
from ..harness.workspace import Workspace, earlier

THINGS = 2
JOB_SECONDS = 30
ROLLBACK_SECONDS = 60
AT_ONCE = 2


# V.1


@claim(
    "V.1",
    "the build needs no configuration",
    threshold="it works without a variable, and its result is the same with all of them",
    fast=True,
    seconds=6,
)
def the_build_needs_no_configuration(workspace: Workspace, observe: Observations, tmp_path: Path) -> None:
    if workspace.installed == "configured":
        raise Violation(f"expected an install without any variable, saw it fail: {_reason(workspace.trouble)}")
    names = baked.variables(workspace.contract, workspace.source)
    problems = baked.in_files(workspace.source, names) + baked.in_image(workspace, names)
    observe.expect(not problems, "no variable of the configuration in what the image is built by", problems)
    project = clone(workspace, tmp_path / "clone")
    with Proxy("127.0.0.1", 1) as nobody:  # whoever is connected to it was told so by a variable
        given = baked.values(workspace.contract, names, nobody.port)
        _the_same_package(project, given, tmp_path, observe)
        _the_same_image(workspace, project, given, tmp_path, observe)
        observe.measure("connections to what the variables name", nobody.connections, "==", 0)


def _reason(trouble: str) -> str:
    """The last line that names an error."""
    lines = [line.strip() for line in trouble.splitlines() if "rror" in line]
    return lines[-1] if lines else trouble


def _the_same_package(project: Path, given: dict[str, str], folder: Path, observe: Observations) -> None:
    if not (project / "pyproject.toml").exists() or "[build-system]" not in (project / "pyproject.toml").read_text():
        return
    without = Wheel(project, folder / "without", {})
    with_ = Wheel(project, folder / "with", given)
    expect(not (without.trouble and not with_.trouble), "a package without any variable", without.trouble)
    if without.trouble:
        raise NotRun(f"the package cannot be built here: {without.trouble}")
    names = without.different(with_)
    if names:  # some may hold the time
        names -= without.different(Wheel(project, folder / "again", {}))
    observe.expect(
        not names and not with_.trouble, "the same package with every variable", with_.trouble or sorted(names)
    )


def _the_same_image(
    workspace: Workspace, project: Path, given: dict[str, str], folder: Path, observe: Observations
) -> None:
    command = need(workspace.contract.code.build, "[code] build")
    bare = Rehearsal(folder / "bare", project)
    bare.succeed(command)
    (project / ".env").write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    told = Rehearsal(folder / "told", project)
    told.succeed(command, given)
    (project / ".env").unlink()
    builds = [baked.of_builds(one.calls("build")) for one in (bare, told)]
    if not builds[0]:
        raise NotRun(f"`{command}` asks no container engine for a build, so what it takes cannot be seen")
    different = sorted(key for key in {*builds[0], *builds[1]} if builds[0].get(key) != builds[1].get(key))
    if different:  # some may have been made of the time
        again = Rehearsal(folder / "again", project)
        again.succeed(command)
        other = baked.of_builds(again.calls("build"))
        different = [key for key in different if builds[0].get(key) == other.get(key)]
    observe.expect(not different, f"`{command}` to build the same with every variable, and a .env beside", different)


# V.2


@claim(
    "V.2",
    "a release is an artifact and a configuration; nothing else runs",
    threshold="every release recorded for good; what is no release is refused",
    seconds=12,
)
def only_a_release_runs(workspace: Workspace, observe: Observations, tmp_path: Path) -> None:
    if workspace.contract.release is None:
        raise NotRun("factors.toml has no [release]")
    project, secret = clone(workspace, tmp_path / "clone"), canary()
    build = need(workspace.contract.code.build, "[code] build")
    given = configuration(project, secret)
    rollout = Rollout(Rehearsal(tmp_path / "engine", project), workspace.contract.release, build, given)

    images = [rollout.built()]
    releases = [rollout.released()]
    _names_its_image(releases[0], images[0])
    rollout.change()
    images.append(rollout.built())
    releases.append(rollout.released())
    _names_its_image(releases[1], images[1])
    _nothing_else_runs(rollout, [*images, head(project)], observe)

    for release, image in zip(releases, images, strict=True):
        done = rollout.run(str(release["id"]))
        expect(done.code == 0, f"release {release['id']} to run", done.tail)
        expect(
            rollout.started() == {image}, f"the image of {release['id']} and no other to be started", rollout.started()
        )
    observe.note("what runs is the image of the release, whatever was built since")
    if rollout.how.rollback:
        done = rollout.do(rollout.how.rollback)
        observe.expect(
            done.code == 0 and rollout.started() == {images[0]}, "a rollback to run the one before", done.tail
        )
    if given:
        _another_configuration(rollout, releases[-1], observe)

    at_once = rollout.released_at_once(AT_ONCE)
    expect(len(at_once) == AT_ONCE, f"{AT_ONCE} releases at once to be recorded", at_once)
    names = [str(line["id"]) for line in rollout.lines()]
    observe.measure("releases with a name of their own", len(set(names)), "==", len(names))
    told = baked.telling(secret, (project / rollout.how.record).read_text())
    observe.expect(not told, f"no secret in {rollout.how.record}", told)


def _names_its_image(line: dict[str, object], image: str) -> None:
    expect(image in str(line), "a release to name its image by the digest", line)


def _nothing_else_runs(rollout: Rollout, others: list[str], observe: Observations) -> None:
    tags = [name for call in rollout.rehearsal.calls("build") for name in call["names"]]
    known = str(rollout.lines()[-1]["id"])
    for name in dict.fromkeys(["", "latest", f"{known}9", known[:-1], *tags, *others]):
        done = rollout.run(name)
        started = rollout.started()
        expect(
            done.code != 0 and not started, f"`{rollout.how.run}` to refuse {name or 'no name'}", started or "exit 0"
        )
    observe.note("latest, names and digests of images, a commit, an unknown name and none are refused")


def _another_configuration(rollout: Rollout, before: dict[str, object], observe: Observations) -> None:
    """The same image, told otherwise, is another release."""
    same = rollout.released()
    rollout.variables = {name: f"{value}2" for name, value in rollout.variables.items()}
    done = rollout.run(str(before["id"]))
    refused = done.code != 0 and not rollout.started()
    observe.expect(refused, "a release to be refused under another configuration", rollout.started())
    other = rollout.released()
    steady = [key for key in before if before[key] == same.get(key)]
    telling = [key for key in steady if other.get(key) != before[key]]
    expect(telling, "a release to tell one configuration from another", other)


# V.3


@claim(
    "V.3",
    "the running tree never changes, and nothing is fetched into it",
    threshold="0 files changed, 0 addresses asked but the attached resources",
    seconds=12,
)
def the_running_tree_stays_as_it_is(deploy: Deploy, observe: Observations) -> None:
    before = tree.snapshot(deploy.workspace.environment)
    runs = _all_at_work(deploy)
    places = [deploy.workspace.environment, deploy.workspace.source]
    if not deploy.workspace.is_package:  # then each process has a copy of the code
        places.append(deploy.folder)
    for name, process, trace in runs:
        _end(process)
        trace.wait(process.pid)
        changed = tree.changed(trace)
        inside = tree.below(changed, places)
        expect(not inside, f"{name} to leave the tree that it runs from as it is", inside)
        written = tree.code(changed)
        expect(not written, f"{name} to write no code", written)
        asked = tree.strangers(trace, deploy.environment_of("", {})[0])
        expect(not asked, f"{name} to ask nobody but its attached resources", asked)
    now = tree.snapshot(deploy.workspace.environment)
    different = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    expect(not different, "every installed file as it was", different)
    observe.measure(f"changes among {len(now)} installed files", len(different), "==", 0)
    observe.note(f"{', '.join(name for name, _, _ in runs)} ask nobody but the attached resources")


def _end(process: Process) -> None:
    """Tells it to stop, since an end belongs to its work; one that does not is killed, alone: its watcher writes on."""
    with suppress(Violation):
        process.stop(END_SECONDS)
    if process.alive:
        process.signal(signal.SIGKILL)
        process.wait()


def _all_at_work(deploy: Deploy) -> list[tuple[str, Process, tracing.Trace]]:
    """Every process type and a one-off, each watched while it does what it is for, also what is due within a day."""
    runs: list[tuple[str, Process, tracing.Trace]] = []
    moved, clock = passage.movable(deploy), passage.clock_of(deploy)

    def launch(name: str, **variables: str) -> Process:
        trace = tracing.prepare(deploy, tree.WATCHED)
        starts = moved.start if moved and name in deploy.contract.long_running else deploy.launch
        runs.append((name, starts(name, prefix=trace.prefix, **variables), trace))
        return runs[-1][1]

    admin = deploy.contract.admin.succeeds if deploy.contract.admin else None
    for name in [*deploy.contract.long_running, "release" if "release" in deploy.contract.processes else None, admin]:
        if name:
            launch(name)
    for name, process, _ in runs:
        if name in deploy.contract.long_running:
            deploy.wait_until_ready(process)
        else:
            expect((code := process.wait(RELEASE_SECONDS)) == 0, f"`{name}` to exit 0", f"{code}: {process.tail()}")
    by_name = {name: process for name, process, _ in runs}
    if deploy.contract.web and deploy.contract.thing:
        _use(deploy, by_name[deploy.web.process])
    if moved:
        passage.let_a_day_pass(
            deploy, moved, by_name.get(clock or ""), lambda: launch(str(clock), **deploy.clock.nudge)
        )
    return runs


def _use(deploy: Deploy, web: Process) -> list[Made]:
    """Does with things what can be done with them, up to their jobs."""
    made = [deploy.create(web) for _ in range(THINGS)]
    for one in made:
        expect(deploy.marker_of(web, one) == one.marker, f"{deploy.thing.read} to give what was created", one.id)
    if deploy.thing.list:
        expect(web.status(deploy.thing.list.partition(" ")[2]) == 200, f"200 from {deploy.thing.list}")
    for path in filter(None, (deploy.web.contract, deploy.web.metrics, "/no-such-path")):
        web.status(path)
    if deploy.contract.jobs:
        wait_until_done(deploy, made, JOB_SECONDS)
    if deploy.thing.delete:
        with answered("web"):
            expect(deploy.delete(web, made[0]).status < 300, f"{deploy.thing.delete} to succeed")
    return made


# V.4


@claim(
    "V.4",
    "a rollback works: after this release has migrated, the one before runs again",
    threshold="all that it does within 60 s, on data of both releases",
    seconds=15,
)
def the_release_before_runs_again(
    workspace: Workspace, deploys: Deploys, observe: Observations, tmp_path: Path
) -> None:
    if workspace.driver == "image":
        raise NotRun("the image of the release before is not here: run it without IMAGE")
    commit = rollback.before(workspace)
    if commit is None or not rollback.differences(workspace, commit):
        raise NotApplicable("the code has one state only: there is no release to go back to")
    new = deploys.new(released=False)
    need(new.thing.create, "[thing]")
    with suppress(NotRun, NotApplicable):
        new.with_cache()
    old = _installed(workspace, commit, tmp_path / "before")
    then = replace(new, workspace=old, driver=ProcessDriver(old.search_path))
    _release(then, "the release before")
    known = rollback.names(new.db)
    web = then.start(then.web.process)
    things = [then.create(web) for _ in range(THINGS)]
    accepted = rollback.accepted(then, web)
    web.kill()
    one_off = _one_off_of(then, observe)

    _release(new, "this release")
    missed = rollback.missed(old, known, rollback.names(new.db))
    expect(not missed, f"all that the code of {commit[:7]} names to be there still", missed)
    web = new.start(new.web.process)
    things += [new.create(web) for _ in range(THINGS)]
    for one in things:
        expect(new.marker_of(web, one) == one.marker, f"{new.thing.read} to give what was created", one.id)
    web.kill()
    if new.cache:
        keep(new.cache)  # the one before finds there what this one has put there

    began = time.monotonic()
    _everything_works(then, things, one_off, accepted)
    observe.measure(
        f"all that {commit[:7]} does, once it runs again", time.monotonic() - began, "<", ROLLBACK_SECONDS, "s"
    )


def _installed(workspace: Workspace, commit: str, folder: Path) -> Workspace:
    try:
        return earlier(workspace, commit, folder)
    except (PreparationError, ContractError) as error:
        raise NotRun(f"the release before, of commit {commit[:7]}, cannot be installed: {error}") from None


def _release(deploy: Deploy, what: str) -> None:
    if "release" in deploy.contract.processes:
        done = deploy.run("release")
        expect(done.code == 0, f"{what} to migrate (exit code 0)", f"{done.code}: {done.process.tail()}")


def _one_off_of(deploy: Deploy, observe: Observations) -> str | None:
    """The one-off, if that release has it already: on its own schema it says so."""
    command = deploy.contract.admin.succeeds if deploy.contract.admin else None
    if command and deploy.run(command).code:
        observe.note(f"the release before has no `{command}`")
        return None
    return command


def _everything_works(
    deploy: Deploy, things: list[Made], one_off: str | None, accepted: dict[str, dict[str, Any]]
) -> None:
    """Every process type of the old code, on what both releases have left."""
    processes = {name: deploy.start(name, ready=False) for name in deploy.contract.long_running}
    for process in processes.values():
        deploy.wait_until_ready(process)
    web = processes[deploy.web.process]
    for one in things:
        expect(
            deploy.marker_of(web, one) == one.marker, f"{deploy.thing.read} to give a thing of either release", one.id
        )
    _use(deploy, web)
    with answered("web"):
        again = deploy.attempt(web, unique_marker(), things[0].email).status
    expect(again == deploy.thing.status, f"{deploy.thing.status} for one more thing of a person who has one", again)
    for what, body in accepted.items():
        status = rollback.status_of(deploy, web, body)
        expect(
            status == deploy.thing.status, f"{deploy.thing.status} for a thing {what}, as before the rollback", status
        )
    if deploy.contract.jobs:
        wait_until_done(deploy, things, JOB_SECONDS)
    if one_off:
        done = deploy.run(one_off)
        expect(done.code == 0, f"`{one_off}` to exit 0", done.process.tail())
    if deploy.thing.delete:
        for one in (things[0], things[-1]):
            with answered("web"):
                status = deploy.delete(web, one).status
            expect(status < 400, f"{deploy.thing.delete} to delete a thing of either release", status)
    for process in processes.values():
        expect(process.alive, f"{process.type} to run on", process.tail())
