"""How an experiment says what it claims, what it saw, and why it did not run."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ..results import Claim

F = TypeVar("F", bound=Callable[..., None])

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


class Violation(AssertionError):
    """The service does not keep the claim."""


class NotRun(Exception):
    """Something that the experiment needs is missing: a sentence that says what, and how to get it."""


class NotApplicable(Exception):
    """The service has nothing that the claim speaks of."""


class HarnessError(Exception):
    """The experiment itself went wrong."""


def claim(
    identifier: str, statement: str, *, threshold: str, fast: bool = False, seconds: float = 5
) -> Callable[[F], F]:
    """Makes an experiment of a function: it passes when it returns, and fails with a Violation.

    `fast` puts it into the short selection for pull requests; `seconds` is about how long it takes.
    """

    def mark(function: F) -> F:
        vars(function)["claim"] = Claim(identifier, statement, threshold, fast, seconds)
        return function

    return mark


@dataclass
class Observations:
    """What an experiment has seen, in words that a reader can compare with the threshold."""

    seen: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keeps what was seen."""
        self.seen.append(text)

    def expect(self, holds: object, expected: str, seen: object = None) -> None:
        """Keeps what was expected, or raises Violation with it and with what was seen instead."""
        if not holds:
            raise Violation(f"expected {expected}" + (f", saw {_short(seen)}" if seen is not None else ""))
        self.seen.append(expected)

    def measure(self, what: str, value: float, comparison: str, limit: float, unit: str = "") -> None:
        """Keeps a figure and its limit, or raises Violation when it is beyond."""
        text = f"{what} {_figure(value)}{unit and ' ' + unit}"
        if not COMPARISONS[comparison](value, limit):
            raise Violation(f"{text}, where {comparison} {_figure(limit)}{unit and ' ' + unit} was promised")
        self.seen.append(f"{text} {comparison} {_figure(limit)}{unit and ' ' + unit}")


def expect(holds: object, expected: str, seen: object = None) -> None:
    """Raises Violation unless it holds; for what need not be told when it does."""
    if not holds:
        raise Violation(f"expected {expected}" + (f", saw {_short(seen)}" if seen is not None else ""))


def need(value: str | None, entry: str) -> str:
    """The value of an entry of factors.toml; raises NotRun when it is missing."""
    if not value:
        raise NotRun(f"factors.toml has no {entry}")
    return value


def _figure(value: float) -> str:
    return f"{value:g}" if float(value).is_integer() or abs(value) >= 100 else f"{value:.2g}"


def _short(seen: object, limit: int = 600) -> str:
    text = str(seen)
    return text if len(text) <= limit else f"{text[:limit]} …"
