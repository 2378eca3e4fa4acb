"""What the world sees of processes: their answers, their log and how many they are, in a form that can be compared.

What differs from run to run by itself, such as times and identifiers, is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .deploy import Deploy
from .jobs import settled
from .processes import Process
from .traffic import Exchange

CHANGING = {"date", "etag", "last-modified", "content-length", "set-cookie", "x-request-id", "x-correlation-id", "age"}
MASKS = (
    (re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"), "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b"), "<time>"),
    (re.compile(r"\b(?=\w*\d)[0-9a-f]{12,}\b"), "<hex>"),
    (re.compile(r"0x[0-9a-f]+"), "<hex>"),
    (re.compile(r"\b\d+\.\d+(?:e[+-]?\d+)?\b|\b\d+e-\d+\b"), "<number>"),
    (re.compile(r"\b\d{5,}\b"), "<number>"),
)
CHANCE = re.compile("time|duration|^ts$|exception|trace")  # fields of an event that are never the same
STEADY = re.compile("status|code|level|severity|limit|max|concurrency|workers|size")  # numbers that say something
MOMENT_SECONDS = 0.2  # for what a process does after an answer
VALUE = re.compile(r"^(\S.*?) [^ ]+$")  # of one line of metrics


@dataclass
class Portrait:
    """One set of processes, as seen."""

    seen: dict[str, list[str]] = field(default_factory=dict)
    """What was looked at, and what was seen there, in order."""
    by_type: dict[str, list[str]] = field(default_factory=dict)
    """What was looked at, by process type."""

    def add_answers(self, deploy: Deploy, process: Process, exchanges: Iterable[Exchange]) -> None:
        """Adds answers to the same requests."""
        for exchange in exchanges:
            shown = [_masked(line, process) for line in _answer(deploy, exchange)]
            self._add(process, f"the answer to {_masked(exchange.request, process)}", shown)

    def add_log(self, process: Process) -> None:
        """Adds each kind of line that the process has written; how often, and in which order, is chance."""
        settled(lambda: len(process.lines), MOMENT_SECONDS)
        lines = {_masked(_line(line), process) for _, line in list(process.lines)}
        self._add(process, f"the log of {process.type}", sorted(lines))

    def add_count(self, process: Process) -> None:
        """Adds of how many processes it consists."""
        count = settled(lambda: len(process.family()), MOMENT_SECONDS)
        self._add(process, f"the number of processes of {process.type}", [str(count)])

    def _add(self, process: Process, what: str, lines: list[str]) -> None:
        self.by_type.setdefault(process.type, []).append(what)
        self.seen.setdefault(what, []).extend(lines)

    def without(self, words: Iterable[str]) -> Portrait:
        """The same, where none of these words can be told from another."""
        pattern = re.compile("|".join(sorted(map(re.escape, words), key=len, reverse=True)) or r"(?!)", re.IGNORECASE)
        return Portrait(
            {what: [pattern.sub("<word>", line) for line in self.seen[what]] for what in self.seen}, self.by_type
        )

    def of(self, process: str) -> Portrait:
        """What was seen of one process type."""
        shown = self.by_type.get(process, [])
        return Portrait({what: self.seen[what] for what in shown}, {process: shown})


def differences(usual: Portrait, other: Portrait, noise: Iterable[str] = ()) -> list[str]:
    """What is different, in words; `noise` is what differs without a reason."""
    ignored = set(noise)
    found = []
    for what in sorted({*usual.seen, *other.seen}, key=lambda what: (not what.startswith("the number"), what)):
        before, after = usual.seen.get(what, []), other.seen.get(what, [])
        if before != after:
            gone = [line for line in before if line not in after and line not in ignored]
            new = [line for line in after if line not in before and line not in ignored]
            if gone or new:
                found.append(f"{what}: {_few(gone)} became {_few(new)}")
    return found


def noise_of(one: Portrait, other: Portrait) -> set[str]:
    """Whatever one of two portraits of the same thing shows, and the other does not."""
    found: set[str] = set()
    for what in {*one.seen, *other.seen}:
        found |= set(one.seen.get(what, [])) ^ set(other.seen.get(what, []))
    return found


def _answer(deploy: Deploy, exchange: Exchange) -> list[str]:
    answer = exchange.response
    if answer is None:
        return ["no answer"]
    head = [f"{name}: {value}" for name, value in sorted(answer.headers.items()) if name not in CHANGING]
    text = answer.text
    if deploy.web.metrics and exchange.request == f"GET {deploy.web.metrics}":
        text = "\n".join(VALUE.sub(r"\1", line) for line in text.splitlines() if not line.startswith("#"))
    return [f"status {answer.status}", *head, *text.splitlines()]


def _line(line: str) -> str:
    """A line of the log, with what is expected to change taken out."""
    try:
        event = json.loads(line)
    except ValueError:
        return line
    if not isinstance(event, Mapping):
        return line
    kept = {name: value for name, value in event.items() if not CHANCE.search(name)}
    measured = {name for name, value in kept.items() if type(value) in (int, float) and not STEADY.search(name)}
    return json.dumps({name: "<number>" if name in measured else value for name, value in kept.items()}, sort_keys=True)


def _masked(text: str, process: Process) -> str:
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return re.sub(rf"\b({process.port}|{process.pid})\b", "<own>", text)


def _few(lines: list[str], most: int = 3) -> str:
    shown = "; ".join(line[:200] for line in lines[:most])
    return (f"{shown} …" if len(lines) > most else shown) or "nothing"
