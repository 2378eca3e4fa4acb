"""A deploy: processes of the service, the resources that are attached to them, and their environment."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from . import caches, http
from .caches import Cache
from .claim import NotApplicable, NotRun, Violation, expect, need
from .contract import Clock, Contract, Jobs, Thing, Web
from .databases import Database, Server
from .processes import READY_SECONDS, Driver, Process, eventually, free_port
from .proxy import Proxy
from .workspace import Workspace

RELEASE_SECONDS = 60.0
TOO_MANY = 429  # requests, from one client
MARKER_LENGTH = len("marker-") + 32
STARTED_SECONDS = 1.0  # how long a process without a readiness address must have run to count as started
BOOT_SECONDS = 10.0  # after which it does, also when it has never been at rest
REST_SECONDS = 0.3


@dataclass(frozen=True)
class Made:
    """A thing that was created over HTTP."""

    id: str
    marker: str
    email: str
    response: http.Response

    @property
    def head(self) -> str:
        """How its marker begins: a list may cut a long one short."""
        return self.marker[:MARKER_LENGTH]


@dataclass(frozen=True)
class Finished:
    """A program that has run to its end."""

    code: int
    output: str
    seconds: float
    process: Process


@dataclass
class Deploy:
    """One deploy of the service. Whatever it has started ends with it."""

    workspace: Workspace
    driver: Driver
    database: Database | None
    folder: Path
    """A folder of this deploy's own."""
    stack: ExitStack
    variables: dict[str, str] = field(default_factory=dict)
    """What every process is given; to be changed before it is started."""
    processes: list[Process] = field(default_factory=list)
    cache: Cache | None = None
    proxies: dict[str, Proxy] = field(default_factory=dict)

    @property
    def contract(self) -> Contract:
        """What factors.toml says."""
        return self.workspace.contract

    # What the contract has, or the reason why the experiment does not run.

    @property
    def web(self) -> Web:
        """The HTTP process type; raises NotApplicable without one."""
        if self.contract.web is None or self.contract.web.process not in self.contract.processes:
            raise NotApplicable("there is no web process")
        return self.contract.web

    @property
    def thing(self) -> Thing:
        """How to create a thing; raises NotRun when factors.toml does not say."""
        if self.contract.thing is None:
            raise NotRun("factors.toml has no [thing]")
        return self.contract.thing

    @property
    def jobs(self) -> Jobs:
        """What the worker does; raises NotApplicable without one."""
        if self.contract.jobs is None or self.contract.jobs.process not in self.contract.processes:
            raise NotApplicable("there is no worker process")
        return self.contract.jobs

    @property
    def clock(self) -> Clock:
        """What the clock does; raises NotApplicable without one."""
        if self.contract.clock is None or self.contract.clock.process not in self.contract.processes:
            raise NotApplicable("there is no clock process")
        return self.contract.clock

    @property
    def db(self) -> Database:
        """The attached database; raises NotApplicable without one."""
        if self.database is None:
            raise NotApplicable("no PostgreSQL is attached to the service")
        return self.database

    # Running programs

    def start(
        self, process: str, *, ready: bool = True, prefix: Sequence[str] = (), **variables: str | None
    ) -> Process:
        """Starts a process type, by default until it is ready.

        A variable that is None is not given. Raises Violation when it does not become ready.
        """
        environment, port = self.environment_of(process, variables)
        argv = self.contract.argv(process, environment)
        handle = self.driver.start(argv, environment, self.working_folder(), prefix)
        started = Process(process, handle, self.driver, port)
        self.processes.append(started)
        self.stack.callback(started.kill)
        if ready:
            self.wait_until_ready(started)
        return started

    def run(
        self,
        command: str | Sequence[str],
        *,
        seconds: float = RELEASE_SECONDS,
        prefix: Sequence[str] = (),
        **variables: str | None,
    ) -> Finished:
        """Runs a program to its end: a process type, or a command line."""
        started = self.launch(command, prefix=prefix, **variables)
        code = started.wait(seconds)
        last = started.lines[-1][0] if started.lines else started.started
        return Finished(code, started.output, max(0.0, last - started.started), started)

    def launch(self, command: str | Sequence[str], *, prefix: Sequence[str] = (), **variables: str | None) -> Process:
        """Starts a process type or a command line, and waits for nothing."""
        if isinstance(command, str) and command in self.contract.processes:
            return self.start(command, ready=False, prefix=prefix, **variables)
        argv = shlex.split(command) if isinstance(command, str) else list(command)
        environment, _ = self.environment_of("", variables)
        handle = self.driver.start(argv, environment, self.working_folder(), prefix)
        started = Process(argv[0], handle, self.driver, None)
        self.processes.append(started)
        self.stack.callback(started.kill)
        return started

    def environment_of(self, process: str, variables: Mapping[str, str | None]) -> tuple[dict[str, str], int | None]:
        """The variables of a process, and the port that it is told to listen on."""
        environment = {**filled(self.contract.config.given, folder=str(self.folder)), **self.variables}
        port = None
        name = self._port_variable(process)
        if name and variables.get(name, "") is not None:
            given = variables.get(name)
            port = int(given) if given and given.isdigit() else free_port()
            environment[name] = str(port)
        web = self.contract.web
        if web and web.host:
            environment.setdefault(web.host, "127.0.0.1")
        environment |= {key: value for key, value in variables.items() if value is not None}
        return {
            key: value for key, value in environment.items() if key not in variables or variables[key] is not None
        }, port

    def _port_variable(self, process: str) -> str | None:
        contract = self.contract
        if contract.web and process == contract.web.process:
            return contract.web.port
        if contract.jobs and process in (contract.jobs.process, contract.clock.process if contract.clock else None):
            return contract.jobs.metrics_port
        return None

    def wait_until_ready(self, process: Process, seconds: float = READY_SECONDS) -> None:
        """Waits until a process says that it is ready, or has run for a while where it says nothing."""
        web = self.contract.web
        path = web.ready if web else ("/readyz" if process.port else None)
        if process.port and path:
            process.wait_for(path, 200, seconds)
        elif process.port:
            eventually(process.listens, f"{process.type} to listen on its port", seconds)
        else:
            wait_until_at_rest(process)
        expect(process.alive, f"{process.type} to keep running", process.tail())

    def working_folder(self) -> Path:
        """Where the next process starts: a folder that no other one has, as two machines have none in common.

        It is empty where the service is installed, and holds a copy of the code where it is not.
        """
        folder = Path(tempfile.mkdtemp(prefix="process-", dir=self.folder))
        if not self.workspace.is_package:
            ignored = shutil.ignore_patterns(".git")
            shutil.copytree(self.workspace.source, folder, symlinks=True, ignore=ignored, dirs_exist_ok=True)
        return folder

    # What clients do

    def create(self, web: Process, marker: str = "", **options: Any) -> Made:
        """Creates a thing over HTTP; raises Violation unless the answer is what it should be."""
        marker, email = marker or unique_marker(), unique_email()
        try:
            response = self.attempt(web, marker, email, **options)
        except http.NO_ANSWER as error:
            raise Violation(f"expected {self.thing.status} from {self.thing.create}, saw no answer: {error}") from None
        if response.status == TOO_MANY:
            raise NotRun(f"{self.thing.create} was refused with {TOO_MANY}: [config] given may raise the limit")
        expect(response.status == self.thing.status, f"{self.thing.status} from {self.thing.create}", _shown(response))
        return Made(self.id_in(response), marker, email, response)

    def attempt(
        self, web: Process, marker: str, email: str, *, more: Mapping[str, str] | None = None, **options: Any
    ) -> http.Response:
        """Asks for a thing to be created, whatever the answer; `more` stands in its body as well."""
        method, _, path = self.thing.create.partition(" ")
        body = filled(self.thing.body, marker=marker, email=email) | (more or {})
        return web.ask(method, path, body=body, **options)

    def id_in(self, response: http.Response) -> str:
        """The identifier of the thing that was just created; raises Violation when there is none."""
        try:
            return str(http.pointer(response.json(), self.thing.id))
        except (LookupError, ValueError):
            raise Violation(f"expected an identifier at {self.thing.id}, saw {_shown(response)}") from None

    def read(self, web: Process, made: Made | str, **options: Any) -> http.Response:
        """Reads a thing over HTTP."""
        identifier = made if isinstance(made, str) else made.id
        method, _, path = self.thing.read.partition(" ")
        return web.ask(method, path.replace("{id}", identifier), **options)

    def marker_of(self, web: Process, made: Made | str, **options: Any) -> str | None:
        """What a thing's answer holds where the marker is; None when there is no such thing."""
        response = self.read(web, made, **options)
        if response.status == 404:
            return None
        expect(response.status == 200, f"200 from {self.thing.read}", _shown(response))
        try:
            return str(http.pointer(response.json(), self.thing.marker))
        except (LookupError, ValueError):
            raise Violation(f"expected the marker at {self.thing.marker}, saw {_shown(response)}") from None

    def delete(self, web: Process, made: Made) -> http.Response:
        """Deletes a thing over HTTP."""
        method, _, path = need(self.thing.delete, "[thing] delete").partition(" ")
        return web.ask(method, path.replace("{id}", made.id))

    def done(self, made: Made | str) -> bool:
        """Whether the job of a thing has had its effect."""
        identifier = made if isinstance(made, str) else made.id
        return bool(self.db.rows(self.jobs.effect, {"id": identifier}))

    # Resources

    def proxied(self, kind: str) -> Proxy:
        """Puts a proxy between a resource and the processes that are started from now on."""
        if kind in self.proxies:
            return self.proxies[kind]
        resource = self.contract.resource(kind)
        if resource is None:
            raise NotApplicable(f"no {kind} is attached to the service")
        if kind == "cache":
            cache = self.with_cache()
            proxy = self.stack.enter_context(Proxy("127.0.0.1", cache.port))
            self.variables[resource.url] = cache.at(proxy.port)
        else:
            host, port = _address(self.db.url)
            proxy = self.stack.enter_context(Proxy(host, port))
            self.variables[resource.url] = self.db.at(proxy.port)
        self.proxies[kind] = proxy
        return proxy

    def own_proxy(self) -> tuple[Proxy, dict[str, str]]:
        """One more proxy to the database, and the variable with which a process goes through it."""
        resource = self.contract.resource("postgres")
        if resource is None:
            raise NotApplicable("no postgres is attached to the service")
        proxy = self.stack.enter_context(Proxy(*_address(self.db.url)))
        return proxy, {resource.url: self.db.at(proxy.port)}

    def with_cache(self, scheme: str | None = None) -> Cache:
        """Attaches a private cache, unless there is one; raises NotApplicable where the service has no place for it."""
        resource = self.contract.resource("cache")
        if resource is None:
            raise NotApplicable("no cache is attached to the service")
        if self.cache is None:
            chosen = scheme or (resource.schemes or ["redis"])[0]
            self.cache = self.stack.enter_context(caches.server(chosen, self.folder))
            self.variables[resource.url] = self.cache.url
        return self.cache


class Deploys:
    """Makes deploys for one experiment, each with a database of its own."""

    def __init__(self, workspace: Workspace, driver: Driver, server: Callable[[], Server], folder: Path) -> None:
        self._workspace = workspace
        self._driver = driver
        self._server = server
        self._folder = folder
        self._stack = ExitStack()
        self.made: list[Deploy] = []

    def new(self, *, released: bool = True) -> Deploy:
        """A deploy whose release phase has run, or one with an empty database."""
        contract = self._workspace.contract
        folder = self._folder / f"deploy-{len(self.made)}"
        folder.mkdir(parents=True)
        database, variables = None, {}
        if resource := contract.resource("postgres"):
            server = self._server()
            template = released_template(self._workspace, self._driver, server, folder) if released else "template1"
            database = server.create(template)
            self._stack.callback(server.drop, database)
            variables[resource.url] = database.url
        deploy = Deploy(
            self._workspace, self._driver, database, folder, self._stack.enter_context(ExitStack()), variables
        )
        self.made.append(deploy)
        return deploy

    def moved(self, deploy: Deploy, *, intricate: bool = False) -> Deploy:
        """The same deploy, stopped and attached to a copy of its database: nothing else of it is different."""
        resource, server = deploy.contract.resource("postgres"), self._server()
        database = server.copy(deploy.db, intricate=intricate)
        self._stack.callback(server.drop, database)
        assert resource is not None
        variables = {**deploy.variables, resource.url: database.url}
        new = replace(deploy, database=database, variables=variables, processes=[], proxies={})
        self.made.append(new)
        return new

    def sessions(self, deploy: Deploy) -> int:
        """How many sessions the database of a deploy has had in all."""
        return self._server().sessions(deploy.db)

    def close(self) -> None:
        """Ends everything."""
        self._stack.close()


_templates: dict[tuple[str, str], str] = {}


def released_template(workspace: Workspace, driver: Driver, server: Server, folder: Path) -> str:
    """The name of a database that the release phase has migrated; it is made once a server."""
    key = (server.url, workspace.id)
    if key not in _templates:
        database = server.create()
        if "release" in workspace.contract.processes:
            with ExitStack() as stack:
                resource = workspace.contract.resource("postgres")
                variables = {resource.url: database.url} if resource else {}
                own = folder / "release"
                own.mkdir()
                deploy = Deploy(workspace, driver, database, own, stack, variables)
                finished = deploy.run("release")
                expect(finished.code == 0, "release to exit 0", f"{finished.code}: {finished.process.tail()}")
        _templates[key] = database.name
    return _templates[key]


def wait_until_at_rest(process: Process) -> None:
    """Waits until a process has run for a while and mostly waits itself, as one that boots does not."""
    while process.alive and (age := time.monotonic() - process.started) < BOOT_SECONDS:
        busy, began = process.busy(), time.monotonic()
        time.sleep(REST_SECONDS)
        if age >= STARTED_SECONDS and process.busy() - busy < (time.monotonic() - began) / 2:
            return


def filled(value: Any, **words: str) -> Any:
    """A JSON value in which `{marker}` and the like are replaced."""
    if isinstance(value, str):
        for name, word in words.items():
            value = value.replace(f"{{{name}}}", word)
        return value
    if isinstance(value, Mapping):
        return {key: filled(one, **words) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, **words) for one in value]
    return value


def unique_marker(length: int = MARKER_LENGTH) -> str:
    """A text that stands nowhere else, and that cannot be made shorter."""
    return f"marker-{os.urandom(length // 2).hex()}"[:length]


def unique_email() -> str:
    """The address of a person who does not exist, in a domain that nobody else is in."""
    return f"{uuid4().hex}@{uuid4().hex[:12]}.example.com"


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 5432)


def _shown(response: http.Response) -> str:
    return f"{response.status} {response.text[:300]}"
