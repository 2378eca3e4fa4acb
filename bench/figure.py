"""A figure: what is measured, what it is to reach, and what came out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Generic, NamedTuple, TypeVar

Subject = TypeVar("Subject")


class Result(NamedTuple):
    """What a measurement gives; `details` are the values behind it."""

    measured: str
    reached: bool
    spread: str
    details: Sequence[str] = ()


class Row(NamedTuple):
    """A line of the table."""

    name: str
    to_reach: str
    measured: str
    verdict: str
    spread: str
    details: Sequence[str]


@dataclass(frozen=True)
class Figure(Generic[Subject]):
    """Something that is measured a number of times; fewer in a hurry."""

    name: str
    to_reach: str
    measure: Callable[[Subject, int], Result]
    times: int
    hurried: int

    def row(self, subject: Subject, *, quick: bool) -> Row:
        """Measures it; a measurement that fails is a line that says why."""
        try:
            result = self.measure(subject, self.hurried if quick else self.times)
        except Exception as error:
            return self.unmeasured(error)
        verdict = "reached" if result.reached else "not reached"
        return Row(self.name, self.to_reach, result.measured, verdict, result.spread, result.details)

    def unmeasured(self, error: Exception) -> Row:
        """The line of a figure that could not be measured."""
        why = " ".join(f"{type(error).__name__}: {error}".split())
        return Row(self.name, self.to_reach, "", "not measured", "", [f"{self.name}: not measured. {why}"])


@dataclass(frozen=True)
class Pairs:
    """Two things measured in turn; each ratio is taken within its pair, so that the machine's noise falls on both."""

    ours: list[float]
    theirs: list[float]

    @property
    def ratios(self) -> list[float]:
        """Ours over theirs, pair by pair."""
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return median(self.ratios)

    @property
    def spread(self) -> str:
        """The least and the greatest ratio, and how many there are."""
        return f"{self.range}, {len(self.ratios)} pairs"

    @property
    def range(self) -> str:
        """The least and the greatest ratio."""
        return f"{min(self.ratios):.2f} to {max(self.ratios):.2f}"

    def medians(self, unit: str, scale: float) -> str:
        """The values themselves."""
        ours, theirs = (f"{median(values) * scale:,.0f} {unit}" for values in (self.ours, self.theirs))
        return f"{ours} against {theirs}"


def in_turn(pairs: int, ours: Callable[[], float], theirs: Callable[[], float]) -> Pairs:
    """Measures both in turn, after one turn that warms caches and does not count."""
    measured = [(ours(), theirs()) for _ in range(pairs + 1)][1:]
    return Pairs([a for a, _ in measured], [b for _, b in measured])
