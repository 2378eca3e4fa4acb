"""Looks at a service in a folder of this machine: at what lies there, whether or not it is committed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from ..update.git import GitError, Refusal, say
from ..update.service import ANSWERS_FILE, find_repository
from ..update.transition import is_left_half_way
from .found import EVIDENCE, PAGE, PAGE_FILE, Found, Proof

EVIDENCE_FILE = ".twelvefold/twelve-factor.json"


def look(folder: Path) -> Found:
    """What there is of a service, or why it cannot be read."""
    if not folder.is_dir():
        return Found(unreachable="there is no such folder")
    try:
        answers, page = (_content(folder / name) for name in (ANSWERS_FILE, PAGE_FILE))
        proof = None if page is None else _last_run(folder) or _last_change(folder)
        return Found(answers, page, proof, _is_interrupted(folder))
    except OSError as error:
        return Found(unreachable=str(error))


def _is_interrupted(folder: Path) -> bool:
    try:
        return is_left_half_way(find_repository(folder))
    except (GitError, Refusal):
        return False


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _last_run(folder: Path) -> Proof | None:
    """By the evidence, when that is of a run of all claims and can be read."""
    try:
        evidence = json.loads((folder / EVIDENCE_FILE).read_text("utf-8"))
        complete, began = evidence["complete"], datetime.fromisoformat(evidence["date"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if complete is not True:
        return None
    return Proof(began if began.tzinfo else began.replace(tzinfo=UTC), EVIDENCE)


def _last_change(folder: Path) -> Proof | None:
    """By the page's last commit, when there is one."""
    try:
        log = ("log", "-1", "--first-parent", "--no-show-signature", "--format=%ct", "--", PAGE_FILE)
        return Proof(datetime.fromtimestamp(int(say(folder, *log)), UTC), PAGE)
    except (GitError, ValueError, OverflowError, OSError):  # no commit, or one with a date that no calendar has
        return None
