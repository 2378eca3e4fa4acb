"""What goes wrong in a service's life, brought about on purpose: inside its interpreter, around it, at its start."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from . import events
from .claim import NotRun, Violation, expect
from .deploy import Deploy, unique_marker
from .inside.twelvefold_trouble import TOLD
from .probing import probed
from .processes import Process, eventually, free_port
from .traffic import away

SEEN_SECONDS = 10
JOB_SECONDS = 20
END_SECONDS = 15
RESULT_IS_NO_LOG = ("sh", "-c", 'exec "$@" >/dev/null', "sh")  # what a one-off prints for people


@dataclass
class Inside:
    """The inside of the service's programs, where that can be reached."""

    deploy: Deploy
    """Whose programs are in reach."""
    folder: Path
    reason: str = ""
    """Why they are not."""

    def make_trouble(self, process: Process) -> list[str]:
        """Has a library warn, log and crash in a process; returns what is imported there, in order.

        Raises Violation when nothing is heard of it; an empty list says that the process is out of reach.
        """
        token = unique_marker()
        if not (answer := self._ask(process, token, "trouble", "modules")):
            return []
        for what in TOLD:
            expected = f"{what} of a library to be in the log of {process.type}"
            eventually(partial(_tells, process, f"{token} {what}"), expected, SEEN_SECONDS)
        imported: list[str] = json.loads(answer.read_text())
        return imported

    def warn(self, process: Process) -> str:
        """Has a library log a warning in a process; returns a part of it, or nothing where that is out of reach."""
        token = unique_marker()
        return token if self._ask(process, token, "warn", "warned") else ""

    def _ask(self, process: Process, token: str, question: str, answer: str) -> Path | None:
        """Puts a question to the probe; returns the file with its answer, if there is one."""
        family = [] if self.reason else process.family()
        for pid in family:
            fresh = self.folder / f"fresh-{pid}"  # which has its content before anybody looks for it
            fresh.write_text(token)
            fresh.rename(self.folder / f"{question}-{pid}")
        answers = [self.folder / f"{answer}-{pid}" for pid in family]
        with suppress(Violation):
            eventually(lambda: any(one.exists() for one in answers), "the probe to answer", SEEN_SECONDS / 2)
        return next((one for one in answers if one.exists()), None)

    def crash_at_import(self, process: str, module: str, prefix: tuple[str, ...] = ()) -> Process:
        """Starts a process type in which the import of a module fails."""
        crashing = probed(self.deploy, "twelvefold_trouble", folder=str(self.folder), crash=module)
        return to_its_end(crashing, process, prefix)


def _tells(process: Process, text: str) -> bool:
    return text in process.output


def inside(deploy: Deploy) -> Inside:
    """Reaches into the programs that are started from now on, if that is possible."""
    folder = deploy.folder / "inside"
    folder.mkdir()
    try:
        return Inside(probed(deploy, "twelvefold_trouble", folder=str(folder)), folder)
    except NotRun as error:
        return Inside(deploy, folder, str(error))


def has_worker(deploy: Deploy) -> bool:
    """Whether there is somebody to do the jobs of things."""
    contract = deploy.contract
    return bool(contract.jobs and contract.jobs.process in contract.processes and contract.thing and deploy.database)


def worker_whose_job_fails(deploy: Deploy, web: Process) -> Process:
    """A worker that finds a job which cannot be done, since the table is not there."""
    deploy.create(web)
    with away(deploy, deploy.jobs.table):
        worker = deploy.start(deploy.jobs.process)
        eventually(lambda: tells_of_it(worker, 0), "the worker to tell of a job that failed", JOB_SECONDS)
    return worker


def tells_of_it(process: Process, before: int) -> bool:
    """Whether the process has told of a failure since it had written so many lines."""
    return any(events.is_bad_news(line) for _, line in process.lines[before:])


def release_that_fails(deploy: Deploy) -> Process:
    """The release phase, in an empty database that has a table of the service's already."""
    if not deploy.contract.thing or not deploy.contract.thing.table:
        raise NotRun("factors.toml has no [thing] table")
    deploy.db.rows(f"CREATE TABLE {deploy.contract.thing.table} ()")
    return to_its_end(deploy, "release")


def to_its_end(deploy: Deploy, command: str, prefix: tuple[str, ...] = (), **variables: Any) -> Process:
    """Runs a program to its end; one that finds none is ended."""
    running = deploy.launch(command, prefix=prefix, **variables)
    try:
        running.wait(END_SECONDS)
    except Violation:
        running.kill()
    return running


def ends(deploy: Deploy) -> Iterator[tuple[str, Process]]:
    """The programs that end by themselves, well or not, each with how it came about."""
    contract = deploy.contract
    if "release" in contract.processes:
        yield "release", to_its_end(deploy, "release")
        if deploy.database and (resource := contract.resource("postgres")):
            away: dict[str, Any] = {resource.url: deploy.database.at(free_port())}
            yield "release without a database", to_its_end(deploy, "release", **away)
    if contract.admin and contract.admin.succeeds and deploy.workspace.driver == "process":
        yield "a one-off", to_its_end(deploy, contract.admin.succeeds, RESULT_IS_NO_LOG)
    if contract.admin and contract.admin.fails:
        yield "a one-off that fails", to_its_end(deploy, contract.admin.fails)


def refusals(deploy: Deploy) -> Iterator[tuple[str, Process]]:
    """The process types that cannot start, and have to say so."""
    required: dict[str, Any] = dict.fromkeys(deploy.contract.config.required)
    if required:
        for name in deploy.contract.long_running:
            yield f"{name} without its configuration", to_its_end(deploy, name, **required)
    if deploy.contract.web:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            given: dict[str, Any] = {deploy.web.port: str(taken.getsockname()[1])}
            yield "web on a port that is taken", to_its_end(deploy, deploy.web.process, **given)


def failed_imports(
    within: Inside, imported: dict[str, list[str]], prefix: Callable[[], tuple[str, ...]] = tuple
) -> Iterator[tuple[str, Process]]:
    """The process types whose last own module cannot be imported; `imported` are the modules of each."""
    packages = set(within.deploy.contract.code.packages)
    for name, modules in imported.items():
        own = [module for module in modules if module.partition(".")[0] in packages]
        if own:
            crashed = within.crash_at_import(name, own[-1], prefix())
            what = f"{name}, whose import of {own[-1]} fails,"
            expect(crashed.exit_code not in (None, 0), f"{what} to end with an error", f"exit code {crashed.exit_code}")
            expect(_tells(crashed, f"the import of {own[-1]} fails"), f"{what} to say why", crashed.tail(2))
            yield what, crashed
