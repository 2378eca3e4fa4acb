"""Which files a program has filled, and whether one of them is a log; and whom it has told instead of stdout."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .tracing import INET, UNIX, Address, Call

CALLS = """
    open openat openat2 creat write writev pwrite64 pwritev pwritev2 sendfile splice
    bind listen connect sendto sendmsg sendmmsg
""".split()
WRITES = "write writev pwrite64 pwritev pwritev2 sendfile splice".split()
A_FILE = re.compile(r"\d+<(/[^<>]*?)(?: \(deleted\))?>")
OUTPUTS = re.compile(r"[12]<(?:pipe:|/dev/)")
NO_FILES = ("/dev/null", "/dev/pts/", "/dev/tty", "/dev/stdout", "/dev/stderr", "/proc/", "/sys/", "/memfd:")
MANY = 20
# Python writes bytecode to a file with a number, which it then takes off; all of it begins alike.
BYTECODE, TO_BE_BYTECODE = re.compile(r"/__pycache__/[^/]+\.pyc$"), re.compile(r"/__pycache__/[^/]+\.pyc\.\d+$")
MAGIC = re.compile(r"(?:\\[0-7]{1,3}|\\?.){1,2}\\r\\n\\[0-7]")
NAME = re.compile(
    r"\.log\b|\.jsonl?\.\d+$|/logs?/|/var/log/|(?:^|[/_.-])(?:access|error|debug|audit|trace|stdout|stderr|nohup)[^/]*$|\.out$",
    re.IGNORECASE,
)
LIKE_A_LOG = re.compile(
    r"(?:^|\\n|\n)\W{0,3}(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\d\d/\w{3}/\d{4}:\d\d|(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\b)"
    r"|\b(?:level(?:name)?|severity)\\?[\"']?\s*[:=]\s*\\?[\"']?(?:debug|info|warn|warning|error|critical)\b"
    r"|\b(?:GET|POST|PUT|PATCH|DELETE) /\S* HTTP/|Traceback \(most recent call last\)",
    re.IGNORECASE,
)
LOG_SOCKETS = re.compile(r"^(?:/dev/log|/(?:var/)?run/(?:syslog|systemd/journal|log)|.*(?:syslog|journal|fluent).*)")
# syslog, syslog over TLS, Python's socket handlers, GELF, Logstash, Fluent Bit, Fluentd, Loki, Splunk and VictoriaLogs,
# by their usual ports.
LOG_PORTS = {514, 601, 6514, 9020, 9021, 9022, 12201, 5044, 5140, 5170, 24224, 9880, 3100, 8088, 9428}
A_FEW = 3
PEER = re.compile(r"\d+<(?:TCP|UDP)(?:v6)?:\[[^<>]*->\[?([^<>]*?)\]?:(\d+)\]>")


@dataclass
class Filled:
    """A file into which something was written."""

    path: str
    appended: bool = False
    opened: int = 0
    """How often it was opened."""
    texts: list[str] = field(default_factory=list)
    """The beginning of what was written, each time."""

    def problem(self, told: Iterable[str]) -> str:
        """Why it is a log; empty when it is something else. `told` is what was written to stdout and stderr."""
        if NAME.search(self.path):
            return "is called like a log"
        if any(LIKE_A_LOG.search(text) for text in self.texts):
            return "has lines like a log's"
        if set(self.texts) & set(told):
            return "holds what went to stdout as well"
        return "grows at its end" if self.appended or self._line_by_line else ""

    @property
    def _line_by_line(self) -> bool:
        """Whether it was opened a few times and written to many times, as no state is."""
        return len(self.texts) >= MANY and len(self.texts) >= MANY / 4 * self.opened


def filled(calls: Iterable[Call]) -> dict[str, Filled]:
    """Every regular file into which bytes were written, or that is opened as a log."""
    appended: set[str] = set()
    opened: Counter[str] = Counter()
    found: dict[str, Filled] = {}
    for call in calls:
        if call.failed:
            continue
        if call.name.startswith(("open", "creat")):
            paths = A_FILE.findall(call.text.rpartition(" = ")[2])
            opened.update(paths)
            if "O_APPEND" in call.text:
                appended.update(paths)  # one that is called like a log is one before anything is in it
                found |= {
                    path: Filled(path)
                    for path in paths
                    if path not in found and NAME.search(path) and not path.startswith(NO_FILES)
                }
        elif call.name in WRITES and (match := A_FILE.match(call.text)) and not call.text.endswith("= 0"):
            path = match[1]
            in_place = call.name.startswith("pwrite")  # as databases do
            if not in_place and not path.startswith(NO_FILES) and not _is_bytecode(path, call):
                found.setdefault(path, Filled(path)).texts.append(_text(call))
    for path, file in found.items():
        file.appended, file.opened = path in appended, opened[path]
    return found


def told(calls: Iterable[Call]) -> list[str]:
    """What was written to stdout and stderr, the beginning of each."""
    return [_text(call) for call in calls if call.name in WRITES and OUTPUTS.match(call.text)]


def collectors(calls: list[Call], strangers: Iterable[Address]) -> list[str]:
    """The collectors of logs that the program has spoken to or tried to, in words.

    A stranger is no resource; a collector among them is known by its usual port, or by when it is spoken to.
    """
    found = {str(one) for one in strangers if one.port in LOG_PORTS}
    found |= {f"{one}, right after a line" for one in strangers if _hears_of_lines(calls, one)}
    for call in calls:
        if call.name in ("connect", "sendto", "sendmsg", "sendmmsg"):
            paths = (path.strip('@"') for path in UNIX.findall(call.text))
            found |= {path for path in paths if LOG_SOCKETS.match(path)}
    return sorted(found)


def _hears_of_lines(calls: list[Call], stranger: Address) -> bool:
    """Whether an address is mostly spoken to right after something was written to stdout or stderr."""
    before: dict[int, bool] = {}  # for each task whether the last that it has written was a line
    after: list[bool] = []
    for call in calls:
        if _is_told(call, stranger):
            after += [line] if (line := before.pop(call.task, None)) is not None else []
        elif call.name in WRITES or (call.name != "connect" and PEER.match(call.text)):
            before[call.task] = bool(OUTPUTS.match(call.text))
    return len(after) >= A_FEW and after.count(True) > len(after) / 2


def _is_told(call: Call, stranger: Address) -> bool:
    peers = [(v4 or v6, port) for port, v4, v6 in INET.findall(call.text)] + PEER.findall(call.text)
    return (stranger.host, str(stranger.port)) in peers


def looks_like_a_log(file: Path) -> bool:
    """Whether a file that is there now has lines like a log's."""
    try:
        with file.open("rb") as opened:
            found = opened.read(100_000)
    except OSError:
        return False
    if found.startswith(b"\x7fELF") or (BYTECODE.search(str(file)) and found[2:4] == b"\r\n"):
        return False  # a program; whoever else writes to it is seen by `filled`
    return bool(LIKE_A_LOG.search(found.decode(errors="replace")))


def _is_bytecode(path: str, call: Call) -> bool:
    """Whether a call writes a whole module that Python has compiled."""
    return bool(TO_BE_BYTECODE.search(path) and MAGIC.match(_text(call)))


def _text(call: Call) -> str:
    match = re.search(r'"((?:[^"\\]|\\.)*)"', call.text)
    return match[1] if match else ""
