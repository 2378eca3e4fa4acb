"""Processes that are measured: each in a group of its own, on a core of its own, timed by the kernel, always ended."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from . import load

POLL_SECONDS = 0.005
PATIENCE_SECONDS = 30.0

CORES = tuple(sorted(os.sched_getaffinity(0))) if sys.platform == "linux" else (0,)
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]
# Below those that the kernel gives to outgoing connections, so that one stays free while its server is restarted.
PORTS = range(20_000, 32_000)


class Server(AbstractContextManager["Server"]):
    """A program that listens on `port`; its output goes to a file in `folder`, where it runs."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        env: Mapping[str, str],
        folder: Path,
        port: int,
        cores: Collection[int] = (SERVER_CORE,),
    ) -> None:
        self.port = port
        self._output = folder / f"output-{port}.log"
        with self._output.open("wb") as sink:
            self._started = time.perf_counter()
            self.popen = subprocess.Popen(
                argv, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
            )
        pin(self.popen.pid, cores)

    def __exit__(self, *_: object) -> None:
        """Ends it, and what is left of its group."""
        with suppress(subprocess.TimeoutExpired):
            self.end()
        if group_lives(self.popen.pid):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        self._output.unlink(missing_ok=True)

    def end(self) -> int:
        """Sends SIGTERM; returns the exit code. Raises subprocess.TimeoutExpired when there is none in time."""
        if self.popen.poll() is None:
            self.popen.terminate()
        return self.popen.wait(PATIENCE_SECONDS)

    def output(self) -> str:
        """What it has written until now."""
        return self._output.read_text(errors="replace")

    def until_ok(self, path: str) -> float:
        """Asks every 5 ms until the answer is 200; returns the seconds since the start.

        Raises RuntimeError with the end of its output when it ends, or does not answer in time.
        """

        def ok() -> bool:
            with suppress(OSError):
                return load.get(self.port, path).status == 200
            return False

        return self.until(ok, f"{path} did not answer 200")

    def until_said(self, text: str) -> float:
        """Looks every 5 ms until it has written `text`; returns the seconds since the start, or raises as above."""
        return self.until(lambda: text in self.output(), f"it did not say {text!r}")

    def until_ended(self) -> tuple[float, float]:
        """Waits for its end; returns the seconds since the start, and its CPU time, or raises RuntimeError."""
        _, status, usage = os.wait4(self.popen.pid, 0)
        seconds = time.perf_counter() - self._started
        self.popen.returncode = os.waitstatus_to_exitcode(status)
        if self.popen.returncode:
            raise RuntimeError(f"it ended with {self.popen.returncode}: {self.output()[-500:]}")
        return seconds, usage.ru_utime + usage.ru_stime

    def until(self, come: Callable[[], bool], otherwise: str) -> float:
        """Looks every 5 ms until it has come to that; returns the seconds since the start, or raises as above."""
        deadline = time.perf_counter() + PATIENCE_SECONDS
        while self.popen.poll() is None and time.perf_counter() < deadline:
            if come():
                return time.perf_counter() - self._started
            time.sleep(POLL_SECONDS)
        raise RuntimeError(f"{otherwise}: {self.output()[-500:]}")

    def cpu_seconds(self) -> float:
        """The CPU time that it has used until now, by the clock of clock_getcpuclockid(3)."""
        return time.clock_gettime((~self.popen.pid << 3) | 2)

    def pss_bytes(self) -> int:
        """Its memory, with its share of what it has in common with other processes."""
        rollup = Path(f"/proc/{self.popen.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))


def cpu_seconds_of(argv: Sequence[str | Path], env: Mapping[str, str], folder: Path) -> float:
    """Runs a command to its end; returns the CPU time of it and of all that it has started and waited for.

    Raises RuntimeError when it fails.
    """
    popen = subprocess.Popen(argv, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(popen.pid, 0)
    popen.returncode = os.waitstatus_to_exitcode(status)
    if popen.returncode:
        raise RuntimeError(f"{' '.join(map(str, argv))} ended with {popen.returncode}")
    return usage.ru_utime + usage.ru_stime


def group_lives(group: int) -> bool:
    """Whether a process of this group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def pin(pid: int, cores: Collection[int]) -> None:
    """Has a process, 0 being this one, and those that it will start, run on these cores only."""
    if sys.platform == "linux":
        os.sched_setaffinity(pid, cores)


@contextmanager
def on_all_cores() -> Iterator[None]:
    """Has this process, and those that it starts meanwhile, run wherever there is room."""
    pin(0, CORES)
    try:
        yield
    finally:
        pin(0, {CLIENT_CORE})


def free_port() -> int:
    """A port that nothing listens on."""
    for port in random.sample(PORTS, len(PORTS)):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("no port is free")
