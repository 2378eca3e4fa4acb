"""Reads what a process tells about itself in Prometheus' text format, or in OpenMetrics'."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from . import http
from .claim import Violation, expect
from .processes import Process

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = rf'\s*({NAME})\s*=\s*"((?:[^"\\\n]|\\.)*)"\s*'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL})?(?:,{LABEL})*,?\s*)\}})?\s+(\S+)(?:\s+\S+)?(?:\s+#.*)?")
# The gauges that go up when something begins and down when it ends, and what is called alike.
UNDER_WAY = re.compile(r"in_?flight|in_?progress|active_requests", re.I)
NOT_UNDER_WAY = re.compile(r"_(total|bucket|count|sum|created|seconds)$|max|limit|peak", re.I)
OF_A_FAMILY = re.compile(r"_(total|bucket|count|sum|created)$")
WITHIN_A_FAMILY = "le", "quantile"
ESCAPED = re.compile(r"\\(.)")

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Series:
    """A name with its labels."""

    name: str
    labels: Labels

    def has(self, labels: Mapping[str, str]) -> bool:
        """Whether it has these labels, and perhaps more."""
        return self.labels >= frozenset(labels.items())

    def label(self, *names: str) -> str | None:
        """The value of the first of these labels that it has."""
        values = dict(self.labels)
        return next((values[name] for name in names if name in values), None)

    def __str__(self) -> str:
        pairs = ",".join(f'{name}="{value}"' for name, value in sorted(self.labels))
        return f"{self.name}{{{pairs}}}"


Metrics = dict[Series, float]


def parse(text: str) -> Metrics:
    """Every series with its value; raises Violation at a line that is none, and at a series that is told twice."""
    found: Metrics = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        series, value = _sample(line.strip())
        expect(series not in found, "each series once", str(series))
        found[series] = value
    return found


def selector(text: str) -> Series:
    """A series as `name{label="value"}` names it, with some of its labels; raises Violation when it names none."""
    return _sample(f"{text} 0")[0]


def _sample(line: str) -> tuple[Series, float]:
    match = SAMPLE.fullmatch(line)
    try:
        if match is None:
            raise ValueError
        pairs = re.findall(LABEL, match[2] or "")
        return Series(match[1], frozenset((name, _plain(value)) for name, value in pairs)), float(match[7])
    except ValueError:
        raise Violation(f"expected metrics in Prometheus' text format, saw {line[:120]!r}") from None


def _plain(value: str) -> str:
    return ESCAPED.sub(lambda match: "\n" if match[1] == "n" else match[1], value)


def scrape(process: Process, path: str) -> Metrics:
    """Asks a process for its metrics; raises Violation when it does not give them."""
    try:
        response = process.get(path)
    except http.NO_ANSWER as error:
        raise Violation(f"expected metrics from {path} of {process.type}, saw no answer: {error}") from None
    expect(response.status == 200, f"200 from {path} of {process.type}", f"{response.status} {response.text}")
    return parse(response.text)


def value_of(metrics: Metrics, wanted: Series) -> float | None:
    """The sum of the series that a selector names; None when there is none."""
    values = [
        value for series, value in metrics.items() if series.name == wanted.name and wanted.labels <= series.labels
    ]
    return sum(values) if values else None


def moved(before: Metrics, after: Metrics, name: str) -> Metrics:
    """By how much each series of a counter has changed, without those that have not."""
    changes = {series: value - before.get(series, 0) for series, value in after.items() if series.name == name}
    gone = {series: -value for series, value in before.items() if series.name == name and series not in after}
    return {series: change for series, change in (changes | gone).items() if change}


def families(series: Iterable[Series]) -> set[Series]:
    """What they are series of: a histogram's buckets, their sum and their count are those of one family."""
    return {
        Series(OF_A_FAMILY.sub("", one.name), frozenset(pair for pair in one.labels if pair[0] not in WITHIN_A_FAMILY))
        for one in series
    }


def under_way(metrics: Metrics) -> dict[str, float]:
    """How much has begun and not ended, by the names of the gauges that tell."""
    found: dict[str, float] = {}
    for series, value in metrics.items():
        if UNDER_WAY.search(series.name) and not NOT_UNDER_WAY.search(series.name):
            found[series.name] = found.get(series.name, 0) + value
    return found
