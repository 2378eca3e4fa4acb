"""The table for people: in colours and as wide as a terminal, or plain with one line a service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TextIO

from .standing import Drift, Standing, age_in_days

COLUMNS = ("Service", "Version", "Behind", "Drift", "Proved", "Scorecard")
NOT_KNOWN = "-"
BAD, WARNING, WELL, QUIET = "bold red", "yellow", "green", "dim"


@dataclass(frozen=True)
class Cell:
    """A text and how it is coloured on a terminal."""

    text: str
    style: str = ""


def write(standings: Sequence[Standing], now: datetime, file: TextIO) -> None:
    """Writes the table, and below it how many services need care, and why."""
    rows = [_cells(standing, now) for standing in standings]
    if file.isatty():
        _write_for_a_terminal(rows, _summary(standings), file)
    else:
        file.write(_plain(rows) + f"\n{_summary(standings).text}\n")


def _write_for_a_terminal(rows: Sequence[Sequence[Cell]], summary: Cell, file: TextIO) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from ..progress import console_for

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="right" if name == "Behind" else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell.text, cell.style) for cell in row))
    console = console_for(file)
    console.print(table)
    console.print()
    console.print(Text(summary.text, summary.style))


def _plain(rows: Sequence[Sequence[Cell]]) -> str:
    lines = [COLUMNS, *(tuple(cell.text for cell in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines)
    return "".join(f"{line.rstrip()}\n" for line in padded)


def _cells(standing: Standing, now: datetime) -> list[Cell]:
    name = Cell(standing.place.name, "bold" if standing.needs_care else "")
    if standing.unreachable:
        return [name, *[Cell(NOT_KNOWN, QUIET)] * 4, Cell(f"unreachable: {standing.unreachable}", BAD)]
    return [
        name,
        Cell(standing.version or NOT_KNOWN),
        _behind(standing),
        _drift(standing.drift),
        _proved(standing, now),
        _scorecard(standing),
    ]


def _behind(standing: Standing) -> Cell:
    if standing.behind is None:
        return Cell(NOT_KNOWN, QUIET)
    return Cell(str(standing.behind), WARNING if standing.behind else WELL)


def _drift(drift: Drift | None) -> Cell:
    if drift is None:
        return Cell(NOT_KNOWN, QUIET)
    counts = {"edited": drift.edited, "missing": drift.missing, "behind": drift.behind, "waived": drift.waived}
    said = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    return Cell(said or "none", WARNING if drift.total else WELL)


def _proved(standing: Standing, now: datetime) -> Cell:
    if standing.proof is None:
        return Cell(NOT_KNOWN, QUIET)
    days = age_in_days(standing.proof, now)
    said = f"{days} day{'' if days == 1 else 's'} ago"
    if standing.proof.at_least:
        return Cell(f"over {said}" if days else "today or before")
    return Cell(said if days else "today")


def _scorecard(standing: Standing) -> Cell:
    line = [standing.scorecard.line] if standing.scorecard else []
    style = BAD if standing.fails else WARNING if standing.notes else ""
    return Cell("; ".join([*standing.notes, *line]), style)


def _summary(standings: Sequence[Standing]) -> Cell:
    """The table in one line."""
    total = f"{len(standings)} {'service' if len(standings) == 1 else 'services'}"
    caring = sum(standing.needs_care for standing in standings)
    if not caring:
        return Cell(f"{total}, all well.", WELL)
    reasons = {
        "unreachable": sum(bool(standing.unreachable) for standing in standings),
        "failing": sum(standing.fails for standing in standings),
        "behind": sum(bool(standing.behind) for standing in standings),
        "drifted": sum(standing.drift is not None and standing.drift.total > 0 for standing in standings),
        "with a note": sum(bool(standing.notes) for standing in standings),
    }
    said = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
    return Cell(f"{total}, {caring} {'needs' if caring == 1 else 'need'} care" + (f": {said}." if said else "."))
