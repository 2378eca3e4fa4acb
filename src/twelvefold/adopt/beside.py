"""Shows two versions of a file side by side."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher

from rich.table import Table
from rich.text import Text

from .comparison import Both

CONTEXT = 2  # lines around a difference
SHORTENED = 40  # lines that are shown unless somebody wants them all
GREY, OURS, STANDARD = "bright_black", "yellow", "green"

Side = tuple[int, str]  # a line's number and text
Row = tuple[Side | None, Side | None, str]  # ours, the standard's, and what stands between them


def side_by_side(both: Both, *, whole: bool = False) -> Table:
    """A table of the lines that differ, with some around them; shortened unless it shall be `whole`.

    Between the sides stands `|` for a line that differs, `<` and `>` for one that only that side has.
    """
    table = Table(expand=True, box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("", justify="right", style=GREY, no_wrap=True)
    table.add_column(Text("yours", style=OURS), ratio=1, overflow="fold")
    table.add_column("", style=GREY, no_wrap=True)
    table.add_column("", justify="right", style=GREY, no_wrap=True)
    table.add_column(Text("the standard's", style=STANDARD), ratio=1, overflow="fold")
    if b"\0" in both.ours + both.standard:
        table.add_row("", f"not text, {len(both.ours)} bytes", "|", "", f"not text, {len(both.standard)} bytes")
        return table
    rows = list(_rows(_lines(both.ours), _lines(both.standard)))
    shown = rows if whole else rows[:SHORTENED]
    for ours, standard, mark in shown:
        differ = mark in ("|", "<", ">")
        table.add_row(*_cells(ours, OURS if differ else ""), mark, *_cells(standard, STANDARD if differ else ""))
    if len(shown) < len(rows):
        table.add_row("", Text(f"… {len(rows) - len(shown)} more lines", style=GREY))
    return table


def _rows(ours: list[str], standard: list[str]) -> Iterator[Row]:
    matcher = SequenceMatcher(None, ours, standard, autojunk=False)
    for number, group in enumerate(matcher.get_grouped_opcodes(CONTEXT)):
        if number:
            yield None, None, "…"
        for kind, a, a_end, b, b_end in group:
            for step in range(max(a_end - a, b_end - b)):
                left = (a + step + 1, ours[a + step]) if a + step < a_end else None
                right = (b + step + 1, standard[b + step]) if b + step < b_end else None
                yield left, right, "" if kind == "equal" else "|" if left and right else "<" if left else ">"


def _cells(side: Side | None, style: str) -> tuple[Text, Text]:
    if side is None:
        return Text(""), Text("")
    number, line = side
    return Text(str(number)), Text(line, style=style)


def _lines(content: bytes) -> list[str]:
    """The lines as they can be shown: a file's control characters are not for this terminal."""
    lines = content.decode("utf-8", "replace").splitlines()
    return ["".join(one if one.isprintable() else "\ufffd" for one in line.expandtabs(4)) for line in lines]
