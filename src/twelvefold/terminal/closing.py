"""What a run says in the end: each factor, what failed and how to repeat it, what did not run and why."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..results import FACTORS, Result, Run, Verdict, worst
from ..wording import duration, of_factor, plain, summary
from .rows import COLOURS, TOLD_AT_ONCE, failure, mark

UNSEEN = {
    Verdict.NOT_RUN: "What did not run",
    Verdict.ATTESTED: "What people vouch for",
    Verdict.NOT_APPLICABLE: "What does not apply",
}


def closing(run: Run, width: int) -> Iterator[RenderableType]:
    """The whole summary; what matters most comes last, where the eye is."""
    results = [result for factor in run.factors for result in run.of_factor(factor)]
    yield _verdicts(run)
    for verdict, heading in UNSEEN.items():
        yield from _unseen(verdict, heading, results)
    yield from _failed(run, results, width)
    yield ""
    yield from _last_lines(run)


def _failed(run: Run, results: list[Result], width: int) -> Iterator[RenderableType]:
    failed = [result for result in results if result.verdict in TOLD_AT_ONCE]
    if failed:
        yield from ("", Text(" What failed", "bold"))
    for number, result in enumerate(failed):
        seen = [("also saw", plain(observed)) for observed in result.observed]
        yield from [""] if number else []
        yield failure(result, width, *seen, ("again", run.command(result.claim)))


def _unseen(verdict: Verdict, heading: str, results: list[Result]) -> Iterator[RenderableType]:
    """What came to no verdict of its own, said once for all claims that have the reason in common."""
    claims: dict[str, list[str]] = {}
    for result in results:
        if result.verdict is verdict:
            claims.setdefault(plain(result.reason), []).append(result.claim.id)
    if claims:
        yield from ("", Text(f" {heading}", "bold"))
    for reason, ids in claims.items():
        line = Table.grid(padding=(0, 1, 0, 0))
        line.add_row(mark(verdict), Text.assemble((", ".join(ids), "bold"), f"  {reason}"))
        yield Padding(line, (0, 0, 0, 1))


def _verdicts(run: Run) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    for factor in run.factors:
        results = run.of_factor(factor)
        verdict = worst(results)
        marks = Text(" ").join(mark(result.verdict) for result in results)
        numeral = Text(factor if factor in FACTORS else "", "bold")
        said = Text(of_factor(factor, verdict), COLOURS[verdict])
        table.add_row(mark(verdict), numeral, FACTORS.get(factor, factor), said, marks)
    return Padding(table, (0, 0, 0, 1))


def _last_lines(run: Run) -> Iterator[RenderableType]:
    verdict = worst(run.results)
    yield Padding(Text(summary(run), f"bold {COLOURS[verdict].removeprefix('bold ')}"), (0, 0, 0, 1))
    claims = "1 claim" if len(run.results) == 1 else f"{len(run.results)} claims"
    yield Text(f" {claims} about {plain(run.service)} in {duration(run.seconds)}", "dim")
