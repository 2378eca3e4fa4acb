"""Processes of the service: each in a process group of its own, with the variables that it is given and no others."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from . import http, tether
from .claim import Violation, expect

READY_SECONDS = 20.0
END_SECONDS = 20.0
PAUSE_SECONDS = 0.02
PORTS = range(20_000, 32_000)

_names: list[socket.socket] = []  # of the ports that have been given


class Handle(Protocol):
    """What a driver gives for a program that it has started; as `subprocess.Popen` has it."""

    stdout: Any

    @property
    def pid(self) -> int:
        """The number of the program itself, as this machine counts."""

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""

    def poll(self) -> int | None:
        """Looks whether it has ended."""

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; raises subprocess.TimeoutExpired."""

    def send_signal(self, sig: int) -> None:
        """Sends a signal to the program alone."""


class Driver(Protocol):
    """A way to run the service's programs: as processes of this machine, or in containers of its image."""

    def start(
        self, argv: Sequence[str], environment: Mapping[str, str], folder: Path, prefix: Sequence[str] = ()
    ) -> Handle:
        """Starts a program; `prefix` is the command line of one that starts and watches it, such as strace."""

    def kill(self, handle: Handle) -> None:
        """Kills the program and all that it has started."""


class ProcessDriver:
    """Runs programs as processes of this machine."""

    def __init__(self, search_path: str) -> None:
        self._path = search_path

    def start(
        self, argv: Sequence[str], environment: Mapping[str, str], folder: Path, prefix: Sequence[str] = ()
    ) -> Handle:
        """Starts a program as the leader of a process group, which ends with this process however that ends.

        It adopts what its children leave behind: so that is found, whatever it was given.
        """
        return tether.spawn(
            [*prefix, *argv],
            env={"PATH": self._path, **environment},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def kill(self, handle: Handle) -> None:
        """Kills the process group, and what has left it but is still a descendant."""
        left = descendants(handle.pid)
        with suppress(ProcessLookupError):
            os.killpg(handle.pid, signal.SIGKILL)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Process:
    """One that has been started. Its output is kept line by line, with the time at which each arrived."""

    def __init__(self, type_: str, handle: Handle, driver: Driver, port: int | None, host: str = "127.0.0.1") -> None:
        self.type = type_
        self.port = port
        self.host = host
        self.started = time.monotonic()
        self.ahead = 0.0  # by so many seconds its time is moved
        self.lines: list[tuple[float, str]] = []
        self._handle = handle
        self._driver = driver
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._handle.stdout:
            self.lines.append((time.monotonic(), line.decode(errors="replace").rstrip("\n")))

    @property
    def pid(self) -> int:
        """The number of the program itself."""
        return self._handle.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code as a shell tells it, 128 + number for a signal; None while it runs."""
        code = self._handle.poll()
        return code if code is None or code >= 0 else 128 - code

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._handle.poll() is None

    @property
    def output(self) -> str:
        """All that it has written so far."""
        return "\n".join(line for _, line in list(self.lines))

    def events(self) -> list[dict[str, Any]]:
        """What it has written, as JSON; raises Violation at a line that is none."""
        found = []
        for _, line in list(self.lines):
            try:
                event = json.loads(line)
                found.append(event) if isinstance(event, dict) else expect(False, "JSON objects in the log", line)
            except ValueError:
                raise Violation(f"expected one JSON event a line from {self.type}, saw {line!r}") from None
        return found

    def ask(self, method: str, path: str, **options: Any) -> http.Response:
        """Asks it over HTTP; raises one of http.NO_ANSWER."""
        expect(self.port, f"{self.type} to have a port")
        return http.request(int(self.port or 0), method, path, host=self.host, **options)

    def get(self, path: str, **options: Any) -> http.Response:
        """Asks it for a path."""
        return self.ask("GET", path, **options)

    def status(self, path: str, **options: Any) -> int:
        """The status of its answer; 0 when there is none."""
        try:
            return self.get(path, **options).status
        except http.NO_ANSWER:
            return 0

    def wait_for(self, path: str, status: int, seconds: float = READY_SECONDS) -> float:
        """Asks until it answers so; returns after how many seconds. Raises Violation when it does not."""
        began = time.monotonic()
        while (seen := self.status(path, timeout=2)) != status:
            expect(self.alive, f"{self.type} to keep running", f"exit code {self.exit_code}: {self.tail()}")
            if time.monotonic() - began > seconds:
                raise Violation(f"expected {status} from {path} of {self.type} within {seconds:g} s, saw {seen}")
            time.sleep(PAUSE_SECONDS)
        return time.monotonic() - began

    def listens(self) -> bool:
        """Whether its port takes connections."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((self.host, int(self.port or 0))) == 0

    def signal(self, number: int) -> None:
        """Sends a signal to the program alone, as a platform does."""
        self._handle.send_signal(number)

    def wait(self, seconds: float = END_SECONDS) -> int:
        """Waits for its end, and for the end of its output; returns the exit code as a shell tells it."""
        try:
            self._handle.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Violation(f"expected {self.type} to end within {seconds:g} s, saw it run on") from None
        self._reader.join(2)
        return self.exit_code or 0

    def stop(self, seconds: float = END_SECONDS) -> int:
        """Tells it to stop (SIGTERM) and waits for its end; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def end(self, seconds: float = END_SECONDS) -> None:
        """Tells it to stop, and kills the program, alone, when it does not: a program that watches it writes on."""
        with suppress(Violation):
            self.stop(seconds)
        if self.alive:
            self.signal(signal.SIGKILL)
            self.wait()

    def kill(self) -> None:
        """Kills it and all that it has started."""
        self._driver.kill(self._handle)
        with suppress(subprocess.TimeoutExpired):
            self._handle.wait(5)
        self._reader.join(1)

    def tail(self, lines: int = 5) -> str:
        """The last that it wrote."""
        return "\n".join(line for _, line in self.lines[-lines:])

    def waited(self) -> float:
        """How many seconds it was ready to run, and the machine had no processor for it; 0 where nobody counts that.

        Of its threads and its family's, the one that waited longest counts.
        """
        longest = 0.0
        for pid in (self.pid, *descendants(self.pid)):
            with suppress(OSError, ValueError, IndexError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    longest = max(longest, int((task / "schedstat").read_text().split()[1]) / 1e9)
        return longest

    def busy(self) -> float:
        """How many seconds its family has computed, or was ready to, so far; 0 where nobody counts that."""
        found = 0.0
        for pid in self.family():
            with suppress(OSError, ValueError):
                found += sum(map(int, Path(f"/proc/{pid}/schedstat").read_text().split()[:2])) / 1e9
        return found

    def family(self) -> list[int]:
        """The program and all that it has started, and whatever else is in its process group."""
        return sorted({self.pid, *descendants(self.pid), *group(self.pid)} & set(pids()))


def eventually(holds: Callable[[], object], expected: str, seconds: float = 10, pause: float = PAUSE_SECONDS) -> float:
    """Asks until it holds; returns after how many seconds. Raises Violation when it does not in time."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise Violation(f"expected {expected} within {seconds:g} s, saw nothing of it")
        time.sleep(pause)
    return time.monotonic() - began


def free_port() -> int:
    """A TCP port on which nobody listens, until a process of the service does.

    It is none of those that the kernel gives to clients and to whoever asks for any port, and no other experiment gets
    it: a name in the kernel stands for it, as long as this process lives.
    """
    while not reserve(port := random.choice(PORTS)):
        pass
    return port


def reserve(port: int) -> bool:
    """Keeps a port from other experiments; False where it is taken."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0twelvefold-port-{port}")
        with socket.socket() as probe:
            probe.bind(("0.0.0.0", port))  # as the service will
    except OSError:
        name.close()
        return False
    _names.append(name)
    return True


def pids() -> list[int]:
    """Every process of this machine."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; raises OSError when the process is gone."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only waits for whoever started it to take note of its end."""
    try:
        return _stat(pid)[0] in "ZX"
    except OSError:
        return True


def parent_of(pid: int) -> int:
    """Who has started a process, or has adopted it; raises OSError when it is gone."""
    return int(_stat(pid)[1])


def children(pid: int) -> list[int]:
    """The processes that a process has started itself, and that are still there."""
    found = []
    for other in pids():
        with suppress(OSError):
            if parent_of(other) == pid:
                found.append(other)
    return found


def descendants(pid: int) -> list[int]:
    """The children of a process, their children, and so on."""
    parents: dict[int, list[int]] = {}
    for other in pids():
        with suppress(OSError):
            parents.setdefault(parent_of(other), []).append(other)
    found, open_ = [], [pid]
    while open_:
        children = parents.get(open_.pop(), [])
        found += children
        open_ += children
    return found


def group(leader: int) -> list[int]:
    """The processes in the process group, or the session, of a leader; zombies do not count."""
    found = []
    for pid in pids():
        with suppress(OSError):
            state, _, pgrp, session = _stat(pid)[:4]
            if leader in (int(pgrp), int(session)) and state not in "ZX":
                found.append(pid)
    return found
