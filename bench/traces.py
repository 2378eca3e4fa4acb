"""What traces cost: the web process without them and with some, beside a copy of it that has no tracing in its code."""

import json
import re
import shutil
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from tests import copies

from . import load
from .figure import Figure, Pairs, Result
from .processes import CLIENT_CORE, Server, free_port
from .service import INSIDE, NAME, Service

OFF, SAMPLED = 0.97, 0.7
REQUESTS = 1000
EXPORT_MILLISECONDS = 500  # ten times as often as by default, so that each turn has its share of exports

# What tracing is in the code, and what stands there without it.
USES = {
    r", tracing$": "",
    r"(, )?\*\*tracing\.current\(\)": "",
    r"with tracing\.span\(.*\):$": "if True:",
    r", tracing\.span\([^()]*\)": "",
    r"tracing\.provider\b": "None",
    r"tracing\.(carrier|current)\(\)": "{}",
    r"tracing\.(configure|finish)\(.*\)$": "pass",
}


def traces(service: Service, rounds: int) -> Result:
    """The throughput of reading a note, without traces and with those that are sampled by default."""
    with TemporaryDirectory() as folder, _collector(service) as collector:
        _without_tracing(service, Path(folder))
        to_collector = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
            "OTEL_BSP_SCHEDULE_DELAY": str(EXPORT_MILLISECONDS),
            "NO_PROXY": "127.0.0.1",
        }
        with (
            service.start("web", {"PYTHONPATH": folder}) as none,
            service.start("web") as off,
            service.start("web", to_collector) as sampled,
        ):
            servers = {"none": none, "off": off, "sampled": sampled}
            for server in servers.values():
                server.until_ok("/readyz")
            rates, clock = _rates(servers, service.note, rounds)
        taken = json.loads(load.get(collector.port, "/").body)
    if not taken["requests"]:
        raise RuntimeError("nothing came to the collector")
    off_none, sampled_none = (Pairs(rates[kind], rates["none"]) for kind in ("off", "sampled"))
    by_clock = (Pairs(clock[kind], clock["none"]).ratio for kind in ("off", "sampled"))
    return Result(
        f"{off_none.ratio:.2f}; {sampled_none.ratio:.2f}",
        off_none.ratio >= OFF and sampled_none.ratio >= SAMPLED,
        f"{off_none.spread}; {sampled_none.spread}",
        [
            f"Traces off: {off_none.medians('requests', 1)} in a second of CPU; sampled: "
            f"{sampled_none.medians('requests', 1)}; ratios by the clock {' and '.join(f'{r:.2f}' for r in by_clock)}; "
            f"the collector took {taken['bytes'] / 1000:,.0f} kB in {taken['requests']} requests."
        ],
    )


FIGURES = {
    "traces": Figure(
        "`GET /notes/{id}`: throughput per core with traces off; sampled by default; over a service without tracing",
        f">= {OFF}; >= {SAMPLED}",
        traces,
        times=15,
        hurried=3,
    )
}


def _collector(service: Service) -> Server:
    port = free_port()
    argv = (sys.executable, INSIDE / "collector.py", str(port))
    return Server(argv, service.env, service.scratch, port, {CLIENT_CORE})


def _without_tracing(service: Service, folder: Path) -> None:
    """Copies the package of a service, without its module for tracing and every use of it.

    Raises RuntimeError where a use is of a kind that is not known here.
    """
    package = folder / NAME
    ignored = shutil.ignore_patterns("__pycache__", "tracing.py")
    shutil.copytree(service.folder / "src" / NAME, package, ignore=ignored)
    for file in package.rglob("*.py"):
        text = file.read_text()
        for use, instead in USES.items():
            text = re.sub(use, instead, text, flags=re.MULTILINE)
        if re.search(r"\btracing\.|import .*\btracing\b", text):
            raise RuntimeError(f"{file.name} still uses tracing")
        file.write_text(text)
    found = "import importlib.util; print(importlib.util.find_spec('orders.web').origin)"
    if str(folder) not in copies.run(
        service.program("python"), "-c", found, cwd=folder, env={**service.env, "PYTHONPATH": str(folder)}
    ):
        raise RuntimeError("the copy without tracing would not be run")


def _rates(servers: Mapping[str, Server], path: str, rounds: int) -> tuple[dict[str, list[float]], ...]:
    """Requests in a second of CPU, and by the clock, of each server in each round, after one that does not count.

    What a server does after its turn, such as exporting, counts as well: its CPU time is taken when the next begins.
    """
    used: dict[str, list[float]] = {name: [] for name in servers}
    clock: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(rounds + 2):
        for name, server in servers.items():
            used[name].append(server.cpu_seconds())
            clock[name].append(REQUESTS / load.run(server.port, path, REQUESTS))
    by_cpu = {name: [REQUESTS / (later - before) for before, later in pairwise(used[name][1:])] for name in servers}
    return by_cpu, {name: taken[1:-1] for name, taken in clock.items()}
