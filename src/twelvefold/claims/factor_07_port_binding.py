"""VII. Port binding: the service is complete in itself, and is reached through the port that it is told."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from ..harness import http, pages
from ..harness.beginnings import wait_until_begun
from ..harness.claim import NotRun, Observations, claim, expect
from ..harness.config import much_logged
from ..harness.deploy import Deploy, filled, unique_email, unique_marker
from ..harness.http import answered
from ..harness.links import Answer
from ..harness.processes import PAUSE_SECONDS, READY_SECONDS, Process, children
from ..harness.sockets import (
    EVERY_ADDRESS,
    Listener,
    free_port_between,
    listeners,
    name_of,
    own_addresses,
    relatives,
)
from ..harness.traffic import failing

# One of each, so that nothing depends on how large the number is; what lies between is given to clients by the kernel.
PORTS = (1024, 9999), (10_000, 32_767), (61_000, 65_535)
ANOTHER_LOOPBACK = "127.0.0.2"
ANOTHER_MACHINE = "203.0.113.1"  # of the addresses that are for examples (RFC 5737): there is none
LATE_SECONDS = 1.0  # for a port that is opened only once there is work

PUBLIC = "https://shop.example/some/place", "http://shop.example:8443/"
AS_CALLED = "called.example"
LIE = "lie.example"
LIES = {
    "Host": f"{LIE}:1",
    "X-Forwarded-Host": f"{LIE}:2",
    "X-Forwarded-Port": "3",
    "X-Forwarded-Prefix": "/lie",
    "Forwarded": f"host={LIE};proto=https",
}
# A router may be trusted; another client of this machine, at this address, is not.
TRUSTED, UNTRUSTED = "", "127.0.0.3"


@claim(
    "VII.1",
    "web listens on the PORT that it is given, on all interfaces",
    threshold="three random ports, from every address; a port that is taken ends it",
    fast=True,
    seconds=5,
)
def web_listens_where_it_is_told(deploy: Deploy, observe: Observations) -> None:
    started = [_started_at(deploy, free_port_between(*limits)) for limits in PORTS]
    addresses = ["127.0.0.1", _outward_address() or ANOTHER_LOOPBACK]
    for web in started:
        _wait_for_its_port(deploy, web)
        held = [one for one in _sockets_of(deploy, web) if one.port == web.port]
        expect(held, f"web itself to hold port {web.port}", _sockets_of(deploy, web))
        _on_all_interfaces(web, held)
        deploy.wait_until_ready(web)
        for address in addresses:
            with answered(f"web at {address}"):
                response = http.request(int(web.port or 0), "GET", deploy.web.ready or "/", host=address)
            expect(response.status < 400 or not deploy.web.ready, f"an answer at {address}", response.status)
        web.kill()
    observe.measure("ports listened on as told", len(started), "==", len(PORTS))
    observe.note(f"reached at {' and '.join(addresses)}")
    _a_taken_port_ends_it(deploy, observe)


def _outward_address() -> str | None:
    """The address with which this machine asks others: those of networks of containers come and go."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking, suppress(OSError):
        asking.connect((ANOTHER_MACHINE, 9))  # sends nothing
        address: str = asking.getsockname()[0]
        return address
    return None


def _a_taken_port_ends_it(deploy: Deploy, observe: Observations) -> None:
    """Another port would be one that no router knows of."""
    port = free_port_between(*PORTS[1])
    with _taken(port):
        web = _started_at(deploy, port)
        while web.alive:
            found = _sockets_of(deploy, web)
            expect(not found, f"web not to listen while its port {port} is taken", found)
            expect(time.monotonic() - web.started < READY_SECONDS, f"web to end while its port {port} is taken")
            time.sleep(PAUSE_SECONDS)
        code = web.wait()
    observe.expect(code != 0, f"a failure while its port is taken (exit code {code})")
    output = web.output.lower()
    expect(str(port) in output or "in use" in output, f"a message that names the taken port {port}", web.tail())


@claim(
    "VII.2",
    "every process serves itself, and listens on nothing but its port",
    threshold="PORT, METRICS_PORT where it is set, and no other socket",
    fast=True,
    seconds=7,
)
def nothing_else_listens(deploy: Deploy, observe: Observations) -> None:
    types = deploy.contract.long_running
    given: dict[str, Any] = dict(much_logged(deploy.workspace))  # and not of the deploy, whose variables no other has
    has_web = deploy.contract.web and deploy.contract.web.process in types
    web = deploy.start(deploy.web.process, **given) if has_web else None
    others = [name for name in types if not web or name != web.type]
    metrics = deploy.contract.jobs.metrics_port if deploy.contract.jobs else None
    without = {**given, metrics: None} if metrics else given
    told = [deploy.start(name, **given, **_no_host(deploy)) for name in others if metrics]
    speaking = [web, *told] if web else told
    for process in speaking:
        _holds_its_port_alone(deploy, process)
    if web and deploy.database and deploy.contract.thing and deploy.thing.table:
        failing(deploy, web)  # before others start, which may make the table that is not there
    quiet = [deploy.start(name, ready=False, **without) for name in others]
    if web:
        _visit(deploy, web)
    for process in told:
        for path in ("/livez", "/readyz", "/metrics", "/no-such-path"):
            process.status(path)
    for process in quiet:
        wait_until_begun(deploy, process)
    time.sleep(LATE_SECONDS)
    for process in told:  # of web, VII.1 sees that
        _on_all_interfaces(process, _sockets_of(deploy, process))
    for process in speaking:
        _holds_its_port_alone(deploy, process)
        observe.note(f"{process.type} holds its port, and no other")
    for process in quiet:
        expect(process.alive, f"{process.type} to run on", process.tail())
        found = _sockets_of(deploy, process)
        expect(not found, f"{process.type} to listen on nothing" + (f" without {metrics}" if metrics else ""), found)
        observe.note(f"{process.type} listens on nothing" + (f" without {metrics}" if metrics else ""))
    for name, value in given.items():
        observe.note(f"seen with {name}={value}")
    _no_stray_listens(deploy, {int(process.port or 0) for process in speaking})


def _no_stray_listens(deploy: Deploy, ports: set[int]) -> None:
    """Nor does anything else that was given the variables of this deploy, and has left its family."""
    everybody = relatives([], [f"{name}={value}" for name, value in deploy.variables.items()])
    strays = [one for one in listeners(everybody) if one.port not in ports]
    expect(not strays, "nothing else of this deploy to listen", strays)


@claim(
    "VII.3",
    "behind a router, absolute links follow the configured public URL",
    threshold="every link in every answer, whatever the headers say",
    seconds=6,
)
def links_lead_through_the_router(deploy: Deploy, observe: Observations) -> None:
    name = deploy.web.public_url
    plain = deploy.start(deploy.web.process, ready=False)
    given: list[dict[str, Any]] = [{name: public} for public in PUBLIC] if name else []
    routed = [deploy.start(deploy.web.process, ready=False, **one) for one in given]
    deploy.wait_until_ready(plain)
    as_it_is = f"127.0.0.1:{plain.port}"
    for host, lies in ((as_it_is, {}), (AS_CALLED, {}), (AS_CALLED, _lies("http"))):
        for answer in _answers(deploy, plain, {**lies, "Host": host}, UNTRUSTED):
            _all_lead_to(f"http://{host}", answer, routed=False)
    observe.note("without a public URL: relative, or as the client called it")
    if not name:
        raise NotRun("factors.toml has no [web] public_url, so nothing could be seen of a router")
    for web, public in zip(routed, PUBLIC, strict=True):
        deploy.wait_until_ready(web)
        lies = _lies(urlsplit(public).scheme)
        for headers, source in (({}, UNTRUSTED), (lies, TRUSTED), (lies, UNTRUSTED)):
            for answer in _answers(deploy, web, headers, source):
                _all_lead_to(public.rstrip("/"), answer, routed=True)
        observe.note(f"{name}={public}: every link leads there")


def _all_lead_to(place: str, answer: Answer, *, routed: bool) -> None:
    hosts = [LIE, AS_CALLED, *own_addresses(), *(str(urlsplit(public).hostname) for public in PUBLIC)]
    wrong = answer.wrong(place, hosts, routed=routed)
    expect(not wrong, f"the links in the answer to {answer.request} to lead to {place}", wrong)


def _lies(scheme: str) -> dict[str, str]:
    """What a client may pretend, with another scheme than the right one."""
    return {**LIES, "X-Forwarded-Proto": "http" if scheme == "https" else "https"}


def _answers(deploy: Deploy, web: Process, headers: dict[str, str], source: str) -> Iterator[Answer]:
    """What a client gets who does all that can be done, also in a wrong way."""
    made = ""

    def ask(method: str, path: str, body: object = None) -> Answer:
        with answered(f"web at {path}"):
            response = http.request(int(web.port or 0), method, path, body=body, headers=headers, source=source)
        return Answer(f"{method} {path}", response, made)

    settings = deploy.web
    paths = ["/", "/docs", "/no-such-path", settings.contract, settings.ready, settings.live]
    if deploy.contract.thing:
        method, _, path = deploy.thing.create.partition(" ")
        body = filled(deploy.thing.body, marker=unique_marker(), email=unique_email())
        created = ask(method, path, body)
        if created.response.status == deploy.thing.status:
            made = deploy.id_in(created.response)
            paths.append(deploy.thing.read.partition(" ")[2].replace("{id}", made))
        yield replace(created, made=made)
        yield ask(method, f"{path}/", body)
        yield ask(method, path, b"no JSON")
        paths += [path, f"{path}/", *pages.short(deploy, web)]
    for path in filter(None, paths):
        yield ask("GET", path)


# What the experiments look at


def _started_at(deploy: Deploy, port: int) -> Process:
    """A web process on a port, with no word on the address."""
    given: dict[str, Any] = {deploy.web.port: str(port), **_no_host(deploy)}
    return deploy.start(deploy.web.process, ready=False, **given)


def _no_host(deploy: Deploy) -> dict[str, Any]:
    """What leaves the address to a process: elsewhere, it is this machine's own."""
    web = deploy.contract.web
    return {web.host: None} if web and web.host else {}


def _on_all_interfaces(process: Process, found: list[Listener]) -> None:
    narrow = [one for one in found if one.address not in EVERY_ADDRESS]
    expect(not narrow, f"{process.type} to listen on port {process.port} on all interfaces", narrow)


def _wait_for_its_port(deploy: Deploy, web: Process) -> None:
    while not web.listens():
        expect(web.alive, f"web to listen on its port {web.port}", f"exit code {web.exit_code}: {web.tail()}")
        found = _sockets_of(deploy, web)
        late = time.monotonic() - web.started > READY_SECONDS
        elsewhere = found and not any(one.port == web.port for one in found)
        expect(not late and not elsewhere, f"web to listen on its port {web.port}", found or "no socket at all")
        time.sleep(PAUSE_SECONDS)


def _sockets_of(deploy: Deploy, process: Process) -> list[Listener]:
    """Where a process listens, or anything that it has started, even what has left its family."""
    web, jobs = deploy.contract.web, deploy.contract.jobs
    names = (web.port if web else None, jobs.metrics_port if jobs else None)
    return listeners(relatives(process.family(), [f"{name}={process.port}" for name in names if name and process.port]))


def _holds_its_port_alone(deploy: Deploy, process: Process) -> None:
    found = _sockets_of(deploy, process)
    strangers = [one for one in found if one.protocol == "unix" or one.port != process.port]
    expect(not strangers, f"{process.type} to listen on port {process.port} and nothing else", strangers)
    program = _program(process, found)
    expect(found, f"{process.type} to hold port {process.port}", "that somebody else does")
    expect(all(program in one.owners for one in found), f"{process.type} itself ({name_of(program)}) to hold it", found)


def _program(process: Process, found: list[Listener]) -> int:
    """The program itself: what a shell or a launcher has started, as long as that is one thing."""
    pid = process.pid
    while not any(pid in one.owners for one in found) and len(own := children(pid)) == 1:
        pid = own[0]
    return pid


def _visit(deploy: Deploy, web: Process) -> None:
    """Asks web for all that it does."""
    for headers in ({}, {"Connection": "Upgrade", "Upgrade": "websocket"}):
        for answer in _answers(deploy, web, headers, TRUSTED):
            expect(answer.response.status, f"an answer to {answer.request}")


@contextmanager
def _taken(port: int) -> Iterator[None]:
    with socket.socket() as other:
        other.bind(("0.0.0.0", port))  # as the service would
        other.listen()
        yield
