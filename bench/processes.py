"""Processes that are measured: each in a group of its own, on a core of its own, timed by the kernel, always ended."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from . import load

POLL_SECONDS = 0.005
PATIENCE_SECONDS = 30.0

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]


class Server(AbstractContextManager["Server"]):
    """A program that listens on `port`; its output goes to a file."""

    def __init__(self, argv: Sequence[str | Path], env: Mapping[str, str], folder: Path, port: int) -> None:
        self.port = port
        self._output = folder / f"output-{port}.log"
        with self._output.open("wb") as sink:
            self._started = time.perf_counter()
            self.popen = subprocess.Popen(
                argv, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
            )
        os.sched_setaffinity(self.popen.pid, {SERVER_CORE})

    def __exit__(self, *_: object) -> None:
        """Ends it, and what is left of its group."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        if group_lives(self.popen.pid):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self._output.unlink()

    def until_ok(self, path: str) -> float:
        """Asks every 5 ms until the answer is 200; returns the seconds since the start.

        Raises RuntimeError with the end of its output when it ends, or does not answer in time.
        """
        while self.popen.poll() is None and time.perf_counter() - self._started < PATIENCE_SECONDS:
            try:
                if load.get(self.port, path).status == 200:
                    return time.perf_counter() - self._started
            except OSError:
                pass
            time.sleep(POLL_SECONDS)
        raise RuntimeError(f"{path} did not answer 200: {self._output.read_text()[-500:]}")

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


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
