"""The board that shows a run while it goes on: all factors, what is running and for how long, how far it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..results import FACTORS, OWN, Claim, Verdict
from ..wording import duration
from .rows import TOLD_AT_ONCE, mark, row, statement

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAMES_A_SECOND = 10
TWO_COLUMNS = 76  # columns of a terminal, from which the factors are in two


@dataclass
class State:
    """What is known of a run while it goes on; times are those of the monotonic clock."""

    claims: tuple[Claim, ...] = ()
    began: dict[str, float] = field(default_factory=dict)
    ended: dict[str, Verdict] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def running(self) -> list[Claim]:
        """The claims that have begun and not ended, the longest first."""
        found = [claim for claim in self.claims if claim.id in self.began and claim.id not in self.ended]
        return sorted(found, key=lambda claim: self.began[claim.id])


def board(state: State, width: int, height: int) -> RenderableType:
    """All factors, what is running, and how far the run is; never higher than the terminal."""
    factors = [factor for factor in (*FACTORS, OWN) if any(claim.factor == factor for claim in state.claims)]
    cells = [_factor_cell(state, factor) for factor in factors]
    columns = 2 if width >= TWO_COLUMNS else 1
    rows = -(-len(cells) // columns)
    grid = Table.grid(padding=(0, 4, 0, 0))
    for number in range(rows):
        grid.add_row(*cells[number::rows])
    space = max(1, height - rows - 5)
    return Group("", Padding(grid, (0, 0, 0, 1)), "", *_running(state, width, space), _bar(state, width))


def _factor_cell(state: State, factor: str) -> RenderableType:
    claims = [claim for claim in state.claims if claim.factor == factor]
    marks = Text(" ").join(_claim_mark(state, claim) for claim in claims)
    active = any(claim.id in state.began for claim in claims)
    name = FACTORS.get(factor, factor)
    cell = Table.grid(padding=(0, 1, 0, 0))
    cell.add_column(width=5, style="bold" if active else "dim")
    cell.add_column(width=19, style="" if active else "dim", no_wrap=True)
    cell.add_column(no_wrap=True)
    cell.add_row(factor if factor in FACTORS else "", name, marks)
    return cell


def _claim_mark(state: State, claim: Claim) -> Text:
    if claim.id in state.ended:
        return mark(state.ended[claim.id])
    return Text(_spinner(), "cyan") if claim.id in state.began else Text("·", "dim")


def _running(state: State, width: int, space: int) -> Iterator[RenderableType]:
    running = state.running
    shown = running if len(running) <= space else running[: space - 1]
    for claim in shown:
        promise = Text(statement(claim), no_wrap=True, overflow="ellipsis")
        taken = time.monotonic() - state.began[claim.id]
        yield row(Text(_spinner(), "cyan"), Text(claim.id, "cyan"), promise, taken, width)
    if len(shown) < len(running):
        yield Text(f"   and {len(running) - len(shown)} more", "dim")


def _bar(state: State, width: int) -> RenderableType:
    total, done = len(state.claims), len(state.ended)
    failed = any(verdict in TOLD_AT_ONCE for verdict in state.ended.values())
    colour = "red" if failed else "green"
    bar = ProgressBar(total=max(total, 1), completed=done, complete_style=colour, finished_style=colour, style="dim")
    line = Table.grid(padding=(0, 1, 0, 0))
    line.width = width
    line.add_column(ratio=1)
    line.add_column(justify="right", no_wrap=True)
    line.add_column(width=11, justify="right", style="dim", no_wrap=True)
    line.add_row(Padding(bar, (0, 1, 0, 1)), f"{done} of {total}", duration(time.monotonic() - state.started))
    return Padding(line, (1, 0, 0, 0))


def _spinner() -> str:
    return SPINNER[int(time.monotonic() * FRAMES_A_SECOND) % len(SPINNER)]
