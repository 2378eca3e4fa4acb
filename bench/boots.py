"""How long each process type takes from its start to ready, beside a bare program on the same libraries."""

from collections.abc import Callable
from functools import partial

from .figure import Figure, Result, in_turn
from .processes import Server
from .service import Service

LIMITS = {"web": 1.5, "worker": 1.6, "clock": 1.6, "release": 1.6}


def boot(service: Service, pairs: int) -> Result:
    """The time to the first 200 of `/readyz`; for release, to its end with nothing to do."""
    ways: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {
        "web": (partial(_ok, service.web, "/readyz"), partial(_ok, service.bare, "/")),
        "worker": (partial(_ok, partial(service.start, "worker"), "/readyz"), partial(_said, service, "worker")),
        "clock": (partial(_ok, partial(service.start, "clock"), "/readyz"), partial(_said, service, "clock")),
        "release": (partial(_ended, partial(service.start, "release")), partial(_ended, service.bare_release)),
    }
    measured = {name: in_turn(pairs, ours, bare) for name, (ours, bare) in ways.items()}
    return Result(
        "; ".join(f"{boots.ratio:.2f}" for boots in measured.values()),
        all(boots.ratio <= LIMITS[name] for name, boots in measured.items()),
        "; ".join(boots.range for boots in measured.values()) + f", {pairs} pairs each",
        [f"Boot of {name}: {boots.medians('ms', 1000)}." for name, boots in measured.items()],
    )


FIGURES = {
    "boot": Figure(
        f"Boot to ready, over a bare program on the same libraries: {'; '.join(LIMITS)}",
        "; ".join(f"<= {limit}" for limit in LIMITS.values()),
        boot,
        times=9,
        hurried=2,
    )
}


def _ok(start: Callable[[], Server], path: str) -> float:
    with start() as server:
        return server.until_ok(path)


def _said(service: Service, process: str) -> float:
    with service.bare_process(process) as server:
        return server.until_said("ready")


def _ended(start: Callable[[], Server]) -> float:
    with start() as server:
        return server.until_ended()
