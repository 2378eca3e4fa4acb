"""The command `twelvefold adopt`, from its arguments to what it prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..update.command import INTERRUPTED, answers, as_json_text, telling
from ..update.ending import ending_as_by_an_interrupt
from ..update.git import GitError, Refusal, Stopped
from ..update.options import Options
from ..update.rendering import at_a_terminal
from ..update.service import find_repository
from ..update.template import without_password
from .adopting import Wish, adopt_service
from .choices import Choices, Chooser, defaults
from .comparison import Comparison
from .summary import REFUSED, Summary, as_data, as_text


def adopt(
    path: Path,
    source: str,
    *,
    to: str | None = None,
    data: Sequence[str] = (),
    check: bool = False,
    diff: bool = False,
    yes: bool = False,
    as_json: bool = False,
) -> int:
    """Adopts a service, says what happened, and returns the exit code.

    It is 0 when it is done, 1 with conflicts, 2 when nothing was done, 130 when it was stopped.
    """
    asks = at_a_terminal() and not (yes or check or as_json)
    wish = Wish(source, asks, _chooser(asks=asks, diff=diff and not as_json))
    try:
        summary = _refusing(path, Options(to, answers(data), check, yes), wish)
    except (KeyboardInterrupt, Stopped):
        sys.stderr.write("Stopped; all is as it was.\n")
        return INTERRUPTED
    except Refusal as refusal:
        summary = Summary(str(path), REFUSED, reason=str(refusal))
    if as_json:
        telling(lambda: print(as_json_text(as_data(summary))))
    else:
        telling(partial((sys.stderr if summary.outcome == REFUSED else sys.stdout).write, as_text(summary)))
    return summary.exit_code


def _chooser(*, asks: bool, diff: bool) -> Chooser:
    if asks:
        from .asking import ask

        return ask
    return _show_then_defaults if diff else defaults


def _show_then_defaults(comparison: Comparison) -> Choices:
    from rich.console import Console

    from .asking import show_differences

    show_differences(comparison, Console(width=None if sys.stdout.isatty() else 100))
    return defaults(comparison)


def _refusing(path: Path, options: Options, wish: Wish) -> Summary:
    """What was done, or why nothing was. Raises Stopped or KeyboardInterrupt when a person stops it."""
    try:
        with ending_as_by_an_interrupt() as ending, ending.scratch("twelvefold-adopt-") as scratch:
            return adopt_service(find_repository(path), scratch, options, wish)
    except Stopped:
        raise
    except Refusal as refusal:
        reason = str(refusal)
    except (GitError, OSError) as error:
        reason = f"It stopped half-way, and all is as it was: {without_password(str(error))}"
    except Exception as error:  # a service may hold anything, and nothing was changed yet
        reason = f"It stopped half-way, and all is as it was: {without_password(f'{type(error).__name__}: {error}')}"
    return Summary(str(path), REFUSED, reason=reason)
