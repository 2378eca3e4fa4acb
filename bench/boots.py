"""How long each process type takes from its start to ready, beside a bare program on the same libraries."""

from collections.abc import Callable
from functools import partial

from .figure import Figure, Pairs, Result, in_turn
from .processes import Server
from .service import Service

LIMITS = {"web": 1.5, "worker": 1.6, "clock": 1.6, "release": 1.6}

Boot = Callable[[], tuple[float, float]]  # how long one takes, by the clock and in CPU time


def boot(service: Service, pairs: int) -> Result:
    """The time to the first 200 of `/readyz`; for release, to its end with nothing to do."""
    ways: dict[str, tuple[Boot, Boot]] = {
        "web": (partial(_ok, service.web, "/readyz"), partial(_ok, service.bare, "/")),
        "worker": (partial(_ok, partial(service.start, "worker"), "/readyz"), partial(_said, service, "worker")),
        "clock": (partial(_ok, partial(service.start, "clock"), "/readyz"), partial(_said, service, "clock")),
        "release": (partial(_ended, partial(service.start, "release")), partial(_ended, service.bare_release)),
    }
    boots = {name: _beside(pairs, ours, bare) for name, (ours, bare) in ways.items()}
    return Result(
        "; ".join(f"{clock.ratio:.2f}" for clock, _ in boots.values()),
        all(clock.ratio <= LIMITS[name] for name, (clock, _) in boots.items()),
        "; ".join(clock.range for clock, _ in boots.values()) + f", {pairs} pairs each",
        [
            f"Boot of {name}: {clock.medians('ms', 1000)}; of CPU {cpu.medians('ms', 1000)}, ratio {cpu.ratio:.2f}."
            for name, (clock, cpu) in boots.items()
        ],
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


def _beside(pairs: int, ours: Boot, bare: Boot) -> tuple[Pairs, Pairs]:
    """Both in turn: by the clock, and in CPU time."""
    used: tuple[list[float], list[float]] = [], []

    def seconds(boot: Boot, cpu: list[float]) -> float:
        taken, used_for_it = boot()
        cpu.append(used_for_it)
        return taken

    clock = in_turn(pairs, lambda: seconds(ours, used[0]), lambda: seconds(bare, used[1]))
    return clock, Pairs(used[0][1:], used[1][1:])


def _ok(start: Callable[[], Server], path: str) -> tuple[float, float]:
    with start() as server:
        return server.until_ok(path), server.cpu_seconds()


def _said(service: Service, process: str) -> tuple[float, float]:
    with service.bare_process(process) as server:
        return server.until_said("ready"), server.cpu_seconds()


def _ended(start: Callable[[], Server]) -> tuple[float, float]:
    with start() as server:
        return server.until_ended()
