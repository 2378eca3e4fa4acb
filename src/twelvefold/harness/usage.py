"""Every process type of a deploy, watched while it works, fails, and is left alone, for whom it speaks to."""

from __future__ import annotations

import shlex
import signal
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from ipaddress import ip_address
from urllib.parse import urlsplit

from . import http, tracing
from .claim import HarnessError, NotRun, Violation
from .deploy import RELEASE_SECONDS, Deploy, unique_email, unique_marker
from .moved_time import MovedTime, moved_time
from .passage import A_DAY, clock_of, let_a_day_pass
from .processes import END_SECONDS, Process, eventually
from .proxy import Proxy
from .tracing import NAMES, Address, Trace

NOBODY = "00000000-0000-7000-8000-000000000000"
CUT_SECONDS = 1.0
SOON = 60, 3600
LATE = 7 * A_DAY, 31 * A_DAY, 366 * A_DAY
WAKE_SECONDS = 0.2
JOB_FAILS_SECONDS = 5.0
GIVEN_UP_SECONDS = 1.5
ALL_TRIES_SECONDS = 30.0  # within which day after day passes for a job that fails and fails
BEHIND = 50 * A_DAY
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "postgres": 5432, "redis": 6379, "amqp": 5672}


class Usage:
    """The traced processes of a deploy: all types without their optional resources, and one more web with them."""

    def __init__(self, deploy: Deploy) -> None:
        self.deploy = deploy
        self.traces: dict[str, Trace] = {}
        self._processes: dict[str, Process] = {}
        self._webs: list[Process] = []
        self._optional: dict[str, str | None] = {
            one.url: None for one in deploy.contract.resources.values() if not one.required
        }
        if deploy.database:
            deploy.proxied("postgres")
        if deploy.contract.resource("cache"):
            with suppress(NotRun):
                deploy.proxied("cache")
        self._moved: MovedTime | None = None
        self._behind: MovedTime | None = None
        with suppress(NotRun):
            self._moved = deploy.stack.enter_context(moved_time(deploy, time.time()))
            place = deploy.folder / "behind"
            place.mkdir()
            self._behind = deploy.stack.enter_context(moved_time(deploy, time.time() - BEHIND, place))

    @property
    def _worker(self) -> str | None:
        """The process type of the worker, if there is one of its own and its time can be moved."""
        return self.deploy.jobs.process if self.deploy.contract.works_apart and self._behind else None

    @property
    def declared(self) -> dict[str, tuple[str, int]]:
        """Host and port of each URL in the environment of the processes."""
        return declared_in(self.deploy.environment_of("", {})[0])

    def start_all(self) -> None:
        """Starts them, until each is ready."""
        web = self.deploy.web.process
        for name in self.deploy.contract.long_running:
            self._start(name, name, self._optional)
        if any(name in self.deploy.variables for name in self._optional):
            self._start(f"{web} with all resources", web, {})
        if self._worker:
            self._start(f"a {self._worker} whose clock is slow", self._worker, self._optional, self._behind)
        for process in self._processes.values():
            self.deploy.wait_until_ready(process)
        self._webs = [process for process in self._processes.values() if process.type == web]

    def work(self) -> None:
        """Does what clients do, and waits until the jobs are done."""
        for web in self._webs:
            made = self.deploy.create(web)
            self.deploy.marker_of(web, made)
            _ask_quietly(web, *self._known_paths(web))
            if self.deploy.contract.jobs:
                eventually(partial(self.deploy.done, made), "a job to be done", END_SECONDS)
            if self.deploy.thing.delete:
                self.deploy.delete(web, made)

    def fail(self) -> None:
        """Asks for what is wrong, then has writes and jobs fail, then cuts each resource for a moment."""
        for web in self._webs:
            self._ask_wrongly(web)
        if self.deploy.database and (table := self.deploy.thing.table):
            with self.deploy.db.failing(table, "INSERT"):
                self._try_to_create()
            self._let_jobs_fail(table)
        for proxy in self.deploy.proxies.values():
            self._cut(proxy)

    def run_one_offs(self) -> None:
        """Runs the release phase and the one-offs, those that fail too."""
        admin = self.deploy.contract.admin
        commands = {"release": "release"} if "release" in self.deploy.contract.processes else {}
        for command in (admin.succeeds, admin.fails, admin.purge) if admin else ():
            if command:
                commands[command] = command.replace("{email}", unique_email())
        for name, command in commands.items():
            trace = self._watch(name)
            words = command if command == "release" else shlex.split(command)
            process = self.deploy.launch(words, prefix=trace.prefix, **self._optional)
            process.wait(RELEASE_SECONDS)
            trace.wait(process.pid)

    def let_time_pass(self) -> str:
        """Has them live through a day, and do what is due then and later; returns what was done of it."""
        if not self._moved:
            return "time was not moved forward: install the package libfaketime"
        name = clock_of(self.deploy) or ""
        passed = let_a_day_pass(self.deploy, self._moved, self._processes.get(name), self._start_clock, SOON)
        for process in self._processes.values():
            if process.type == name:
                process.end()  # it would make up for each hour of a year
        began = self._moved.now()
        for seconds in LATE:
            self._moved.move(began + seconds)
            time.sleep(WAKE_SECONDS)
        return passed

    def live_for(self, seconds: float) -> None:
        """Waits until the youngest process is so old."""
        youngest = max(process.started for process in self._processes.values())
        time.sleep(max(0.0, youngest + seconds - time.monotonic()))

    def stop(self) -> None:
        """Stops all, and sees that they were watched."""
        for process in self._processes.values():
            process.signal(signal.SIGTERM)
        for name, process in self._processes.items():
            try:
                process.wait()
            except Violation:  # which another claim is about
                process.kill()
            else:
                self.traces[name].wait(process.pid)
            if (
                process.port
                and process.type == self.deploy.web.process
                and process.port not in self.traces[name].ports()
            ):
                raise HarnessError(f"the trace of {name} does not show that it listens on port {process.port}")

    def foreign_contacts(self) -> dict[str, list[Address]]:
        """What each process type has spoken to that is in none of its URLs."""
        known = self.declared.values()
        found = {
            name: [one for one in trace.contacts() if not is_among(one, known)] for name, trace in self.traces.items()
        }
        return {name: addresses for name, addresses in found.items() if addresses}

    def _start(
        self, name: str, type_: str, variables: Mapping[str, str | None], moved: MovedTime | None = None
    ) -> None:
        prefix = self._watch(name).prefix
        if moved := moved or self._moved:
            self._processes[name] = moved.start(type_, prefix=prefix, **variables)
        else:
            self._processes[name] = self.deploy.start(type_, ready=False, prefix=prefix, **variables)

    def _start_clock(self) -> Process:
        clock = self.deploy.clock
        later = f"{clock.process} started later ({len(self.traces)})"
        self._start(later, clock.process, {**self._optional, **clock.nudge})
        return self._processes[later]

    def _watch(self, name: str) -> Trace:
        self.traces[name] = tracing.prepare(self.deploy, tracing.NETWORK)
        return self.traces[name]

    def _known_paths(self, web: Process) -> list[str]:
        """Every documented path without a parameter, and those that factors.toml names."""
        named = self.deploy.web
        paths = [named.ready, named.live, named.metrics, named.contract]
        if self.deploy.thing.list:
            paths.append(self.deploy.thing.list.partition(" ")[2])
        if named.contract:
            with suppress(*http.NO_ANSWER, ValueError, AttributeError):
                documented = web.get(named.contract).json().get("paths", {})
                paths += [path for path, item in documented.items() if "get" in item and "{" not in path]
        return [path for path in dict.fromkeys(paths) if path]

    def _ask_wrongly(self, web: Process) -> None:
        method, _, path = self.deploy.thing.create.partition(" ")
        read = self.deploy.thing.read.partition(" ")[2]
        _ask_quietly(web, "/no/such/path", read.replace("{id}", "no-such-id"), read.replace("{id}", NOBODY))
        for body in (b"{", b"[]", b"x" * 2_000_000):
            with suppress(*http.NO_ANSWER):
                web.ask(method, path, body=body)

    def _try_to_create(self) -> None:
        for web in self._webs:
            with suppress(*http.NO_ANSWER):
                self.deploy.attempt(web, unique_marker(), unique_email())

    def _let_jobs_fail(self, table: str) -> None:
        if not (jobs := self.deploy.contract.jobs):
            return
        events = "UPDATE" if jobs.table == table else "INSERT OR UPDATE"
        with self.deploy.db.failing(jobs.table, events) as failures, self._slow_worker_alone():
            self._try_to_create()
            with suppress(Violation):  # which need not be: the job may be done otherwise
                eventually(failures, "a job to fail", JOB_FAILS_SECONDS)
                self._until_given_up(failures)

    @contextmanager
    def _slow_worker_alone(self) -> Iterator[None]:
        """Holds the other worker up as long as the context lasts, with whatever it has locked: it is not waited for."""
        others = [self._processes[self._worker]] if self._worker else []
        for worker in others:
            worker.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for worker in others:
                worker.signal(signal.SIGCONT)

    def _until_given_up(self, failures: Callable[[], int]) -> None:
        """Lets day after day pass, so that a job is tried again, until nobody does.

        A job that is to wait until a time of the worker's, which is slow, need not wait by the database's clock either.
        """
        end = time.monotonic() + ALL_TRIES_SECONDS
        while self._behind and self._behind.now() < time.time() - A_DAY and time.monotonic() < end:
            expected = failures() + 1
            self._behind.move(self._behind.now() + A_DAY)
            eventually(partial(_is_reached, failures, expected), "another failure", GIVEN_UP_SECONDS)

    def _cut(self, proxy: Proxy) -> None:
        proxy.cut()
        self._try_to_create()
        for web in self._webs:
            _ask_quietly(web, self.deploy.thing.read.partition(" ")[2].replace("{id}", NOBODY), *self._known_paths(web))
        time.sleep(CUT_SECONDS)
        proxy.restore()


def declared_in(environment: Mapping[str, str]) -> dict[str, tuple[str, int]]:
    """Host and port of every variable that holds a URL."""
    found = {}
    for name, value in environment.items():
        with suppress(ValueError):
            parts = urlsplit(value)
            if parts.scheme and parts.hostname and (port := parts.port or DEFAULT_PORTS.get(parts.scheme)):
                found[name] = parts.hostname, port
    return found


def _is_reached(count: Callable[[], int], expected: int) -> bool:
    return count() >= expected


def is_among(address: Address, declared: Collection[tuple[str, int]]) -> bool:
    """Whether an address is that of one of these URLs, or serves to find it."""
    if address.port == NAMES:  # somebody has to look up the names in the URLs
        return any(not _ips_of(host, look=False) for host, _ in declared)
    return any(address.port == port and address.host in _ips_of(host) for host, port in declared)


def _ips_of(host: str, *, look: bool = True) -> set[str]:
    """The IP addresses that a URL's host stands for; all of this machine's own for one of them."""
    with suppress(ValueError):
        return LOOPBACK if ip_address(host).is_loopback else {host}
    if host == "localhost":
        return LOOPBACK
    with suppress(OSError):
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)} if look else set()
    return set()


def _ask_quietly(web: Process, *paths: str) -> None:
    for path in paths:
        web.status(path)
