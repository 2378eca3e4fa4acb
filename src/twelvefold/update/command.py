"""The commands `twelvefold update` and `twelvefold undo`, from their arguments to what they print."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..wording import shown
from .ending import Ending, ending_as_by_an_interrupt
from .git import GitError, Refusal, Stopped
from .newest import become_newest
from .options import Options
from .service import find_repository
from .summary import REFUSED, Summary, as_data, as_pull_request, as_text
from .template import without_password
from .undoing import undo_update
from .updating import update_service

INTERRUPTED = 130


def update(
    paths: Sequence[Path],
    *,
    to: str | None = None,
    data: Sequence[str] = (),
    check: bool = False,
    yes: bool = False,
    derive: bool = False,
    as_json: bool = False,
    body: Path | None = None,
) -> int:
    """Updates each service on its own, says what happened, and returns the worst exit code, or 130 when stopped.

    Who stops it stops it for all services that are left.
    """
    try:
        options = Options(to, answers(data), check, yes, derive)
        if body is not None:
            _require_place(body, paths)
    except Refusal as refusal:
        sys.stderr.write(f"{refusal}\n")
        return 2
    summaries: list[Summary] = []
    try:
        with ending_as_by_an_interrupt() as ending:
            for path in paths:
                ending.end_if_wanted()
                summaries.append(summary := _refusing(path, options, ending))
                if not as_json:
                    telling(partial(_tell, summary))
        code = max(summary.exit_code for summary in summaries)
    except (KeyboardInterrupt, Stopped):
        left = ", ".join(map(str, paths[len(summaries) :]))
        sys.stderr.write(f"Stopped; as it was: {left or 'nothing'}.\n")
        code = INTERRUPTED
    if as_json:
        telling(lambda: print(as_json_text([as_data(summary) for summary in summaries])))
    if body is not None:
        # A name need not be text; the update is made by now, so that it must not keep it from being told.
        text = "\n".join(as_pull_request(summary) for summary in summaries)
        telling(partial(body.write_text, text, "utf-8", "backslashreplace"))
    return code


def telling(tell: Callable[[], object]) -> None:
    """Tells what was done, which stays done where there is no room to tell it."""
    try:
        tell()
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stderr.write(f"What was done could not be told: {error}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python tries again when it ends


def let_the_newest_release_do_it(path: Path, yes: bool) -> int:
    """Becomes the newest release's command, with the same arguments; else returns 0, 2 refused, 130 stopped."""
    try:
        become_newest(find_repository(path), sys.argv[1:], yes=yes)
    except (KeyboardInterrupt, Stopped):
        sys.stderr.write("Stopped; nothing was changed.\n")
        return INTERRUPTED
    except (Refusal, GitError, OSError) as error:
        sys.stderr.write(f"{path}: nothing was done. {without_password(str(error))}\n")
        return 2
    return 0


def undo(path: Path) -> int:
    """Takes the last update of a service back; returns the exit code."""
    try:
        with ending_as_by_an_interrupt():
            told = undo_update(find_repository(path))
    except (Refusal, GitError, OSError) as error:
        sys.stderr.write(f"{path}: nothing was undone. {error}\n")
        return 2
    telling(partial(sys.stdout.write, told))
    return 0


def as_json_text(data: Any) -> str:
    """Data as JSON, in which an answer, or a key of one, may be anything that YAML has."""
    return json.dumps(_with_texts_as_keys(data), indent=2, default=str)


def _with_texts_as_keys(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(key): _with_texts_as_keys(value) for key, value in data.items()}
    return [_with_texts_as_keys(one) for one in data] if isinstance(data, list | tuple) else data


def answers(given: Sequence[str]) -> dict[str, str]:
    """The answers on the command line. Raises Refusal for one that has no `=`."""
    pairs = [text.partition("=") for text in given]
    for question, equals, answer in pairs:
        if not equals:
            raise Refusal(f"-d {question}{answer} lacks an answer, as in -d python=3.13")
    return {question: answer for question, _, answer in pairs}


def _require_place(body: Path, services: Sequence[Path]) -> None:
    """Raises Refusal where a text cannot be written, or would be a file of a service, before anything is begun."""
    for service in services:
        if body.resolve().is_relative_to(service.resolve()):
            raise Refusal(f"--body {body} lies in the service {service}: name a file outside of it.")
    if body.is_dir():
        raise Refusal(f"--body {body} is a folder: name a file.")
    if not body.parent.is_dir():
        raise Refusal(f"--body {body} cannot be written: there is no folder {body.parent}.")
    if not os.access(body if body.exists() else body.parent, os.W_OK):
        raise Refusal(f"--body {body} cannot be written: you have no right to.")


def _tell(summary: Summary) -> None:
    lines = [shown(line.expandtabs(4)) for line in as_text(summary).split("\n")]
    (sys.stderr if summary.outcome == REFUSED else sys.stdout).write("\n".join(lines))


def _refusing(path: Path, options: Options, ending: Ending) -> Summary:
    """What was done, or why nothing was. Raises Stopped or KeyboardInterrupt when a person stops it."""
    try:
        with ending.scratch("twelvefold-update-") as scratch:
            return update_service(find_repository(path), scratch, options)
    except Stopped:
        raise
    except Refusal as refusal:
        reason = str(refusal)
    except (GitError, OSError) as error:
        reason = f"It stopped half-way, and all is as it was: {without_password(str(error))}"
    except Exception as error:  # one odd service must not keep the others from being updated
        said = without_password(f"{type(error).__name__}: {error}")
        reason = f"It stopped half-way, and all is as it was: {said}"
    return Summary(str(path), REFUSED, reason=reason)
