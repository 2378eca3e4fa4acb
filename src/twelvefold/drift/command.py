"""The command `twelvefold drift`, from its arguments to what it prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ..update.ending import ending_as_by_an_interrupt
from ..update.git import GitError, Refusal, Stopped, say
from ..update.template import without_password
from ..wording import shown
from .comparing import Options, drift_of_commit
from .comparing import drift as drift_of
from .findings import Drift
from .telling import Refused, as_data, lines

NO_DRIFT, DRIFT, NOT_LOOKED, INTERRUPTED = 0, 1, 2, 130


def drift(
    paths: Sequence[Path],
    *,
    diffs: bool = False,
    everything: bool = False,
    or_behind: bool = False,
    yes: bool = False,
    as_json: bool = False,
) -> int:
    """Looks at each service on its own, says what was found, and returns the worst exit code."""
    options = Options(diffs=diffs, trusted=yes)
    found: list[Drift | Refused] = []
    try:
        with ending_as_by_an_interrupt():
            for path in paths:
                found.append(one := _look(path, options))
                if not as_json:
                    _tell(one, everything=everything, again=len(found) > 1)
    except (KeyboardInterrupt, Stopped):
        sys.stderr.write("Stopped; nothing was changed.\n")
        return INTERRUPTED
    code = max(_exit_code(one, or_behind=or_behind) for one in found)
    if as_json:
        sys.stdout.write(json.dumps(as_data(found, code), indent=2) + "\n")
    return code


def _look(path: Path, options: Options) -> Drift | Refused:
    """What was found out about a service, or why nothing was. Of a bare repository the newest commit is looked at."""
    try:
        return drift_of_commit(path, options=options) if _is_bare(path) else drift_of(path, options)
    except Stopped:
        raise
    except Refusal as refusal:
        return Refused(str(path), str(refusal))
    except (GitError, OSError) as error:
        return Refused(str(path), f"It stopped half-way: {without_password(str(error))}")
    except Exception as error:  # one odd service must not keep the others from being looked at
        return Refused(str(path), f"It stopped half-way: {without_password(f'{type(error).__name__}: {error}')}")


def _is_bare(path: Path) -> bool:
    try:
        return path.is_dir() and say(path, "rev-parse", "--is-bare-repository") == "true"
    except (GitError, FileNotFoundError):  # no repository, or no git: what looks closer says so
        return False


def _exit_code(found: Drift | Refused, *, or_behind: bool) -> int:
    if isinstance(found, Refused):
        return NOT_LOOKED
    return DRIFT if found.has_drifted or (or_behind and found.releases_behind) else NO_DRIFT


def _tell(found: Drift | Refused, *, everything: bool, again: bool) -> None:
    if isinstance(found, Refused):
        sys.stderr.write(f"{shown(found.service)}: could not be looked at. {shown(found.reason)}\n")
        return
    console = Console(file=sys.stdout, highlight=False)
    for line in [*([""] if again else []), *lines(found, everything=everything)]:
        # A line stays a line, whatever the width: so it can be searched, copied and compared.
        console.print(line, soft_wrap=True)
