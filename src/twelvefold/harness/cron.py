"""When a schedule of five fields is due, in UTC, and which schedules stand in code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from .claim import NotRun

FIELDS = (0, 59), (0, 23), (1, 31), (1, 12), (0, 7)
A_YEAR = timedelta(days=366)
WRITTEN = re.compile(r"""["']((?:[\d*/,-]+\s+){4}[\w*/,-]+|@[a-z]+)["']""")
SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
NAMES = {name: str(number) for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}


def due_times(texts: Iterable[str], after: float) -> list[float]:
    """When each schedule that stands in one of the texts is due for the first time after this one."""
    schedules = {SHORT.get(found, found) for text in texts for found in WRITTEN.findall(text)}
    times = set()
    for schedule in schedules:
        numbered = re.sub(r"[a-z]{3}", lambda name: NAMES.get(name[0], name[0]), schedule.lower())
        with suppress(NotRun):  # it only looks like one
            times.add(next(ticks(numbered, after)))
    return sorted(times)


def ticks(schedule: str, after: float) -> Iterator[float]:
    """The times at which a schedule is due after this one, in seconds since 1970; raises NotRun when it is never."""
    words = schedule.split()
    try:
        minutes, hours, days, months, weekdays = (
            set().union(*(_part(part, *bounds) for part in word.split(",")))
            for word, bounds in zip(words, FIELDS, strict=True)
        )
    except ValueError:
        raise NotRun(
            f"[clock] schedule must be five fields of numbers, as in 17 * * * *, and is {schedule!r}"
        ) from None
    either = words[2] != "*" and words[4] != "*"  # then one of the two is enough
    due = last = datetime.fromtimestamp(after, UTC).replace(second=0, microsecond=0)
    while due - last < A_YEAR:
        due += timedelta(minutes=1)
        if due.month not in months:
            due = due.replace(hour=23, minute=59)  # most of a year need not be looked at
            continue
        day, weekday = due.day in days, due.isoweekday() % 7 in {number % 7 for number in weekdays}
        if (
            due.minute in minutes
            and due.hour in hours
            and due.month in months
            and (day or weekday if either else day and weekday)
        ):
            last = due
            yield due.timestamp()
    raise NotRun(f"[clock] schedule {schedule!r} is not due within a year")


def _part(text: str, lowest: int, highest: int) -> set[int]:
    where, _, step = text.partition("/")
    first, _, last = where.partition("-")
    bounds = (lowest, highest) if where == "*" else (int(first), int(last or (highest if step else first)))
    if not lowest <= bounds[0] <= bounds[1] <= highest or int(step or 1) < 1:
        raise ValueError(text)
    return set(range(bounds[0], bounds[1] + 1, int(step or 1)))
