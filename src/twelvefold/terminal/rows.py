"""What the display of a run and its summary have in common: marks, rows and how a failure is told."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..results import Claim, Result, Verdict
from ..wording import MARKS, plain

# Of the sixteen colours that a terminal's owner chooses, so that they suit a light and a dark one.
COLOURS = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "bold red",
    Verdict.NOT_RUN: "yellow",
    Verdict.NOT_APPLICABLE: "dim",
    Verdict.ATTESTED: "cyan",
}
TOLD_AT_ONCE = (Verdict.FAIL, Verdict.ERROR)


def mark(verdict: Verdict) -> Text:
    """The sign of a verdict, in its colour."""
    return Text(MARKS[verdict], COLOURS[verdict])


def statement(claim: Claim) -> str:
    """What a claim promises, without the marks of code."""
    return plain(claim.statement).replace("`", "")


def seconds(taken: float) -> str:
    """A time that fits into a narrow column."""
    return f"{taken:.1f} s" if taken < 9.95 else f"{taken:.0f} s"


def row(sign: Text, claim: str | Text, said: Text, taken: float, width: int) -> Table:
    """A line about a claim, with the seconds that it took at the right."""
    line = Table.grid(padding=(0, 1, 0, 0))
    line.width = width
    line.add_column(width=2, justify="right")
    line.add_column(min_width=8, no_wrap=True)
    line.add_column(ratio=1)
    line.add_column(width=6, justify="right", style="dim", no_wrap=True)
    line.add_row(sign, claim, said, seconds(taken))
    return line


def failure(result: Result, width: int, *more: tuple[str, str]) -> RenderableType:
    """A claim that failed: what was promised, what was found, and more of such lines."""
    style = COLOURS[result.verdict]
    promise = Text(statement(result.claim), "bold")
    head = row(mark(result.verdict), Text(result.claim.id, style), promise, result.seconds, width)
    found = "found" if result.verdict is Verdict.FAIL else "error"
    details = Table.grid(padding=(0, 2, 0, 0))
    details.add_column(width=8, style="dim")
    details.add_column(overflow="fold")
    for name, value in (("promised", plain(result.claim.threshold)), (found, plain(result.reason)), *more):
        details.add_row(name, Text(value, style="red" if name in ("found", "error") else ""))
    return Group(head, Padding(details, (0, 0, 0, 12)))
