"""What belongs to a process: its relatives, also those that have slipped away, and its database sessions."""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from .databases import Database
from .deploy import Deploy
from .processes import Process
from .sockets import relatives

Birth = tuple[int, str]  # a process's number and when it was started: no other one ever has both

# Where programs leave a file with their number, beside the folders that they are given.
PLACES = "/run", "/run/lock", "/tmp", "/var/tmp", "/var/lib", "/var/log", "/etc", "/opt", "/srv"
SMALL = 4096

SESSIONS = """
    SELECT client_port FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> 'twelvefold'
        AND client_port > 0
"""


def births(pids: Iterable[int]) -> set[Birth]:
    """Those of these processes that live."""
    found = set()
    for pid in pids:
        with suppress(OSError):
            state, *fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            if state not in "ZX":
                found.add((pid, fields[18]))
    return found


def kin(deploy: Deploy, process: Process) -> set[Birth]:
    """A process, what it has started, and whatever else was given its environment."""
    contract = deploy.contract
    names = [contract.web.port] if contract.web and process.type == contract.web.process else []
    names += [contract.jobs.metrics_port] if contract.jobs and contract.jobs.metrics_port else []
    resource = contract.resource("postgres")
    marks = [f"{name}={process.port}" for name in names if process.port]
    marks = marks or ([f"{resource.url}={deploy.db.url}"] if resource else [])
    return births(relatives(process.family(), marks))


def left_of(deploy: Deploy, process: Process, before: set[Birth]) -> list[int]:
    """What is still there of a process that has ended, of which `before` was seen."""
    now = kin(deploy, process) | births(pid for pid, _ in before)
    return sorted(pid for pid, birth in now if (pid, birth) in before or pid not in {old for old, _ in before})


def session_ports(database: Database) -> set[int]:
    """The local ports of those who use the database, but for the experiment itself."""
    return {int(port) for (port,) in database.rows(SESSIONS)}


def pid_files(process: Process, *folders: Path, since: float) -> list[str]:
    """The files, written since then, in which the number of a process stands.

    Looks where its container has its files, if it is in one.
    """
    here = Path(f"/proc/{process.pid}")
    number = (here / "status").read_text().partition("NSpid:")[2].splitlines()[0].split()[-1]
    homes = [user.pw_dir for user in pwd.getpwall() if user.pw_uid == here.stat().st_uid]
    places = (os.readlink(here / "cwd"), *homes, *PLACES)
    tops = {*folders, *(Path(f"{here}/root{place}").resolve() for place in places)}
    files = {file for top in tops for folder in (top, *_folders(top)) for file in _new_files(folder, since)}
    return sorted(_shown(file, folders) for file in files if _names(file, number))


def _shown(file: Path, folders: Iterable[Path]) -> str:
    """Its name, without the part that only this experiment has."""
    return next((str(file.relative_to(top)) for top in folders if file.is_relative_to(top)), str(file))


def _folders(top: Path) -> list[Path]:
    with suppress(OSError):
        return [Path(entry.path) for entry in os.scandir(top) if entry.is_dir(follow_symlinks=False)]
    return []


def _new_files(folder: Path, since: float) -> list[Path]:
    found = []
    with suppress(OSError):
        for entry in os.scandir(folder):
            with suppress(OSError):
                seen = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(seen.st_mode) and seen.st_mtime >= since - 1 and 0 < seen.st_size <= SMALL:
                    found.append(Path(entry.path))
    return found


def _names(file: Path, number: str) -> bool:
    with suppress(OSError):
        text = file.read_text(errors="replace").strip()
        # In a container the number is 1 or so, which stands in many a file.
        return text == number or (len(number) > 2 and re.search(rf"\b{number}\b", text) is not None)
    return False
