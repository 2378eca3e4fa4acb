"""Whether a line of the log is one event: an object of JSON with a time, a level and a message."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from .processes import Process

# By the names that log libraries of many languages give them, in lower case.
TIMES = "timestamp time ts @timestamp asctime datetime date t eventtime created @t".split()
LEVELS = "level severity levelname lvl log.level level_name loglevel severitytext severity_text @l".split()
MESSAGES = "event message msg text body short_message @m @mt".split()
PARTS = "log record".split()  # objects in which some libraries put them
VALUES = "timestamp name".split()  # what an object in the place of a value is told by
BAD_NEWS = "warning warn error err critical fatal panic alert emergency 40 50 60".split()
BAD_WORDS = re.compile(r"\b(?:WARN(?:ING)?|ERROR|CRITICAL|FATAL|Traceback|\w*(?:Error|Exception)\b)|failed")
A_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z| ?[+-]\d\d:?\d\d)?")
A_DAY = 86_400  # a time without a zone may be anybody's


def problem_of(line: str, ahead: float = 0) -> str:
    """What keeps the line from being an event; empty when it is one. Its time may be ahead by so many seconds."""
    try:
        event = json.loads(line)
    except ValueError:
        return "is no JSON"
    if not isinstance(event, Mapping):
        return "is no JSON object"
    if not _is_now(_first(event, TIMES), ahead):
        return "has no time" if _first(event, TIMES) is None else "has a time that is not now"
    if _first(event, LEVELS) in (None, "") and "@t" not in event:  # Serilog leaves the usual level out
        return "has no level"
    return "" if _first(event, MESSAGES) not in (None, "") else "has no message"


def is_bad_news(line: str) -> bool:
    """Whether the line tells of a warning or something worse, in whatever form."""
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if isinstance(event, Mapping):
        return str(_first(event, LEVELS)).lower() in BAD_NEWS
    return bool(BAD_WORDS.search(line))


def times_in(line: str) -> list[float]:
    """The times that a line tells, as seconds since 1970; one without a zone counts as UTC."""
    found = []
    for text in A_TIME.findall(line):
        try:
            seen = datetime.fromisoformat(re.sub(r" (?=[+-]\d)", "", text).replace(",", "."))
        except ValueError:
            continue
        found.append((seen if seen.tzinfo else seen.replace(tzinfo=UTC)).timestamp())
    return found


def problems(processes: Iterable[Process]) -> list[str]:
    """Every line that is no event, in words."""
    found = []
    for process in processes:
        for _, line in list(process.lines):
            if problem := problem_of(line, process.ahead):
                found.append(f"a line of {process.type} {problem}: {line[:160]!r}")
    return found


def _first(event: Mapping[str, Any], names: list[str]) -> Any:
    everything: dict[str, Any] = {}
    for part in PARTS:
        if isinstance(nested := event.get(part), Mapping):
            everything |= {key: value for name, value in nested.items() for key in (name, f"{part}.{name}")}
    known = {str(name).lower(): value for name, value in {**everything, **event}.items()}
    found = next((known[name] for name in names if name in known), None)
    return next((found[name] for name in VALUES if name in found), found) if isinstance(found, Mapping) else found


def _is_now(value: Any, ahead: float) -> bool:
    """Whether it is a time from a day ago to one ahead, as text or as seconds, or parts of them, since 1970."""
    now = datetime.now(UTC).timestamp()

    def near(seen: float) -> bool:
        return -A_DAY < seen - now < A_DAY + ahead

    if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
        try:
            seen = datetime.fromisoformat(value.replace(",", "."))
        except ValueError:
            return False
        return near((seen if seen.tzinfo else seen.replace(tzinfo=UTC)).timestamp())
    try:
        number = float(value)
    except (TypeError, ValueError):
        return False
    return any(near(number / unit) for unit in (1, 1e3, 1e6, 1e9))
