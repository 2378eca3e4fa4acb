"""III. Config: what differs between deploys comes from the environment; declared, checked, secret, replaceable."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..harness import collector, config_files, contents, groups, http, leaks, outage, reads, siblings, sockets
from ..harness.caches import Cache
from ..harness.claim import NotApplicable, NotRun, Observations, Violation, claim, expect, need
from ..harness.collector import Collector
from ..harness.config import (
    NO_PASSWORD,
    Trial,
    canary,
    declared,
    files_since,
    free,
    much_logged,
    named,
    secrets_of,
    trials,
    with_password,
)
from ..harness.deploy import Deploy, Deploys, unique_email, unique_marker
from ..harness.own_code import modules, roots
from ..harness.portrait import Portrait, differences, noise_of
from ..harness.probing import probed
from ..harness.processes import Process, eventually
from ..harness.reads import Read
from ..harness.roles import Role, role
from ..harness.traffic import Exchange, ask, crying, failing, faulty, ordinary
from ..harness.trouble import has_worker, release_that_fails, worker_whose_job_fails
from ..harness.workspace import Workspace

JOB_SECONDS = 20
LOOKS_AGAIN = 2  # at what seems to differ
END_SECONDS = 5
LOOK_SECONDS = 0.01
ROTATION_SECONDS = 5
USED_AGAIN_SECONDS = 30  # a cache that has refused somebody may be left alone for a while
REQUESTS = 10
MOST_VALUES = 6
CURIOUS = "/debug /debug/vars /env /config /settings /info /.env /.git/config /actuator/env /server-status".split()
# What the system and the interpreter understand: to set it oddly would try them, and not the service.
OF_THE_SYSTEM = {"PATH", "HOME", "USER", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "HOSTNAME"}
OF_LIBRARIES = "PYTHON", "LC_", "LD_", "PG", "SSL_", "DJANGO_SETTINGS_MODULE"


@claim(
    "III.1",
    "Every variable that the service reads is declared in its settings",
    threshold="0 read elsewhere, 0 undeclared, 0 that change an answer, 0 files of settings that none names",
    seconds=16,
)
def every_variable_is_declared(workspace: Workspace, deploys: Deploys, observe: Observations) -> None:
    code = modules(workspace)
    mentioned = {name for module in code for name in reads.names_in(module)}

    # As it is written, also where no experiment ever comes.
    expect_declared(workspace, [read for module in code for read in reads.written(module)])
    asked = [read for read in reads.in_commands(workspace.contract.processes) if read.name not in known(workspace)]
    expect(not asked or not known(workspace), "no command of a process type to read what is not declared", asked[:1])

    # As it happens, also where the code does not tell.
    deploy = deploys.new()
    output = deploy.folder / "reads.jsonl"
    watched = watching(deploy, output)
    usual = portrait_of_long_running(watched, {})
    for command in one_offs(watched):
        watched.run(command)
    seen = reads.happened(workspace, output, {name for name in mentioned if not is_for_others(name)})
    if not seen.programs:
        raise NotRun("no program of the service could be watched: none of them runs in its Python environment")
    expect_declared(workspace, seen.own)
    observe.note(f"{len(code)} files read, {seen.programs} programs watched")
    observe.measure("places that read the environment outside of the settings", 0, "==", 0)
    observe.note(f"libraries look for {', '.join(sorted(seen.libraries - known(workspace))) or 'nothing'}")

    # As it shows: whatever in the code could be a variable, and is none that is declared.
    odd = {name: "1" for name in sorted(mentioned - known(workspace)) if not is_for_others(name)}
    expect_unchanged(deploys, portrait_of_web, odd, "undeclared names of the code", usual.of(deploy.web.process))
    observe.note(f"{len(odd)} undeclared names, set, change nothing")

    # As the kernel sees it: a file that no variable names is an undeclared variable for everything.
    if workspace.driver == "image":
        observe.note("not seen: which files are looked for, which is traced only in processes of this machine")
        return
    files = files_of_configuration(deploys.new())
    observe.expect(not files, "no file of configuration to be looked for that no variable names", files)


def files_of_configuration(deploy: Deploy) -> list[str]:
    """Which files of configuration the process types look for as they start, though nobody has named them."""
    found: set[str] = set()
    for process, trace in siblings.started_and_ended(deploy, siblings.LOOKS):
        given, _ = deploy.environment_of(process.type, {})
        found |= set(config_files.looked_for(trace, deploy.workspace, deploy.folder, given))
    return sorted(found)


def watching(deploy: Deploy, output: Path) -> Deploy:
    """The same deploy, whose programs write down where they read the environment; raises NotRun where none can."""
    own = [f"{deploy.folder}/process-", *roots(deploy.workspace)]
    return probed(deploy, "twelvefold_reads", output=str(output), roots=own)


def known(workspace: Workspace) -> set[str]:
    """The declared variables; none where nothing says which they are."""
    return declared(workspace) if workspace.contract.config.example else set()


def is_for_others(name: str) -> bool:
    """Whether it is a variable of the system's or of a library's, whatever the service does with it."""
    return name in OF_THE_SYSTEM or name.startswith(OF_LIBRARIES)


def expect_declared(workspace: Workspace, found: list[Read]) -> None:
    """Raises Violation that names each place outside of the settings, and each name that is not declared."""
    settings, config = workspace.contract.code.settings, workspace.contract.config
    if not settings and not config.example:
        raise NotRun("factors.toml has neither [code] settings nor [config] example")
    elsewhere = [read for read in found if settings and read.file not in settings]
    undeclared = [read for read in found if config.example and read.name and read.name not in declared(workspace)]
    undeclared = [read for read in undeclared if read not in elsewhere]
    problems = [f"{read}, outside of {', '.join(settings)}" for read in elsewhere]
    problems += [f"{read}, which {config.example} does not list" for read in undeclared]
    if problems:
        raise Violation("; ".join(problems))


def one_offs(deploy: Deploy) -> list[str]:
    """The commands that run to their end: the release, and the one-offs."""
    admin = deploy.contract.admin
    release = ["release"] if "release" in deploy.contract.processes else []
    return release + [command for command in (admin.succeeds, admin.fails) if command] if admin else release


def portrait_of_web(deploy: Deploy, variables: Mapping[str, Any]) -> Portrait:
    """Runs web with these variables, and asks for all that it offers and for what it cannot give."""
    portrait = Portrait()
    web = deploy.start(deploy.web.process, **variables)
    show(portrait, deploy, web)
    return portrait


def show(portrait: Portrait, deploy: Deploy, web: Process) -> None:
    """Adds all that web shows of itself."""
    portrait.add_answers(deploy, web, ordinary(deploy, web))
    portrait.add_answers(deploy, web, [ask(web, "GET", path) for path in deploy.web.undocumented])
    portrait.add_count(web)
    if deploy.contract.thing and deploy.contract.thing.table and deploy.database:
        portrait.add_answers(deploy, web, failing(deploy, web))
    portrait.add_answers(deploy, web, faulty(deploy, web))
    portrait.add_log(web)


def expect_unchanged(
    deploys: Deploys,
    take: Callable[[Deploy, Mapping[str, Any]], Portrait],
    variables: Mapping[str, Any],
    what: str,
    usual: Portrait,
) -> None:
    """Raises Violation when the variables change what is seen: each time, and in what is the same each time else."""
    first = take(deploys.new(), variables)
    found, noise = differences(usual, first), set[str]()
    for _ in range(LOOKS_AGAIN if found else 0):
        again = take(deploys.new(), variables)
        noise |= noise_of(usual, take(deploys.new(), {})) | noise_of(first, again)
        found = differences(usual, again, noise)
        if not found:
            return
    if found:
        raise Violation(f"with {what}, {'; '.join(found[:3])}")


@claim(
    "III.2",
    "A bad configuration ends every process type at once, with one message that names all of it",
    threshold="non-zero exit within 5 s, every bad variable named, no secret told, no port opened",
    fast=True,
    seconds=9,
)
def a_bad_configuration_ends_at_once(deploy: Deploy, observe: Observations) -> None:
    contract = deploy.contract
    if not contract.config.required and not contract.config.malformed:
        raise NotRun("factors.toml has no [config] required, and no malformed")
    took = []
    for process in contract.processes:
        watched, asked_for = asking(deploy, process)
        for number, trial in enumerate(trials(deploy, process, asked_for)):
            took.append(ends_at_once(deploy if number else watched, process, process, trial))
    if contract.admin and contract.admin.succeeds and contract.config.required:
        trial = next(trials(deploy, ""))
        took.append(ends_at_once(deploy, contract.admin.succeeds, "a one-off", trial))
    observe.measure("slowest end", max(took), "<", END_SECONDS, "s")
    observe.note(
        f"{len(took)} bad configurations of {len(contract.processes)} process types, all named, no port opened"
    )


def asking(deploy: Deploy, process: str) -> tuple[Deploy, Callable[[], set[str]]]:
    """A deploy in which it is seen for which variables the service's own code asks, and which these were."""
    workspace, output = deploy.workspace, deploy.folder / f"reads-of-{process}.jsonl"
    try:
        watched = watching(deploy, output)
        mentioned = {name for module in modules(workspace) for name in reads.names_in(module)}
    except NotRun:
        return deploy, set
    return watched, lambda: {read.name for read in reads.happened(workspace, output, mentioned).own}


def ends_at_once(deploy: Deploy, command: str, who: str, trial: Trial) -> float:
    """Runs a program with what it cannot accept; returns after how many seconds it has ended.

    The time in which a busy machine gave it no processor is not its own, and does not count.
    """
    case = f"{who} with {trial.what} ({', '.join(sorted(trial.bad))})"
    given: dict[str, Any] = dict(trial.variables)
    running = deploy.launch(command, **given)
    opened: set[str] = set()
    waited = took = 0.0
    while running.alive and took < END_SECONDS:
        opened |= open_ports(running)
        time.sleep(LOOK_SECONDS)
        waited = max(waited, running.waited())
        took = time.monotonic() - running.started - waited
    expect(not opened, f"{case} to open no port", ", ".join(sorted(opened)))
    expect(not running.alive, f"{case} to end within {END_SECONDS} s", f"it run on, saying {running.tail(2)}")
    expect(running.wait() != 0, f"{case} to end with another exit code than 0", running.tail(2))
    expect_named(running, case, trial, deploy)
    return took


def open_ports(process: Process) -> set[str]:
    """The sockets on which the process waits for others now."""
    with suppress(OSError):  # it has ended, or has just closed one
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        family = [process.pid, *map(int, children)]
        folders = [Path(f"/proc/{pid}/fd") for pid in family]
        links = [os.readlink(link) for folder in folders for link in folder.iterdir()]
        if any(link.startswith("socket:") for link in links):  # which costs less to know than the rest
            found = sockets.listeners(family)
            return {f"{one.address} port {one.port}" for one in found if one.protocol == "tcp"}
    return set()


def expect_named(process: Process, case: str, trial: Trial, deploy: Deploy) -> None:
    """Raises Violation unless one message names every bad variable and nothing else, and tells no secret."""
    config = deploy.contract.config
    told = leaks.Canaries({str(number): secret for number, secret in enumerate(trial.secrets)}).seen_in(process.output)
    expect(not told, f"{case} to tell no secret", "a part of one in the log")
    mentioned = named(process.output, trial.bad, config.file_suffix)
    missing = ", ".join(sorted(trial.bad - mentioned))
    expect(not missing, f"{case} to name them all", f"no {missing} in: {process.tail() or 'nothing at all'}")
    lines = [line for _, line in process.lines]
    if all(map(is_event, lines)):
        messages = [line for line in lines if named(line, trial.bad, config.file_suffix)]
        expect(len(messages) == 1, f"{case} to say so in one message", f"{len(messages)} events")
    good = frozenset({*config.required, *config.malformed}) - trial.bad
    wrongly = named(process.output, good, config.file_suffix) if trial.bad <= set(config.required) else set()
    expect(not wrongly, f"{case} to name nothing that is right", ", ".join(sorted(wrongly)))


def is_event(line: str) -> bool:
    """Whether the line is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


@claim(
    "III.3",
    "It could be published now: no secret is seen anywhere",
    threshold="0 secrets in history, logs, answers, metrics, traces, command lines, help, rows and files",
    seconds=14,
)
def no_secret_is_seen_anywhere(workspace: Workspace, deploys: Deploys, observe: Observations) -> None:
    # In what is committed, now or ever, and in what was built.
    committed = leaks.in_history(workspace)
    shown = "; ".join(map(str, committed[:5]))
    observe.expect(not committed, f"nothing that looks like a secret in {leaks.commits(workspace)} commits", shown)
    if workspace.driver == "image":
        built = leaks.in_image(workspace.image)
        observe.expect(not built, "nothing that looks like a secret in the image", "; ".join(map(str, built[:5])))

    # In what runs: every secret variable has a value that stands nowhere else.
    if not workspace.contract.config.secrets:
        raise NotRun("factors.toml has no [config] secrets")
    began, deploy = time.time(), deploys.new()
    planted = plant(deploy)
    canaries = leaks.Canaries(planted.secrets)
    seen: list[str] = []

    def look(text: str, where: str) -> None:
        seen.extend(f"{name} in {where}" for name in canaries.seen_in(text))

    everything_goes_wrong(deploy, planted, look)
    if "release" in deploy.contract.processes and deploy.database and deploy.contract.thing:
        fresh = deploys.new(released=False)
        fresh.variables |= at_database(deploy, fresh)
        look(release_that_fails(fresh).output, "the log of a release that fails")
    seen += canaries.in_command_lines(process for process in deploy.processes if process.alive)
    for command in quiet_commands(deploy):
        look(said(deploy, command), f"what `{command}` prints")
    for process in deploy.processes:
        if process.alive:
            process.end()
        look(process.output, f"the log of {process.type}")
    if planted.collector:
        look("\n".join(planted.collector.bodies), "what it sends to a collector of traces")
    for file in files_since(places_of(deploy), began):
        seen += [f"{name} in the file {file}" for name in canaries.in_file(file)]
    seen += in_rows(deploy, planted)
    observe.expect(not seen, f"no trace of {', '.join(sorted(planted.secrets))}", "; ".join(dict.fromkeys(seen)))
    observe.note(f"looked at {len(deploy.processes)} programs, their answers, logs, command lines and files")


@dataclass
class Planted:
    """Secrets that work, and stand nowhere else."""

    secrets: dict[str, str]
    """By the name of their variable."""
    role: Role | None = None
    """The database user whose password is one of them."""
    collector: Collector | None = None
    """Where traces go, if there are any."""


def plant(deploy: Deploy) -> Planted:
    """Gives each secret variable a value with a canary in it that works."""
    values = secrets_of(deploy)
    planted = Planted({name: secret for name, (_, secret) in values.items()})
    deploy.variables |= {name: value for name, (value, _) in values.items()}
    postgres, cache = deploy.contract.resource("postgres"), deploy.contract.resource("cache")
    if cache:
        attached = deploy.with_cache()
        if secret := planted.secrets.get(cache.url):
            attached.command("CONFIG", "SET", "requirepass", secret)
            deploy.variables[cache.url] = with_password(attached.url, secret)
    if postgres and deploy.database:
        deploy.proxied("postgres")
        if secret := planted.secrets.get(postgres.url):
            planted.role = deploy.stack.enter_context(role(deploy.db, secret))
            deploy.variables[postgres.url] = with_password(deploy.variables[postgres.url], secret, planted.role.name)
    deploy.variables |= much_logged(deploy.workspace)
    if telemetry := deploy.contract.telemetry:
        planted.collector = deploy.stack.enter_context(collector.listening())
        deploy.variables |= {**telemetry.given, telemetry.endpoint: planted.collector.url}
    return planted


def in_rows(deploy: Deploy, planted: Planted) -> list[str]:
    """Where the database keeps a secret, such as in what became of a job, in words."""
    return [
        f"{name} in a row of {table}"
        for name, secret in planted.secrets.items()
        for table in (contents.rows_with(deploy.database, [secret]) if deploy.database else ())
    ]


def at_database(deploy: Deploy, other: Deploy) -> dict[str, str]:
    """The variables of a deploy, but for the database, which is another one's."""
    resource = deploy.contract.resource("postgres")
    url = urlsplit(deploy.variables[resource.url]) if resource else urlsplit("")
    return {**deploy.variables, **({resource.url: url._replace(path=f"/{other.db.name}").geturl()} if resource else {})}


def everything_goes_wrong(deploy: Deploy, planted: Planted, look: Callable[[str, str], None]) -> None:
    """Runs every process type through work, mistakes and outages, and has every answer looked at."""
    web = deploy.start(deploy.web.process) if deploy.contract.web else None
    if web and has_worker(deploy):
        with suppress(Violation):  # whether it tells of that is another claim's affair
            worker_whose_job_fails(deploy, web)
    started = [process.type for process in deploy.processes]
    others = [deploy.start(name, ready=False) for name in deploy.contract.long_running if name not in started]
    for process in others:
        deploy.wait_until_ready(process)
    for command in one_offs(deploy):
        deploy.run(command)
    exchanges = [*ordinary(deploy, web), *curious(deploy, web)] if web else []
    if web and deploy.database and deploy.contract.thing:
        exchanges += [*(failing(deploy, web) if deploy.thing.table else []), *without_database(deploy, web, planted)]
    exchanges += faulty(deploy, web) if web else []
    for exchange in exchanges:
        if exchange.response:
            look(f"{exchange.response.headers}\n{exchange.response.text}", f"the answer to {exchange.request}")


def curious(deploy: Deploy, web: Process) -> list[Exchange]:
    """Somebody who looks where configuration is often shown."""
    return [ask(web, "GET", path) for path in (*deploy.web.undocumented, *CURIOUS)]


def without_database(deploy: Deploy, web: Process, planted: Planted) -> list[Exchange]:
    """What web answers when the database refuses its password, and when nobody answers any more."""
    known = [path for path in (deploy.web.ready, deploy.web.metrics) if path]
    found = []
    if planted.role:
        planted.role.set_password(canary())
        planted.role.end_sessions()
        found += [*crying(deploy, web, once=True), *(ask(web, "GET", path) for path in known)]
    deploy.proxied("postgres").cut()
    found += [*crying(deploy, web, once=True), *(ask(web, "GET", path) for path in known)]
    deploy.proxied("postgres").restore()
    if planted.role and (resource := deploy.contract.resource("postgres")):
        planted.role.set_password(planted.secrets[resource.url])
    return found


def quiet_commands(deploy: Deploy) -> list[str]:
    """The commands that tell of the service: the help of each process type, and its configuration."""
    show = [deploy.contract.config.show] if deploy.contract.config.show else []
    return [f"{command} --help" for command in deploy.contract.processes.values()] + show


def said(deploy: Deploy, command: str) -> str:
    """What a command prints; one that knows no end is ended."""
    running = deploy.launch(command)
    try:
        running.wait(END_SECONDS)
    except Violation:
        running.kill()
    return running.output


def places_of(deploy: Deploy) -> dict[Path, int]:
    """Where a program may have left files, and how deep to look there."""
    temporary = [Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/var/log"), Path("/dev/shm"), Path.home()]
    return {deploy.folder: 12, deploy.workspace.environment: 12, **dict.fromkeys(temporary, 2)}


@claim(
    "III.5",
    "Credentials rotate while it runs",
    threshold="requests and jobs succeed within 5 s of the change, same PID",
    seconds=13,
)
def credentials_rotate_while_it_runs(deploy: Deploy, observe: Observations) -> None:
    suffix = need(deploy.contract.config.file_suffix, "[config] file_suffix")
    resource = deploy.contract.resource("postgres")
    if resource is None:
        raise NotApplicable("no PostgreSQL is attached to the service")
    password, file = canary(), deploy.folder / "database-url"
    user = deploy.stack.enter_context(role(deploy.db, password))
    url = with_password(deploy.db.url, password, user.name)
    file.write_text(url)
    cache = RotatingCache.of(deploy)
    by_file: dict[str, Any] = {resource.url: None, f"{resource.url}{suffix}": str(file)}
    by_file |= {cache.variable: None, f"{cache.variable}{suffix}": str(cache.file)} if cache else {}
    clock = outage.ticking(deploy)
    running = outage.start(deploy, clock=clock, **by_file)
    for process in running:
        deploy.wait_until_ready(process)
    web = running[0]
    works(deploy, web)
    if clock:
        clock.come_close()
    has_hits, passwords = bool(cache and cache.is_used(deploy, web)), set[str]()
    for number in (1, 2):  # who looks once more and then never again is found by the second
        revoked, url = url, with_password(url, canary())
        rotate(user, file, url)
        if cache:
            cache.rotate()
        expect(not user.is_let_in(revoked), "the old password to be refused")
        passwords |= {str(urlsplit(one).password) for one in (revoked, url)}
        took = eventually(
            lambda: succeeds(deploy, web), f"a request to succeed after rotation {number}", ROTATION_SECONDS
        )
        observe.measure(f"rotation {number}: first answer", took, "<", ROTATION_SECONDS, "s")
        answers = at_once(lambda: succeeds(deploy, web), REQUESTS)
        observe.expect(all(answers), f"{REQUESTS} requests at once to succeed", f"{answers.count(False)} that did not")
        works(deploy, web)
        if cache and has_hits:
            used = f"the cache to be used again after its rotation {number}"
            took = eventually(lambda: cache.is_used(deploy, web), used, USED_AGAIN_SECONDS, pause=0.2)
            observe.measure(f"rotation {number}: first hit of the cache", took, "<", USED_AGAIN_SECONDS, "s")
    for process in running:
        expect(process.alive, f"{process.type} to keep running", process.tail())
        if process.port:
            deploy.wait_until_ready(process, ROTATION_SECONDS)
    if clock:
        observe.note(clock.ticks_still())
    told = leaks.Canaries({f"password {number}": one for number, one in enumerate(sorted(passwords), 1)})
    telling = [process.type for process in running if told.seen_in(process.output)]
    expect(not telling, "no password to be told", f"one in the log of {', '.join(telling)}")
    if deploy.contract.admin and deploy.contract.admin.succeeds:
        code = deploy.run(deploy.contract.admin.succeeds, **by_file).code
        expect(code == 0, "a one-off with the new password to exit 0", code)
    observe.note(f"same PIDs: {', '.join(f'{process.type} {process.pid}' for process in running)}")


@dataclass
class RotatingCache:
    """A cache whose address, with a password, stands in a file."""

    variable: str
    file: Path
    server: Cache

    @classmethod
    def of(cls, deploy: Deploy) -> RotatingCache | None:
        """That of a deploy; None where there is none, or none whose address is a secret and has a password."""
        resource = deploy.contract.resource("cache")
        schemes = [one for one in (resource.schemes or ["redis"]) if one not in NO_PASSWORD] if resource else []
        if resource is None or not schemes or resource.url not in deploy.contract.config.secrets:
            return None
        made = cls(resource.url, deploy.folder / "cache-url", deploy.with_cache(schemes[0]))
        made.rotate()
        return made

    def rotate(self) -> None:
        """Has the old password refused, and everybody put out who came in with it."""
        password = canary()
        replace_file(self.file, with_password(self.server.url, password))
        self.server = self.server.guarded(password)

    def is_used(self, deploy: Deploy, web: Process) -> bool:
        """Whether something that is read twice comes from it."""
        before = self.server.hits()
        made = deploy.create(web)
        for _ in range(2):
            deploy.read(web, made)
            if deploy.thing.list:
                ask(web, *deploy.thing.list.split(" ", 1))
        return self.server.hits() > before


def replace_file(file: Path, text: str) -> None:
    """Replaces a file in one step, as a platform does."""
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(file)


def rotate(user: Role, file: Path, url: str) -> None:
    """Replaces the file, and has the old password refused everywhere."""
    replace_file(file, url)
    user.set_password(str(urlsplit(url).password))
    user.end_sessions()


def succeeds(deploy: Deploy, web: Process) -> bool:
    """Whether a thing can be created now."""
    try:
        return deploy.attempt(web, unique_marker(), unique_email()).status == deploy.thing.status
    except http.NO_ANSWER:
        return False


def at_once(act: Callable[[], bool], times: int) -> list[bool]:
    """What becomes of several at the same time."""
    with ThreadPoolExecutor(times) as pool:
        return [future.result() for future in [pool.submit(act) for _ in range(times)]]


def works(deploy: Deploy, web: Process) -> None:
    """Has a thing created, and its job done where there are jobs."""
    made = deploy.create(web)
    if has_worker(deploy):
        eventually(lambda: deploy.done(made), "the worker to do a job with the new password", JOB_SECONDS)


@claim(
    "III.4",
    "There are no groups of settings: a variable such as APP_ENV changes nothing",
    threshold="0 differences in answers, logs and processes",
    seconds=12,
)
def a_name_of_an_environment_changes_nothing(deploys: Deploys, observe: Observations) -> None:
    deploy = deploys.new()
    code = groups.lines(deploy.workspace)
    choices = groups.choices(code, known(deploy.workspace))
    asked = "; ".join(f"{line.place}: {line.text.strip()}" for line in choices[:3])
    expect(not asked, "no code that asks which environment it is in", asked)
    names = groups.variables(deploy.workspace, code, known(deploy.workspace))
    values = groups.values(code)
    # What the code asks of some word it may ask of any variable, whatever it is called.
    others = takers(deploys, free(deploy.workspace) - set(names)) if groups.words(code) else {}
    hidden = [*others.values(), *values] if others else []

    def all_types(deploy: Deploy, variables: Mapping[str, Any]) -> Portrait:
        return portrait_of_long_running(deploy, {**others, **variables}).without(hidden)

    def web_alone(deploy: Deploy, variables: Mapping[str, Any]) -> Portrait:
        return portrait_of_web(deploy, {**others, **variables}).without(hidden)

    usual = all_types(deploy, {})
    for number, value in enumerate(values[:MOST_VALUES]):
        switches = dict.fromkeys(groups.switches(known(deploy.workspace)), ("1", "true")[number % 2])
        given = {**dict.fromkeys([*names, *others], value), **switches, "WEB_CONCURRENCY": "4"}
        # The other process types once: what they have in common with web, web has shown.
        take, compared = (all_types, usual) if number == 0 else (web_alone, usual.of(deploy.web.process))
        own = [f"{name}={given[name]}" for name in sorted({*others, *(set(switches) & known(deploy.workspace))})]
        what = ", ".join([f"APP_ENV={value} and the like", *own])
        expect_unchanged(deploys, take, given, f"{what}, and WEB_CONCURRENCY=4", compared)
    observe.note(f"{len(names)} names of environments, as {', '.join(values[:MOST_VALUES])}: the same answers and logs")
    observe.note("WEB_CONCURRENCY=4: as many processes as without")


def takers(deploys: Deploys, names: set[str]) -> dict[str, str]:
    """Those of the variables that may be any word, so that the service works with it; each with a word."""
    word = f"word{canary().lower()}"
    while names:
        deploy = deploys.new()
        given = dict.fromkeys(sorted(names), word)
        try:
            portrait_of_long_running(deploy, given)
        except (Violation, *http.NO_ANSWER):
            told = "\n".join(process.output for process in deploy.processes)
            refused = named(told, frozenset(names), deploy.contract.config.file_suffix)
            names = names - refused if refused else set()
        else:
            return given
        finally:
            for process in deploy.processes:
                process.kill()
    return {}


def portrait_of_long_running(deploy: Deploy, variables: Mapping[str, Any]) -> Portrait:
    """Runs every process type that is to run on with these variables, has them work, and keeps what they showed."""
    web_type = deploy.web.process
    portrait = portrait_of_web(deploy, variables)  # first: a job that is done meanwhile would change an answer
    others = [deploy.start(name, ready=False, **variables) for name in deploy.contract.long_running if name != web_type]
    for process in others:
        deploy.wait_until_ready(process)
    web = next(process for process in deploy.processes if process.type == web_type)
    if has_worker(deploy) and web.alive:
        made = deploy.create(web)
        eventually(lambda: deploy.done(made), "a job to be done", JOB_SECONDS)
    for process in others:
        portrait.add_count(process)
        process.end()
        portrait.add_log(process)
    return portrait
