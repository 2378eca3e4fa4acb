"""X. Dev/prod parity: development, tests and production run the same things in the same way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..harness import development, engines, parity, pipelines, repository, stand_ins
from ..harness.claim import NotRun, Observations, Violation, claim, expect, need
from ..harness.development import Program, Seen
from ..harness.packages import Environment
from ..harness.rehearsal import Rehearsal
from ..harness.releases import Rollout, configuration
from ..harness.tools import tool_environment
from ..harness.workspace import Workspace

T = TypeVar("T")

# What tells a tool how to work, and a process nothing about where it runs.
OF_TOOLS = (
    "UV",
    "VIRTUAL_ENV",
    "MAKE",
    "MFLAGS",
    "PATH",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "_",
    "TERM",
    "LANG",
    "LC_",
    "COLUMNS",
)
OF_TERMINALS = ("LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "PYTHONUNBUFFERED", "HOME", "USER", "LOGNAME", "TMPDIR")


@claim(
    "X.1",
    "The same Python and the same database engine in development, tests and production",
    threshold="1 version of each",
    seconds=20,
)
def versions_are_the_same_everywhere(workspace: Workspace, observe: Observations) -> None:
    others = stand_ins.found(workspace)
    expect(not others, "the engines of production everywhere", "; ".join(others))
    pythons, named = parity.pythons(workspace), engines.named(workspace.source)
    if workspace.installed != "none":
        pythons["the environment"] = ".".join(Environment(workspace).version.split(".")[:2])
    _expect_one(pythons, "version of Python")
    named.places = [place for place in named.places if workspace.contract.resource(place.kind)]
    for engine in sorted({place.engine for place in named.places}):
        _expect_one(named.versions(engine), f"major version of {engine}")
    others = list(named.others())
    expect(not others, "the engines of production everywhere", "; ".join(others))
    if named.unread:
        observe.note(f"not read, for nothing in the repository says it: {'; '.join(named.unread)}")

    seen = development.observe(workspace)
    if seen.trouble:
        raise Violation(f"expected the service to run in development, saw {seen.trouble}")
    _expect_one({**pythons, **seen.pythons}, "version of Python")
    observe.note(f"Python {next(iter(pythons.values()), 'none')} in {', '.join((*pythons, *seen.pythons))}")
    if workspace.contract.resource("postgres"):
        versions = named.versions("postgres")
        _expect_the_engine_of_production(versions, seen, stand_ins.reads_files(workspace))
        places = ", ".join((*versions, *seen.databases, "tests"))
        observe.note(f"PostgreSQL {next(iter(versions.values()))} in {places}")


def _expect_one(versions: dict[str, str], what: str) -> None:
    told = ", ".join(f"{version} in {where}" for where, version in versions.items())
    expect(len(set(versions.values())) <= 1, f"one {what}", told)


def _expect_the_engine_of_production(versions: dict[str, str], seen: Seen, reads_files: bool) -> None:
    if not versions:
        raise NotRun("no compose file says which PostgreSQL production has")
    wanted = f"postgres {next(iter(versions.values()))}"
    if not seen.databases:
        raise NotRun("no process of development is given the URL of a database")
    for process, engine in seen.databases.items():
        expect(engine == wanted, f"{process} to have {wanted} in development", engine)
    used = [engine for engine in seen.in_tests if engine.startswith(("sqlite", "postgres", "mysql", "maria"))]
    wrong = [engine for engine in used if engine != wanted and not (reads_files and engine.startswith("sqlite"))]
    expect(not wrong, f"tests to have {wanted}", ", ".join(wrong))
    if not used:
        raise NotRun(
            f"which database the tests have cannot be seen: {seen.tests_not_run or 'none runs on this machine'}"
        )


@claim(
    "X.2",
    "Development runs the commands of production",
    threshold="0 commands differ",
    seconds=20,
)
def development_runs_the_commands_of_production(workspace: Workspace, observe: Observations) -> None:
    others = parity.other_commands(workspace)
    expect(not others, "one command for each process type", "; ".join(others))

    seen = development.observe(workspace)
    if seen.trouble:
        raise Violation(f"expected the service to run in development, saw {seen.trouble}")
    own: list[Program] = []
    for process, words in development.expected(workspace.contract, seen.port).items():
        found = development.match(seen.programs, words)
        running = [" ".join(one.words) for one in seen.programs]
        expect(found, f"development to run {process} as `{' '.join(words)}`", "; ".join(running))
        expect(len(found) == 1, f"one {process} in development", f"{len(found)}")
        own += found
    observe.note(f"{', '.join(' '.join(one.words) for one in own)} run in development")
    _expect_no_other_server(workspace, seen, own)
    for program in own:
        switches = _switches(workspace, program)
        expect(not switches, "no variable that only development knows", f"{' '.join(program.words)} with {switches}")
    observe.note("no other program listens, and no variable is given that production does not know")


def _expect_no_other_server(workspace: Workspace, seen: Seen, own: list[Program]) -> None:
    for program in seen.programs:
        backing = development.ENGINES.match(Path(program.program).name)
        if program.ports and not backing:
            told = f"`{' '.join(program.words)}` on port {program.ports[0]}"
            expect(any(program is one for one in own), "only the process types to listen in development", told)
    web = workspace.contract.web
    if web and web.process in workspace.contract.processes:
        served = any(seen.port in program.ports for program in own)
        expect(served, f"{web.process} itself to listen on {web.port}", f"it does not on {seen.port}")


def _switches(workspace: Workspace, program: Program) -> list[str]:
    """The variables of a process that neither the service declares nor a tool needs."""
    config = workspace.contract.config
    text = repository.text(workspace.source, config.example or ".env.example")
    declared = {line.lstrip("# ").partition("=")[0].strip() for line in text.splitlines() if "=" in line}
    declared |= {*config.required, *config.given, *(one.url for one in workspace.contract.resources.values())}
    web, jobs = workspace.contract.web, workspace.contract.jobs
    declared |= {name for name in (web and web.port, web and web.host, jobs and jobs.metrics_port) if name}
    inherited = tool_environment()
    strange = (name for name in program.variables if name not in declared and name not in inherited)
    return sorted(name for name in strange if not name.startswith(OF_TOOLS + OF_TERMINALS))


@claim(
    "X.3",
    "The digest that was tested is the digest that is released",
    threshold="1 build, 1 digest",
    seconds=4,
)
def what_was_tested_is_what_is_released(workspace: Workspace, observe: Observations, tmp_path: Path) -> None:
    publishing, problems = pipelines.problems(workspace)
    expect(not problems, "workflows to publish the image that they have run", "; ".join(problems))

    how = workspace.contract.release
    if how is None:
        raise NotRun("factors.toml has no [release]")
    build = need(workspace.contract.code.build, "[code] build")
    clone = repository.clone(workspace, tmp_path / "clone")
    rollout = Rollout(Rehearsal(tmp_path / "engine", clone), how, build, configuration(clone, "rehearsal1"))
    tested = rollout.built()
    release, rebuilt = _counting_builds(rollout, rollout.released)
    expect(tested in str(release), "the release to be of the image that was built", release)
    rollout.change()
    rollout.built()  # the name of the first image now stands for another one
    done, rebuilt_again = _counting_builds(rollout, lambda: rollout.run(str(release["id"])))
    expect(done.code == 0, f"release {release['id']} to run", done.tail)
    started = rollout.started()
    expect(started == {tested}, f"{tested[:19]} to be started, whatever was built since", started)
    observe.measure("builds by release and run", rebuilt + rebuilt_again, "==", 0)
    observe.note(f"{tested[:19]} was built, released and run")
    if publishing:
        observe.note(f"{publishing} workflow publishes what it has built once and run; it was read, not run")


def _counting_builds(rollout: Rollout, action: Callable[[], T]) -> tuple[T, int]:
    """What an action gives, and how many images it has made."""
    before = len(rollout.rehearsal.calls("build", "commit"))
    return action(), len(rollout.rehearsal.calls("build", "commit")) - before
