"""What it costs to look at a hundred services on a server, beside asking each of them for no more than its branches."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests import copies
from twelvefold import page
from twelvefold.results import FACTORS, Claim, Result, Run, Verdict
from twelvefold.sabotages import Sabotages

from .figure import Figure, in_turn
from .figure import Result as Measured

RATIO, SERVICES, COMMITS = 2.0, 100, 30
CLAIMS = [f"{factor}.{number}" for factor in FACTORS for number in (1, 2, 3, 4)]


def status(template: Path, pairs: int) -> Measured:
    """The time of `twelvefold status` of all services, over that of one `git ls-remote` each, all at once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        served = _serve_copies_of(_service(template, folder / "orders"), folder / "served")
        with _git_server(served) as address:
            urls = [f"{address}/{one}" for one in sorted(os.listdir(served))]
            (folder / "repos.txt").write_text("\n".join(urls))
            taken = in_turn(pairs, lambda: _by_status(folder / "repos.txt"), lambda: _by_ls_remote(urls))
    return Measured(
        f"{taken.ratio:.2f}",
        taken.ratio <= RATIO,
        taken.spread,
        [f"Status of {SERVICES} services: {taken.medians('ms', 1000)} for {SERVICES} `git ls-remote`."],
    )


FIGURES = {
    "status": Figure(
        f"`twelvefold status` of {SERVICES} uncloned services, over {SERVICES} parallel `git ls-remote`",
        f"<= {RATIO:g}",
        status,
        times=7,
        hurried=2,
    ),
}


def _service(template: Path, folder: Path) -> Path:
    """A service with a scorecard, and with some history after it."""
    copies.generate(template, folder)
    (folder / "TWELVE_FACTOR.md").write_text(_scorecard(), "utf-8")
    copies.commit(folder, "Begin the service")
    for number in range(COMMITS):
        with (folder / "README.md").open("a") as readme:
            readme.write(f"\nWork {number}.\n")
        copies.commit(folder, f"Work {number}")
    return folder


def _scorecard() -> str:
    results = [Result(Claim(one, f"The promise of {one}", "boot < 10 s"), Verdict.PASS) for one in CLAIMS]
    date = datetime.now(UTC).isoformat()
    run = Run("orders", "4f2a9c1", False, "process", "", "0.3.0", "sha256:9c4e", date, 142.0, {}, results, True)
    return page.render(run, Sabotages(date, "sha256:9c4e", dict.fromkeys(CLAIMS, 2)))


def _serve_copies_of(service: Path, served: Path) -> Path:
    """Copies of a service's repository, as a server keeps them; no two have a commit in common."""
    served.mkdir()
    exported = copies.git(service, "fast-export", "--all")
    for number in range(SERVICES):
        bare = served / f"orders-{number:02}.git"
        copies.run("git", "clone", "--quiet", "--bare", "--no-local", service, bare, cwd=served)
        own = exported.replace("Begin the service", f"Begin service {number:03}")
        copies.run("git", "fast-import", "--quiet", "--force", cwd=bare, text=own)
        copies.git(bare, "gc", "--quiet", "--prune=now")
        copies.git(bare, "config", "uploadpack.allowFilter", "true")
    return served


@contextmanager
def _git_server(served: Path) -> Iterator[str]:
    """The address of a server of its own process, which ends with the block."""
    command = [sys.executable, "-m", "tests.git_server", str(served)]
    with subprocess.Popen(
        command, cwd=copies.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as server:
        assert server.stdin is not None, "it is a pipe"
        assert server.stdout is not None, "it is a pipe"
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()


def _by_status(listed: Path) -> float:
    command = [sys.executable, "-m", "twelvefold", "status", "--from", str(listed)]
    environment = {**os.environ, "PYTHONPATH": str(copies.ROOT / "src")}
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    taken = time.perf_counter() - started
    if (done.returncode, done.stdout.splitlines()[-1:]) != (0, [f"{SERVICES} services, all well."]):
        raise RuntimeError(f"status did not see all of them: {done.stdout[-500:]}{done.stderr[-500:]}")
    return taken


def _by_ls_remote(urls: Sequence[str]) -> float:
    started = time.perf_counter()
    running = [subprocess.Popen(["git", "ls-remote", "--quiet", url], stdout=subprocess.DEVNULL) for url in urls]
    ended = [process.wait() for process in running]
    taken = time.perf_counter() - started
    if any(ended):
        raise RuntimeError(f"{sum(map(bool, ended))} of {len(ended)} git ls-remote failed")
    return taken
