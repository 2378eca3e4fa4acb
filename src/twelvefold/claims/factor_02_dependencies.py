"""II. Dependencies: what the service needs is declared, locked, and comes with it."""

from __future__ import annotations

from pathlib import Path

from ..harness import locks, own_code, packages, programs, tracing
from ..harness.claim import NotRun, Observations, Violation, claim, expect
from ..harness.deploy import Deploy
from ..harness.packages import Environment, Watched
from ..harness.processes import Process, eventually
from ..harness.rehearsal import Rehearsal
from ..harness.repository import clone
from ..harness.tracing import Trace
from ..harness.workspace import Workspace


@claim(
    "II.1",
    "Complete: a locked install into an empty environment boots every process type",
    threshold="0 imports of packages that are not declared",
    seconds=6,
)
def what_is_imported_is_declared(workspace: Workspace, deploy: Deploy, observe: Observations, tmp_path: Path) -> None:
    environment = Environment(workspace)
    if workspace.installed == "unlocked" and environment.own is not None:
        raise Violation(f"expected a locked install, saw it fail: {workspace.trouble}")
    _expect_nothing_from_outside(workspace)
    modules = own_code.modules(workspace)
    imports = [one for module in modules for one in packages.written(module)]
    problems = packages.undeclared(environment, imports) + packages.undeclared_programs(environment)
    expect(not problems, "every import to be of a declared package", "; ".join(problems))
    observe.note(f"0 undeclared of {len({one.name.split('.')[0] for one in imports})} packages in {len(modules)} files")

    watched = Watched(workspace, tmp_path / "watched")
    variables = dict(watched.variables)
    if environment.own is not None:
        variables["PYTHONSAFEPATH"] = "1"  # nothing from the folder in which it is started
    types = workspace.contract.processes
    started = [deploy.start(process, ready=False, **variables) for process in types]
    if workspace.driver == "process":
        eventually(lambda: watched.processes() >= len(types), "the imports of every process type to be seen")
    for process in started:
        _expect_it_boots(deploy, process)
    problems = packages.undeclared(environment, watched.imports())
    expect(not problems, "every import to be of a declared package", "; ".join(problems))
    observe.note(f"{', '.join(types)} boot with nothing but the declared packages")


def _expect_nothing_from_outside(workspace: Workspace) -> None:
    """The environment holds its packages itself: no folder of the machine's or of a checkout is added to them."""
    settings = (workspace.environment / "pyvenv.cfg").read_text().lower()
    expect("include-system-site-packages = true" not in settings, "no package of the system's to be visible")
    for site in own_code.site_packages(workspace):
        for file in site.glob("*.pth"):
            lines = [line for line in file.read_text(errors="replace").splitlines() if line.startswith(("/", ".."))]
            expect(not lines, "every package to be in the environment", f"{file.name}: {', '.join(lines)}")


def _expect_it_boots(deploy: Deploy, process: Process) -> None:
    if process.type == "release":
        expect(process.wait(60) == 0, "release to exit 0", process.tail())
    else:
        deploy.wait_until_ready(process)
        process.kill()


@claim(
    "II.2",
    "Exact: two clean installs give the same packages, and these are the locked ones",
    threshold="0 packages differ",
    fast=True,
    seconds=6,
)
def clean_installs_are_the_same(workspace: Workspace, observe: Observations, tmp_path: Path) -> None:
    number, problems = locks.in_repository(workspace)
    expect(not problems, "a lock that pins every package", "; ".join(problems[:5]))
    if not number:
        raise NotRun("only uv.lock and requirements.txt can be read")
    if workspace.installed == "unlocked" and (workspace.source / "uv.lock").exists():
        raise Violation(f"expected the lock to agree with what is declared, saw: {workspace.trouble}")
    environment = Environment(workspace)
    trouble = "" if workspace.installed == "in place" else packages.install_again(workspace, tmp_path / "again")
    expect(not trouble, "a second clean install", trouble)

    locked = locks.locked_set(environment)
    first = packages.versions(workspace.environment)
    if environment.own is not None:
        first.pop(packages.normal(environment.own.metadata["Name"]), None)
    again = packages.versions(tmp_path / "again") if (tmp_path / "again").exists() else first
    differences = locks.different(first, again) + locks.different(locked, first)
    observe.measure(
        f"differences between the lock and two installs of {len(first)} packages", len(differences), "==", 0
    )

    problems = locks.in_image(workspace.source) + locks.in_workflows(workspace.source)
    if command := workspace.contract.code.setup:
        rehearsal = Rehearsal(tmp_path / "setup", clone(workspace, tmp_path / "clone"))
        problems += locks.in_setup(command, rehearsal, workspace.source)
    observe.expect(not problems, "image and CI to install by the lock", "; ".join(problems))


@claim(
    "II.3",
    "No system tools: every process type and command works without any program of the system's",
    threshold="0 foreign programs executed or looked for",
    seconds=10,
)
def no_foreign_program_is_executed(workspace: Workspace, deploy: Deploy, observe: Observations, tmp_path: Path) -> None:
    _expect_no_program_in_files(workspace)
    if workspace.driver == "image":
        raise NotRun("which programs are executed is traced only in processes of this machine: run it without IMAGE")
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    runtime = programs.runtime(workspace, tmp_path / "runtime")
    path = f"{nothing}:{workspace.environment / 'bin'}:{runtime}"
    allowed = programs.Allowed(workspace, runtime)
    traces: list[tuple[Process, Trace]] = []

    def launch(command: str, **variables: str) -> Process:
        trace = tracing.prepare(deploy, programs.LOOKS)
        traces.append((deploy.launch(command, prefix=trace.prefix, PATH=path, **variables), trace))
        return traces[-1][0]

    contract = workspace.contract
    running = [launch(process) for process in contract.long_running]
    commands = [command for command in (contract.admin and contract.admin.succeeds, contract.config.show) if command]
    commands += [process for process in contract.processes if process not in contract.long_running]
    ended = [launch(command) for command in commands]
    for process in running:
        deploy.wait_until_ready(process, tracing.TRACED_SECONDS)
    _use(deploy, next((one for one in running if contract.web and one.type == contract.web.process), None))
    for process in ended:
        expect(
            process.wait(tracing.TRACED_SECONDS) == 0,
            f"`{process.type}` to work without the system's programs",
            process.tail(),
        )
    for process in running:
        process.end(5)
    for process, trace in traces:
        trace.wait(process.pid)
        foreign = programs.foreign(trace, allowed, nothing)
        expect(not foreign, f"{process.type} to execute no foreign program", "; ".join(foreign))
    observe.measure(f"foreign programs in {len(traces)} commands", 0, "==", 0)


def _use(deploy: Deploy, web: Process | None) -> None:
    """What clients and the worker do: a thing comes, is worked on, is read and goes."""
    if web is None:
        return
    for path in ("/", "/docs", deploy.web.metrics, deploy.web.contract, deploy.web.live):
        web.status(path or "/")
    if deploy.contract.thing is None:
        return
    made = deploy.create(web)
    if deploy.contract.jobs and deploy.database and deploy.contract.jobs.process in deploy.contract.processes:
        eventually(lambda: deploy.done(made), "the job to be done", tracing.TRACED_SECONDS)
    deploy.read(web, made)
    if deploy.contract.thing.delete:
        deploy.delete(web, made)


def _expect_no_program_in_files(workspace: Workspace) -> None:
    """What the code could do on a way that is not taken here, and what the platform starts beside the processes."""
    try:
        modules = own_code.modules(workspace)
    except NotRun:
        modules = []
    found = [problem for module in modules for problem in programs.written(module)]
    expect(not found, "code that starts no other program", "; ".join(found))
    if workspace.installed == "none":
        return
    found = [problem for module in modules for problem in programs.libraries(module, workspace.environment)]
    expect(not found, "code that loads no library of the system's", "; ".join(found))
    allowed = programs.Allowed(workspace)
    for where, words in (programs.health_checks(workspace) | programs.entry_points(workspace)).items():
        others = [word for word in words if not allowed.name(Path(word).name)]
        expect(not others, f"{where} to use the service's own programs", ", ".join(others))
