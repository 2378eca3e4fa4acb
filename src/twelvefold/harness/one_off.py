"""A one-off that is held in the middle of its work, to be looked at: what program it is, and of what code."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from .beginnings import wait_until_begun
from .deploy import RELEASE_SECONDS, Deploy
from .kin import kin
from .processes import Process, eventually
from .sockets import ports_of
from .tracing import Trace

WAITING = """
    SELECT client_port FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name <> 'twelvefold'
"""
CODE = re.compile(r"\.(py[co]?|so(\.[\d.]+)?|m?js|rb|php|jar|class|pl|sh)$")
LIBRARY = re.compile(r"\.so(\.[\d.]+)?$")
SYSTEM = "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"
# Where package managers put what a program requires.
PACKAGES = re.compile(r"^.*?/(?:site-packages|dist-packages|node_modules|gems|vendor)/")
OPENED = re.compile(r"\) += \d+<(/[^>]*)>")
EXECUTED = re.compile(r'^"([^"]+)".*\) += 0')
# What only starts another program, by its own name.
LAUNCHERS = {"sh", "bash", "dash", "env", "busybox", "tini", "docker-init", "ldconfig", "uname"}


@dataclass(frozen=True)
class Held:
    """A one-off that waits in the database for what the experiment has locked."""

    process: Process
    program: int
    """The process that waits there; 0 when none does."""


@contextmanager
def held_at(deploy: Deploy, command: str, prefix: Sequence[str] = ()) -> Iterator[Held]:
    """Runs a one-off while the table of things is locked; it goes on when the context ends."""
    table = deploy.contract.thing.table if deploy.contract.thing else None
    with deploy.db.locked(table) if table and deploy.database else nullcontext():
        process = deploy.launch(command, prefix=prefix)
        waiting: list[int] = []

        def there() -> bool:
            if table and deploy.database:
                waiting[:] = _waiting(deploy, process)
            return bool(waiting) or not process.alive

        if table and deploy.database:
            eventually(there, f"`{command}` to read or write {table}, or to end", RELEASE_SECONDS)
        else:
            wait_until_begun(deploy, process)
        yield Held(process, waiting[0] if waiting else 0)


def _waiting(deploy: Deploy, process: Process) -> list[int]:
    """Who waits for a lock: a relative of the process, or the process itself where nobody could be found."""
    ports = {int(port) for (port,) in deploy.db.rows(WAITING)}
    if not ports:
        return []
    relatives = sorted((pid for pid, _ in kin(deploy, process)), key=lambda pid: pid != process.pid)
    return [pid for pid in relatives if ports_of([pid]) & ports] or [process.pid]


def program_of(pid: int) -> str:
    """The file that a process executes."""
    return os.readlink(f"/proc/{pid}/exe")


def programs_of(pids: Iterable[int]) -> set[str]:
    """The files that processes execute, as far as they are still there."""
    found = set()
    for pid in pids:
        with suppress(OSError):
            found.add(program_of(pid))
    return found


def variables_of(pid: int) -> dict[str, str]:
    """What a process was given."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    return dict(entry.partition("=")[::2] for entry in entries if entry)


def mapped(pids: Iterable[int]) -> set[str]:
    """The files of code that processes have in their memory."""
    found = set()
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines()
            found |= {path for line in lines if CODE.search(path := line.partition("/")[1] + line.partition("/")[2])}
    return found


def opened(trace: Trace) -> set[str]:
    """The files of code that a traced program and its children have opened."""
    found = (OPENED.search(call.text) for call in trace.calls() if call.name.startswith("open"))
    return {match[1] for match in found if match and CODE.search(match[1])}


def executed(trace: Trace) -> list[str]:
    """The programs that a traced one has become or started, in order, but for those that only start another one."""
    found = (EXECUTED.match(call.text) for call in trace.calls() if call.name == "execve")
    return [match[1] for match in found if match and Path(match[1]).name not in LAUNCHERS]


def packages(files: Iterable[str]) -> set[str]:
    """The folders of packages that files of code come from."""
    return {match[0] for file in files if (match := PACKAGES.match(file))}


def is_of_release(deploy: Deploy, file: str, programs: Iterable[str], known: Iterable[str] = ()) -> bool:
    """Whether a file is of what is deployed: installed with it, one of its programs, or of their language.

    `known` are the folders of packages that web uses.
    """
    places = [str(deploy.workspace.environment)]
    if not deploy.workspace.is_package:  # then each process has a copy of the code
        places.append(str(deploy.folder))
    if _is_below(file, places) or str(Path(file).resolve()) in {str(Path(one).resolve()) for one in programs}:
        return True
    if match := PACKAGES.match(file):
        return match[0] in known
    homes = [str(Path(one).resolve().parents[1]) for one in programs]
    return _is_below(file, [*homes, *SYSTEM] if LIBRARY.search(file) else homes)


def _is_below(file: str, places: Iterable[str]) -> bool:
    return any(Path(file).is_relative_to(place) for place in places)
