"""What a process does to the tree of files that it runs from, and whom it asks for more."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from .one_off import CODE
from .tracing import NETWORK, Address, Call, Trace

CHANGES = (
    *("open", "openat", "openat2", "creat", "truncate", "mkdir", "mkdirat", "mknod", "mknodat", "rmdir"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
    *("chmod", "fchmodat", "fchmodat2", "chown", "fchownat", "lchown"),
)
WATCHED = (*CHANGES, *NETWORK, "execve")
WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
RESULT = re.compile(r"\) += \d+<(/[^>]*)>")
# A path, and before it the open folder that it is below.
PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')
PORTS = {
    "postgresql": 5432,
    "postgres": 5432,
    "redis": 6379,
    "valkey": 6379,
    "memcached": 11211,
    "http": 80,
    "https": 443,
}
LOOPBACK = {"localhost", "::1", "::ffff:127.0.0.1"}


def changed(trace: Trace) -> list[Path]:
    """The files and folders that a program has written to, made, renamed or removed; not what only caches bytecode."""
    paths = (path for call in trace.calls() if _changes(call) for path in _paths(call))
    return list(dict.fromkeys(path for path in paths if "__pycache__" not in path.parts))


def below(paths: Iterable[Path], places: Iterable[Path]) -> list[str]:
    """The paths that are below one of the places."""
    roots = [place.resolve() for place in places]
    return [str(path) for path in paths if any(path.is_relative_to(root) for root in roots)]


def code(paths: Iterable[Path]) -> list[str]:
    """The paths of what a language runs."""
    return [str(path) for path in paths if CODE.search(str(path))]


def strangers(trace: Trace, variables: Mapping[str, str]) -> list[str]:
    """Whom a program has asked over the network, but for those that its variables name."""
    known = set(_named(variables.values()))
    found = [one for one in trace.contacts() if one.port and (_host(one), one.port) not in known]
    return [str(one) for one in found]


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every file below a folder with what shows that it is the same still; not what only caches bytecode."""
    found = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            stat = os.lstat(os.path.join(place, name))
            found[os.path.join(place, name)] = stat.st_ino, stat.st_size, stat.st_mtime_ns
    return found


def _changes(call: Call) -> bool:
    if call.name not in CHANGES or call.failed:
        return False
    return not call.name.startswith("open") or bool(WRITING.search(call.text))


def _paths(call: Call) -> Iterator[Path]:
    if call.name.startswith("open") and (match := RESULT.search(call.text)):
        yield Path(match[1])
        return
    for folder, name in PATH.findall(call.text):
        path = os.path.join(folder or "/", name)
        yield Path(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _named(values: Iterable[str]) -> Iterator[tuple[str, int]]:
    for value in values:
        if "://" in value:
            parts = urlsplit(value)
            host = parts.hostname or ""
            yield "127.0.0.1" if host in LOOPBACK else host, parts.port or PORTS.get(parts.scheme, 0)


def _host(address: Address) -> str:
    return "127.0.0.1" if address.host in LOOPBACK else address.host
