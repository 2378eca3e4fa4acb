"""The time as processes see it, moved from outside while they run: libfaketime is loaded into them."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .claim import NotRun, Violation
from .deploy import Deploy
from .processes import Process, eventually

LIBRARY = "libfaketimeMT.so.1"
FOLDERS = "/usr/lib", "/usr/lib64", "/usr/local/lib"
SHARED = Path("/dev/shm")
STOP_SECONDS = 2.0
WITHOUT_LIBC = b"\xff Go buildinf:"  # such programs ask the kernel for the time, past every library


class MovedTime:
    """Processes that see another time; all the same one."""

    def __init__(self, deploy: Deploy, library: Path, file: Path, start: float) -> None:
        self._deploy = deploy
        self._file = file
        self._ahead = start - time.time()
        self._processes: list[Process] = []
        self._variables: dict[str, Any] = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "NO_FAKE_STAT": "1",
        }
        self._write()

    def now(self) -> float:
        """The moved time, in seconds since 1970."""
        return time.time() + self._ahead

    def start(self, process: str, *, prefix: Sequence[str] = (), **variables: str | None) -> Process:
        """Starts a process type, and waits for nothing."""
        started = self._deploy.start(process, ready=False, prefix=prefix, **self._variables, **variables)
        started.ahead = self._ahead
        self._processes.append(started)
        return started

    def expect_reached(self, process: Process) -> None:
        """Raises NotRun where a process sees the machine's own time all the same."""
        with suppress(OSError):
            loaded = Path(f"/proc/{process.pid}/maps").read_text()
            program = Path(f"/proc/{process.pid}/exe").read_bytes()
            if LIBRARY not in loaded or WITHOUT_LIBC in program:
                raise NotRun(f"{process.type} takes the time from the kernel itself: it cannot be moved from outside")

    def move(self, to: float) -> None:
        """Moves the time forward, and wakes those who wait for events: they look at the time again."""
        self._ahead = to - time.time()
        self._write()
        for process in self._processes:
            process.ahead = self._ahead
        alive = [process for process in self._processes if process.alive]
        _signal(alive, signal.SIGSTOP)
        with suppress(Violation):  # one that goes on before it has stopped is not woken
            eventually(lambda: all(map(_stopped, alive)), "them to stop", STOP_SECONDS, pause=0.002)
        _signal(alive, signal.SIGCONT)

    def _write(self) -> None:
        """At once for whoever reads it."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{self._ahead:+.3f}\n")
        new.rename(self._file)

    def clean(self) -> None:
        """Ends the processes, and removes what the library has left behind."""
        for process in self._processes:
            process.kill()
            for name in (f"faketime_shm_{process.pid}", f"sem.faketime_sem_{process.pid}"):
                (SHARED / name).unlink(missing_ok=True)


def _signal(processes: Sequence[Process], number: int) -> None:
    for process in processes:
        with suppress(OSError):
            os.kill(process.pid, number)


def _stopped(process: Process) -> bool:
    """Whether it stands still, or has ended."""
    with suppress(OSError):
        return Path(f"/proc/{process.pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] in "TtZX"
    return True


@contextmanager
def moved_time(deploy: Deploy, start: float, folder: Path | None = None) -> Iterator[MovedTime]:
    """A time that begins at `start`; raises NotRun where the machine cannot do it.

    The processes must see the folder, which is the deploy's if none is given.
    """
    library = next((found for folder in FOLDERS for found in Path(folder).glob(f"**/faketime/{LIBRARY}")), None)
    if library is None:
        raise NotRun(f"no {LIBRARY} is on this machine: install the package libfaketime")
    place = folder or deploy.folder  # where a container sees it too
    copied = Path(shutil.copy(library, place))
    moved = MovedTime(deploy, copied, place / "time", start)
    try:
        yield moved
    finally:
        moved.clean()
