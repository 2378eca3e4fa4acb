"""The web process beside the bare app: throughput and memory."""

import time
from collections.abc import Callable
from functools import partial

from . import load
from .figure import Figure, Pairs, Result, in_turn
from .processes import Server
from .service import Service

JSON, NOTE, MEMORY = 0.85, 0.25, 1.6

JSON_REQUESTS, NOTE_REQUESTS = 6000, 2000
IDLE_SECONDS, USED_REQUESTS = 1, 200


def json_route(service: Service, pairs: int) -> Result:
    """The throughput of a route that asks no resource."""
    rate, clock = _throughput(service, pairs, "/livez", JSON_REQUESTS)
    return Result(f"{rate.ratio:.2f}", rate.ratio >= JSON, rate.spread, [f"JSON route: {_rates(rate, clock)}"])


def note_route(service: Service, pairs: int) -> Result:
    """The throughput of a route that reads one row."""
    rate, clock = _throughput(service, pairs, service.note, NOTE_REQUESTS)
    return Result(f"{rate.ratio:.2f}", rate.ratio >= NOTE, rate.spread, [f"A note: {_rates(rate, clock)}"])


def memory(service: Service, pairs: int) -> Result:
    """The memory of an idle process, after its boot and after some use."""
    used: dict[str, list[float]] = {"/readyz": [], "/": []}

    def fresh_bytes(start: Callable[[], Server], ready: str, *paths: str) -> float:
        with start() as server:
            server.until_ok(ready)
            time.sleep(IDLE_SECONDS)
            fresh = server.pss_bytes()
            for path in paths:
                load.run(server.port, path, USED_REQUESTS // len(paths))
            used[ready].append(server.pss_bytes())
            return fresh

    web = partial(fresh_bytes, service.web, "/readyz", "/livez", service.note)
    fresh = in_turn(pairs, web, partial(fresh_bytes, service.bare, "/", "/"))
    later = Pairs(used["/readyz"][1:], used["/"][1:])
    return Result(
        f"{fresh.ratio:.2f}; {later.ratio:.2f}",
        max(fresh.ratio, later.ratio) <= MEMORY,
        fresh.spread,
        [f"Memory: after boot {fresh.medians('MB', 1e-6)}, after requests {later.medians('MB', 1e-6)}."],
    )


FIGURES = {
    "json": Figure(
        "JSON route (`/livez`): throughput per core, over the bare app's",
        f">= {JSON}",
        json_route,
        times=11,
        hurried=3,
    ),
    "notes": Figure(
        "`GET /notes/{id}`: throughput per core, over the bare app's", f">= {NOTE}", note_route, times=11, hurried=3
    ),
    "memory": Figure(
        f"Idle memory (PSS), over the bare app's: after boot; after {USED_REQUESTS} requests",
        f"<= {MEMORY}",
        memory,
        times=7,
        hurried=1,
    ),
}


def _throughput(service: Service, pairs: int, path: str, count: int) -> tuple[Pairs, Pairs]:
    """Requests in a second of the server's CPU time, and in a second by the clock."""
    clock: dict[str, list[float]] = {path: [], "/": []}

    def rate(server: Server, asked: str) -> float:
        before = server.cpu_seconds()
        clock[asked].append(count / load.run(server.port, asked, count))
        return count / (server.cpu_seconds() - before)

    with service.web() as web, service.bare() as bare:
        web.until_ok("/readyz")
        bare.until_ok("/")
        measured = in_turn(pairs, lambda: rate(web, path), lambda: rate(bare, "/"))
    return measured, Pairs(clock[path][1:], clock["/"][1:])


def _rates(rate: Pairs, clock: Pairs) -> str:
    return (
        f"{rate.medians('requests', 1)} in a second of CPU; "
        f"by the clock {clock.medians('requests', 1)} a second, ratio {clock.ratio:.2f}."
    )
