"""How a run looks in a terminal while it goes on, and what it says in the end.

In a terminal, each claim that ends leaves a line, and below them a board shows all factors, what is running and for how
long. Anywhere else, as in CI, there is one plain line a claim. Both end with the same summary.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from .results import Claim, Result, Run, Verdict
from .terminal.board import FRAMES_A_SECOND, State, board
from .terminal.closing import closing
from .terminal.rows import TOLD_AT_ONCE, failure, mark, row, seconds, statement
from .wording import OF_CLAIM, plain

WIDEST = 110  # columns: the seconds stay near what took them


class _Console(Console):
    """Falls silent where nobody reads any more; what is found is still written down."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


def console_for(file: TextIO) -> Console:
    """A console that draws only on a terminal: what a CI server sets to force colours does not make it one."""
    if isinstance(file, TextIOWrapper):
        file.reconfigure(errors="replace")  # an old encoding may lack the marks; the words stand beside them
    terminal = file.isatty()
    width = None if terminal else WIDEST
    return _Console(file=file, force_terminal=terminal, width=width, highlight=False, emoji=False, markup=False)


class Progress:
    """Shows a run; `finish` sums it up. Whatever happens, leaving it gives the terminal back.

    One lock is for what is known and for all that is drawn: two threads that draw at once leave pieces of the board.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or console_for(sys.stdout)
        self._state = State()
        self._lock = threading.RLock()
        self._live: Live | None = None
        self._left = threading.Event()
        self._turning = threading.Thread(target=self._turn, daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self._stop()

    def start(self, claims: Sequence[Claim]) -> None:
        """Begins: these claims will run."""
        self._state = State(tuple(sorted(claims, key=lambda claim: claim.order)))
        if self._drawing:
            self._live = Live(
                get_renderable=self._board,
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
            self._turning.start()

    def began(self, claim_id: str) -> None:
        """An experiment has begun."""
        with self._lock:
            self._state.began[claim_id] = time.monotonic()

    def ended(self, result: Result) -> None:
        """An experiment has come to a verdict."""
        with self._lock:
            self._state.ended[result.claim.id] = result.verdict
            if self._drawing:
                self._console.print(_line(result, self._width))
            else:
                self._console.print(_plain_line(result), soft_wrap=True)

    def finish(self, run: Run) -> None:
        """Ends, with what the run has come to."""
        self._stop()
        content = Group("", *closing(run, self._width))
        if self._drawing:
            self._console.print(content, width=self._width)
        else:
            with self._console.capture() as captured:
                self._console.print(content)
            self._console.print(re.sub(r" +$", "", captured.get(), flags=re.MULTILINE), end="", soft_wrap=True)

    @property
    def _drawing(self) -> bool:
        return self._console.is_terminal and not self._console.is_dumb_terminal

    @property
    def _width(self) -> int:
        return min(self._console.width, WIDEST)

    def _board(self) -> RenderableType:
        return board(self._state, self._width, self._console.height)

    def _turn(self) -> None:
        while not self._left.wait(1 / FRAMES_A_SECOND):
            with self._lock:
                if self._live:
                    self._live.refresh()

    def _stop(self) -> None:
        self._left.set()
        with self._lock:
            if self._live:
                self._live.stop()
                self._live = None


def _plain_line(result: Result) -> str:
    said = plain(result.reason) if result.verdict is not Verdict.PASS else _first(result)
    verdict = "n/a" if result.verdict is Verdict.NOT_APPLICABLE else OF_CLAIM[result.verdict]
    return f"{verdict:<8}  {result.claim.id:<8}  {_cut(said, 300)} ({seconds(result.seconds)})"


def _line(result: Result, width: int) -> RenderableType:
    """What stays of a claim that has ended; of a failure, all that is known."""
    if result.verdict in TOLD_AT_ONCE:
        return failure(result, width)
    if result.verdict is Verdict.PASS:
        said = Text.assemble(_first(result), (f"   {statement(result.claim)}", "dim"))
    else:
        said = Text(f"{OF_CLAIM[result.verdict]}: {plain(result.reason)}", "dim")
    said.no_wrap, said.overflow = True, "ellipsis"
    return row(mark(result.verdict), result.claim.id, said, result.seconds, width)


def _first(result: Result) -> str:
    """What a passed claim is best known by: its first observed value."""
    return plain(result.observed[0]) if result.observed else plain(result.claim.threshold)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
