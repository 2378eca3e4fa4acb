"""Runs a program where nothing that it writes to a file is kept.

This file is also the tiny program that enters such a place and then becomes the wanted one, which keeps its PID. It
needs nothing but a kernel that allows mount namespaces, to root or to anybody.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .deploy import Deploy

CANNOT_CONFINE = 125

# linux/sched.h, linux/mount.h, fcntl.h
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER = 0x00020000, 0x08000000, 0x10000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1,
    2,
    4,
    8,
    32,
    4096,
    16384,
    1 << 18,
)
LOCKED = MS_NOSUID | MS_NODEV | MS_NOEXEC | 1024 | 2048  # and noatime, nodiratime: what a user may not take away

KERNEL = ("/proc", "/sys", "/dev/")  # no files are kept below, but for /dev/shm
TEMPORARY = ("/tmp", "/dev/shm")
ANYWHERE = ("/var/tmp", str(Path("~").expanduser()))  # where programs like to leave files


def prefix(deploy: Deploy, *, read_only: bool) -> list[str]:
    """The command line that goes before that of a program; raises NotRun where nothing can be confined.

    Read-only, the program can write to /tmp, /dev/shm and the deploy's folder. Otherwise it can write to the folder
    that it starts in as well, and to all where programs like to leave something. What is writable is the program's own,
    empty at first, and gone with it; so is memory that processes share by a name.
    """
    from .claim import NotRun  # not at the top: as a program this file stands alone

    if deploy.workspace.driver == "image":
        raise NotRun("what a container can write to is its engine's affair: run it without IMAGE")
    environment = deploy.workspace.environment
    places = {
        "empty": [*(() if read_only else ANYWHERE), *TEMPORARY, str(deploy.folder)],
        "visible": [str(deploy.workspace.folder), *_interpreter_of(environment)],
        "writable_here": not read_only,
    }
    words = [sys.executable, "-I", "-S", __file__, json.dumps(places)]
    tried = subprocess.run([*words, "true"], capture_output=True, encoding="utf-8", timeout=30, check=False)
    if tried.returncode:
        raise NotRun(tried.stderr.strip() or "no program can be confined on this machine")
    return words


def _interpreter_of(environment: Path) -> list[str]:
    """Where the Python of an environment really lies: perhaps below somebody's home."""
    program = environment / "bin" / "python"
    return [str(program.resolve().parents[1])] if program.exists() else []


def _main(places: str, *argv: str) -> int:
    try:
        _confine(**json.loads(places))
    except OSError as error:
        sys.stderr.write(f"this machine lets no program have files of its own: {error}\n")
        return CANNOT_CONFINE
    os.execvp(argv[0], argv)


def _confine(empty: list[str], visible: list[str], *, writable_here: bool) -> None:
    here = os.getcwd()
    _unshare()
    _mount("none", "/", MS_REC | MS_PRIVATE)
    # What has been opened can be shown again once something else lies over it.
    shown = {path: os.open(path, os.O_PATH) for path in (*visible, here)}
    own = [path for path in empty if os.path.isdir(path)]
    for path in own:
        _mount("tmpfs", path, MS_NOSUID | MS_NODEV, "tmpfs", "mode=1777")
        for place, opened in shown.items():
            if Path(place).is_relative_to(path):
                os.makedirs(place, exist_ok=True)
                _mount(f"/proc/self/fd/{opened}", place, MS_BIND)
    for path in _mounted():
        if path not in own and not path.startswith(KERNEL) and not (writable_here and path == here):
            with _unless_gone(path):
                flags = os.statvfs(path).f_flag & LOCKED
                _mount("none", path, MS_REMOUNT | MS_BIND | MS_RDONLY | flags)
    for opened in shown.values():
        os.close(opened)
    os.chdir(here)


def _unshare() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0 and libc.unshare(CLONE_NEWNS | CLONE_NEWIPC) == 0:
        return
    user, group = os.geteuid(), os.getegid()
    _check(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC), "unshare")
    for name, text in {"setgroups": "deny", "uid_map": f"{user} {user} 1", "gid_map": f"{group} {group} 1"}.items():
        Path(f"/proc/self/{name}").write_text(text)


def _mounted() -> list[str]:
    """Where something is mounted, as this process sees it."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    places = (re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), line.split()[4]) for line in lines)
    return [place for place in dict.fromkeys(places) if os.path.exists(place)]


@contextmanager
def _unless_gone(path: str) -> Iterator[None]:
    """What others have taken away meanwhile cannot be written to either."""
    try:
        yield
    except OSError:
        if os.path.exists(path):
            raise


def _mount(source: str, target: str, flags: int, kind: str = "none", options: str = "") -> None:
    words = (source.encode(), target.encode(), kind.encode(), flags, options.encode() or None)
    _check(ctypes.CDLL(None, use_errno=True).mount(*words[:3], ctypes.c_ulong(flags), words[4]), f"mount {target}")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
