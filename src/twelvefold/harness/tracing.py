"""What a program and its children ask of the kernel, as strace sees it.

`prepare` gives a trace, whose prefix goes before the command line of one program; once that has ended, the trace tells.
"""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from .claim import HarnessError, NotRun, Violation
from .processes import eventually

if TYPE_CHECKING:
    from .deploy import Deploy

NETWORK = ("connect", "bind", "listen", "sendto", "sendmsg", "sendmmsg")
WRITES = ("open", "openat", "creat", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "symlink")
# -D: the program keeps its PID, and is a child of whoever started it; strace stands beside it.
OPTIONS = ("-f", "-D", "--seccomp-bpf", "-q", "-yy", "-s", "128")

LINE = re.compile(r"(?P<task>\d+) +(?:(?P<name>\w+)\(|<\.\.\. \w+ resumed>)(?P<rest>.*)")
CUT_SHORT = " <unfinished ...>"
INET = re.compile(
    r"sa_family=AF_INET6?, sin6?_port=htons\((\d+)\)"
    r'(?:, sin_addr=inet_addr\("([^"]+)"\)|.*?inet_pton\(AF_INET6, "([^"]+)")'
)
UNIX = re.compile(r'sa_family=AF_UNIX, sun_path=(@?"[^"]*")')
FAMILY = re.compile(r"sa_family=(\w+)")
NO_CONTACT = {"AF_UNSPEC", "AF_NETLINK"}  # the end of an association, and the kernel itself
# The C library asks there for a name or a user before it looks into the files.
OF_THE_LIBRARY = ("/var/run/nscd/", "/run/nscd/", "/run/systemd/")
TRACED_SECONDS = 60.0  # how long a traced program may take for what it does at once otherwise
END_SECONDS = 40.0  # how far strace may be behind on a busy machine
NAMES = 53  # the port of name servers
LISTENING = re.compile(r"<TCP(?:v6)?:\[.*?:(\d+)\]>")
PROBE = r"<UDP(?:v6)?:"
# The name in a question to a name server: twelve bytes of head, then each part behind its length.
QUESTION = re.compile(r':53\]>.*?"(?:\\\d+|\\?.){6}(?:\\0){6}((?:\\(?:\d+|[tnvfr])[\w-]+)+)\\0')

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Call:
    """A system call."""

    task: int
    name: str
    text: str
    """Its arguments and what came of it, as strace writes them."""

    @property
    def failed(self) -> str:
        """The name of its error, such as EROFS; empty when it succeeded."""
        found = re.search(r"\) += -1 (E[A-Z0-9]+)", self.text)
        return found[1] if found else ""


@dataclass(frozen=True)
class Address:
    """Where a socket was to lead: an IP address and a port, or the path of a UNIX socket without one."""

    host: str
    port: int = 0
    told: str = ""
    """What else there is to be said about it."""

    def __str__(self) -> str:
        where = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return (where if self.port else self.host) + (f" ({self.told})" if self.told else "")


@dataclass(frozen=True)
class Trace:
    """One program that is watched."""

    file: Path
    prefix: tuple[str, ...]
    """What stands before its command line."""

    def wait(self, pid: int) -> None:
        """Waits until the program, which has ended, is recorded to its end."""
        ending = re.compile(rf"^{pid} +\+\+\+ (exited|killed)", re.MULTILINE)
        try:
            eventually(lambda: ending.search(self._text()), "the trace to end", END_SECONDS)
        except Violation:
            raise HarnessError(f"strace did not record the end of process {pid}") from None

    def calls(self) -> list[Call]:
        """All calls so far, with those in one piece that others have interrupted."""
        return list(_calls(self._text()))

    def contacts(self) -> list[Address]:
        """Whom the program has spoken to or tried to, in order, but for its own sockets and the kernel."""
        calls = self.calls()
        own = {address for call in calls if call.name == "bind" for address in _addresses(call)}
        ports = _ports_of(calls)
        found = {address: None for call in calls if call.name != "bind" for address in _addresses(call)}
        names = {_name_in(asked) for call in calls for asked in QUESTION.findall(call.text)}
        about = f"asked for {' and '.join(sorted(names))}" if names else "to look up a name"
        return [
            replace(one, told=about if one.port == NAMES else "")
            for one in found
            if one not in own and not (one.port in ports and _is_loopback(one.host))
        ]

    def ports(self) -> set[int]:
        """The ports on which the program has listened."""
        return _ports_of(self.calls())

    def _text(self) -> str:
        return self.file.read_text(errors="replace") if self.file.exists() else ""


def prepare(deploy: Deploy, calls: Sequence[str]) -> Trace:
    """A trace of these calls, for the next program; raises NotRun where nothing can be traced."""
    if deploy.workspace.driver == "image":
        raise NotRun("what happens inside of a container is not traced: run it without IMAGE")
    file = deploy.folder.parent / f"{deploy.folder.name}-{next(_numbers)}.strace"
    wanted = ",".join(f"?{call}" for call in calls)  # not every machine has each of them
    prefix = (_program(), *OPTIONS, "-e", f"trace={wanted}", "-o", str(file))
    tried = subprocess.run([*prefix, "true"], capture_output=True, encoding="utf-8", timeout=30, check=False)
    if tried.returncode:
        raise NotRun(f"this machine lets no process be traced: {tried.stderr.strip()}")
    file.unlink(missing_ok=True)
    return Trace(file, prefix)


def _program() -> str:
    if program := shutil.which("strace"):
        return program
    raise NotRun("no strace is on this machine: install the package strace")


def _calls(text: str) -> Iterator[Call]:
    begun: dict[int, tuple[str, str]] = {}
    for line in text.splitlines():
        if not (match := LINE.fullmatch(line)):
            continue
        task, name, rest = int(match["task"]), match["name"] or "", match["rest"]
        if name and rest.endswith(CUT_SHORT):
            begun[task] = name, rest.removesuffix(CUT_SHORT)
        elif name:
            yield Call(task, name, rest)
        elif task in begun:
            name, start = begun.pop(task)
            yield Call(task, name, start + rest)
    for task, (name, start) in begun.items():  # the end came in between
        yield Call(task, name, start)


def _addresses(call: Call) -> list[Address]:
    found = [Address(v4 or v6, int(port)) for port, v4, v6 in INET.findall(call.text)]
    if call.name == "connect" and re.search(PROBE, call.text):
        found = [one for one in found if one.port]  # nothing is sent: so the C library learns its own address
    paths = (path.replace('"', "") for path in UNIX.findall(call.text))
    found += [Address(path) for path in paths if path and not path.startswith(OF_THE_LIBRARY)]
    families = set(FAMILY.findall(call.text)) - {"AF_INET", "AF_INET6", "AF_UNIX"} - NO_CONTACT
    found += [Address(family) for family in sorted(families)]
    return found


def _ports_of(calls: Sequence[Call]) -> set[int]:
    listening = (LISTENING.search(call.text) for call in calls if call.name == "listen")
    return {int(found[1]) for found in listening if found}


def _name_in(question: str) -> str:
    return ".".join(part for part in re.split(r"\\(?:\d+|[tnvfr])", question) if part)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
