"""XIII. API contract: the document that clients rely on is the truth, and all of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from ..harness import api, cardinality, config, fuzz, http, parameters, routes
from ..harness.api import Api
from ..harness.claim import NotApplicable, NotRun, Observations, Violation, claim, expect, need
from ..harness.deploy import Deploy, filled, unique_email, unique_marker
from ..harness.processes import Process, eventually

SHOWN = 8  # how many differences or faults a reason names
# Ways to ask which must not matter.
ASKED_OTHERWISE: tuple[dict[str, str], ...] = (
    {"Host": "other.example", "X-Forwarded-Host": "other.example", "X-Forwarded-Proto": "https"},
    {"X-Forwarded-Host": "other.example", "X-Forwarded-Proto": "https"},
    {"Accept": "text/html", "User-Agent": "Mozilla/5.0", "X-Forwarded-Prefix": "/prefix", "Accept-Language": "de"},
)
REFUSED = (400, 403, 421)  # a host that is none of the service's need not be served


@claim(
    "XIII.1",
    "The served OpenAPI document is the committed one",
    threshold="no difference, at two configurations and however it is asked for",
    fast=True,
    seconds=3,
)
def the_served_contract_is_the_committed_one(deploy: Deploy, observe: Observations) -> None:
    path = need(deploy.web.contract, "[web] contract")
    file = need(deploy.web.committed_contract, "[web] committed_contract")
    committed = api.committed(deploy.workspace.source / file)
    web = deploy.start("web")
    _same(committed, _served(web, path), file, "the served one")
    for headers in ASKED_OTHERWISE:
        if web.get(path, headers=headers).status not in REFUSED:
            _same(committed, _served(web, path, headers), file, f"the one served with {', '.join(headers)}")
    observe.note(f"{len(committed.operations)} operations, no difference to {file}")

    if deploy.web.public_url:
        deploy.variables[deploy.web.public_url] = "https://other.example/base"
    elsewhere = deploy.start("web")
    _same(
        committed, _served(elsewhere, path), file, f"the one served with another {deploy.web.port} and public address"
    )
    observe.note("no difference either with another port and public address")


def _served(web: Process, path: str, headers: dict[str, str] | None = None) -> Api:
    response = web.get(path, headers=headers or {})
    expect(response.status == 200, f"200 from {path}", f"{response.status} {response.text}")
    return api.parsed(response.text, path)


def _same(committed: Api, served: Api, file: str, which: str) -> None:
    found = list(api.differences(served.document, committed.document))
    if found:
        more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise Violation(f"{which} and {file} differ at {', '.join(found[:SHOWN])}{more}")


@claim(
    "XIII.2",
    "Generated and odd requests get no 5xx and no undocumented answer",
    threshold="0 faults",
    seconds=12,
)
def no_request_breaks_it(deploy: Deploy, observe: Observations) -> None:
    with suppress(NotApplicable, NotRun):  # without a server for it, the service is asked without a cache
        deploy.with_cache()
    worker = _worker(deploy)
    web = deploy.start("web")
    document = _contract(deploy, web)
    (bodies, ids), later = (_known(deploy, web, document) for _ in range(2))
    _have_their_jobs_done(deploy, worker, {*ids.values(), *later[1].values()})
    odd = fuzz.odd(document, int(web.port or 0), bodies, ids)
    _no_faults(odd)
    observe.measure("faults in odd requests", len(odd.faults), "==", 0)
    bodies, ids = later  # what was asked before may have deleted the first
    generated = fuzz.generated(document, int(web.port or 0), deploy.folder / "fuzz", bodies, ids)
    _no_faults(generated)
    observe.measure("faults in generated requests", len(generated.faults), "==", 0)
    observe.note(f"{odd.asked} odd and {generated.asked} generated requests (schemathesis, seed {fuzz.SEED})")
    if deploy.cache:
        observe.note(f"{deploy.cache.hits()} times the cache had what was asked for")
    expect(web.alive, "web to keep running", web.tail())
    if deploy.web.ready:
        web.wait_for(deploy.web.ready, 200)  # what nobody waited for may still be at work


def _contract(deploy: Deploy, web: Process) -> Api:
    """The served document, which XIII.1 compares with the committed one; or that one where none is served."""
    if deploy.web.contract:
        return _served(web, deploy.web.contract)
    file = deploy.web.committed_contract
    if not file:
        raise NotRun("factors.toml has neither [web] contract nor [web] committed_contract")
    return api.committed(deploy.workspace.source / file)


def _known(deploy: Deploy, web: Process, document: Api) -> tuple[dict[str, object], dict[str, str]]:
    """A body that is taken, and identifiers of things that exist, by operation and by path."""
    thing = deploy.contract.thing
    if thing is None:
        return {}, {}
    bodies = {thing.create: filled(thing.body, marker=unique_marker(), email=unique_email())}
    ids: dict[str, str] = {}
    for route in filter(None, (thing.read, thing.delete)):
        if operation := document.operation(route):
            ids[str(operation)] = ids[operation.path] = deploy.create(web).id
    return bodies, ids


def _worker(deploy: Deploy) -> Process | None:
    """A worker, where jobs change what is answered; it is not waited for."""
    there = deploy.contract.works_apart and deploy.contract.thing and deploy.database
    return deploy.start(deploy.jobs.process, ready=False) if there else None


def _have_their_jobs_done(deploy: Deploy, worker: Process | None, ids: set[str]) -> None:
    """Waits for the jobs of these things, if they are done at all; then there is no worker any more."""
    if worker:
        with suppress(Violation):
            eventually(lambda: not worker.alive or all(map(deploy.done, ids)), "their jobs to be done")
        worker.kill()


def _no_faults(fuzzed: fuzz.Fuzzed) -> None:
    if fuzzed.faults:
        more = f"; and {len(fuzzed.faults) - SHOWN} more" if len(fuzzed.faults) > SHOWN else ""
        raise Violation("; ".join(fuzzed.faults[:SHOWN]) + more)


@claim(
    "XIII.3",
    "Every live route is in the contract",
    threshold="no hidden route, and no hidden method of a known one",
    seconds=10,
)
def no_route_is_hidden(deploy: Deploy, observe: Observations) -> None:
    switched = _Switched(deploy)
    web = deploy.start("web")
    document = _contract(deploy, web)
    _, ids = _known(deploy, web, document)
    folders = [deploy.workspace.source / folder for folder in deploy.contract.code.folders]
    found, names = routes.in_code(folders), cardinality.names_in(folders)
    fewer = replace(found, words=())
    told = _told_of(deploy)
    has_worker = deploy.contract.jobs and deploy.contract.jobs.metrics_port and deploy.jobs.process
    with ThreadPoolExecutor() as searches:
        of_web = searches.submit(_nothing_hidden, web, found, document, told, ids)
        other = searches.submit(switched.nothing_hidden, fewer, document, told, ids)
        of_worker = None
        if has_worker:
            worker = deploy.start(deploy.jobs.process)
            of_worker = searches.submit(_nothing_hidden, worker, fewer, Api({"paths": {}}), told, {})
    asked = of_web.result()
    odd = list(parameters.hidden(web, document, ids, names))
    expect(not odd, "no parameter that brings more than the contract has", ", ".join(odd[:SHOWN]))
    observe.note(f"web: nothing hidden in {asked} requests, for {len(found.paths)} paths of the code and more")
    if asked := other.result():
        observe.note(f"web with {switched.how}: nothing hidden in {asked} requests")
    if of_worker:
        port = deploy.jobs.metrics_port
        observe.note(f"worker: nothing hidden in {of_worker.result()} requests to its {port}")


class _Switched:
    """A web process with the declared switches the other way round, as somebody sets them to look for a fault."""

    def __init__(self, deploy: Deploy) -> None:
        self._deploy = deploy
        variables = config.switched(deploy.workspace)
        level = {name: value for name, value in variables.items() if name.endswith("LOG_LEVEL")}
        self._ways = [variables, level] if level not in ({}, variables) else [variables] if variables else []
        self._web = self._started()

    def _started(self) -> Process | None:
        return self._deploy.start("web", ready=False, prefix=(), **self._ways[0]) if self._ways else None

    @property
    def how(self) -> str:
        """What it was given."""
        return ", ".join(f"{name}={value}" for name, value in self._ways[0].items())

    def nothing_hidden(self, found: routes.Found, document: Api, told: set[str], ids: dict[str, str]) -> int:
        """Looks for hidden routes in it; returns how often it was asked, not at all where it cannot run like that."""
        while self._web:
            try:
                self._deploy.wait_until_ready(self._web)
            except Violation:  # not all switches have to go together
                self._ways.pop(0)
                self._web = self._started()
            else:
                break
        else:
            return 0
        path = self._deploy.web.contract
        with suppress(Violation, NotRun, *http.NO_ANSWER):  # it may keep its document to itself like that
            document = _served(self._web, path) if path else document
        try:
            return _nothing_hidden(self._web, found, document, told, ids)
        except Violation as violation:
            raise Violation(f"with {self.how} {violation}") from None


def _nothing_hidden(process: Process, found: routes.Found, document: Api, told: set[str], ids: dict[str, str]) -> int:
    """Looks for hidden routes; returns how often the process was asked."""
    search = routes.Search(process)
    nowhere = search.nowhere()
    expect(400 <= nowhere.status < 500, "404 for a path that does not exist", nowhere.status or "no answer")
    good = next(iter(ids.values()), "1")
    hidden = list(routes.hidden(search, routes.suggested(found, document, good), document, told, good))
    expect(not hidden, "no route that the contract does not have", ", ".join(hidden[:SHOWN]))
    paths = {path: {"GET"} for path in told} | document.paths
    methods = list(routes.undocumented_methods(search, paths, ids))
    expect(not methods, "no method that the contract does not have", ", ".join(methods[:SHOWN]))
    return search.asked


def _told_of(deploy: Deploy) -> set[str]:
    """What a platform asks for, and what factors.toml names beside the contract."""
    web = deploy.web
    return {*filter(None, (web.contract, web.ready, web.live, web.metrics)), *web.undocumented}
