"""Judges what was found of a service: where it stands, and whether that needs care."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from math import inf
from typing import Any

import yaml

from ..page import failed, first_line, verify
from ..update.template import Version, is_relative, without_password
from ..wording import plain
from .found import Found, Proof
from .places import Place
from .templates import Releases

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is there
MOST_ANSWERS = 64 * 1024  # bytes; what is nested costs the parser the square of its depth
NO_TEMPLATE, NO_SCORECARD, EDITED = "no template", "no scorecard", "its scorecard was edited by hand"
INTERRUPTED = "an update of it was interrupted: twelvefold undo brings it back as it was"


@dataclass(frozen=True)
class Drift:
    """How many standard files differ from the template's, by kind; a waived one needs no care."""

    edited: int
    missing: int
    behind: int
    waived: int

    @property
    def total(self) -> int:
        """The files that the team has changed, and that nobody has waived; one that is only behind is no drift."""
        return self.edited + self.missing


@dataclass(frozen=True)
class Scorecard:
    """What a page says in its first line, and the claims that failed."""

    line: str
    failed: tuple[str, ...]
    edited: bool


@dataclass(frozen=True)
class Standing:
    """Where a service stands. None stands for what is not there or cannot be told; the notes then say why."""

    place: Place
    unreachable: str = ""
    template: str | None = None
    version: str | None = None
    newest: str | None = None
    behind: int | None = None
    drift: Drift | None = None
    scorecard: Scorecard | None = None
    proof: Proof | None = None
    notes: tuple[str, ...] = ()

    @property
    def fails(self) -> bool:
        """Whether its scorecard shows a claim that failed."""
        return self.scorecard is not None and bool(self.scorecard.failed)

    @property
    def needs_care(self) -> bool:
        """Whether somebody has to do something about it; the age of its proof alone is no reason."""
        drifted = self.drift is not None and self.drift.total > 0
        return bool(self.unreachable or self.notes or self.fails or self.behind or drifted)


@dataclass(frozen=True)
class Recorded:
    """Which template a service has, and in which version."""

    source: str
    version: Version


@cache
def recorded(answers: bytes | None) -> Recorded | str:
    """What an answers file says of its template, or why it does not."""
    if answers is None:
        return NO_TEMPLATE
    if len(answers) > MOST_ANSWERS:
        return "its .copier-answers.yml is too large to be one"
    try:
        said = _top_of(answers)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError):
        return "its .copier-answers.yml cannot be read"
    source, version = said.get("_src_path"), said.get("_commit")
    if not source or not version:
        return "its .copier-answers.yml does not say which template and version it has"
    if is_relative(source):
        return f"its template cannot be asked: its .copier-answers.yml has a relative _src_path: {source}"
    return Recorded(source, Version("", version))


def _top_of(answers: bytes) -> dict[str | None, str | None]:
    """The texts at the top of a YAML mapping; None stands for what is no text.

    It is read part by part: one that is nested a hundred thousand times would end the process that puts it together.
    """
    items: list[str | None] = []
    depth = 0
    for event in yaml.parse(answers, LOADER):
        if depth == 0 and isinstance(event, yaml.SequenceStartEvent):
            return {}
        if depth == 1 and isinstance(event, yaml.NodeEvent):
            items.append(event.value if isinstance(event, yaml.ScalarEvent) else None)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
    return dict(zip(items[::2], items[1::2], strict=True))


def judge(
    place: Place, found: Found, releases: Mapping[str, Releases], drift: Drift | None = None, drift_error: str = ""
) -> Standing:
    """Where a service stands, by what was found and by the releases of its template."""
    if found.unreachable:
        return Standing(place, plain(without_password(found.unreachable)))
    known: dict[str, Any] = {}
    notes = [INTERRUPTED] if found.is_interrupted else []
    match recorded(found.answers):
        case str(reason):
            notes.append(reason)
        case has:
            shown = releases[has.source]
            known = _version(has, shown)
            notes += _about_version(has, shown)
    scorecard = _scorecard(found.page)
    if scorecard is None:
        notes.append(NO_SCORECARD)
    elif scorecard.edited:
        notes.append(EDITED)
    if drift_error:
        notes.append(f"its drift cannot be told: {drift_error}")
    cleaned = tuple(plain(without_password(note)) for note in notes)
    return Standing(place, drift=drift, scorecard=scorecard, proof=found.proof, notes=cleaned, **known)


def sorted_by_care(standings: list[Standing], now: datetime) -> list[Standing]:
    """What needs care first: unreachable, failing, most behind, drifted, proved longest ago."""
    return sorted(standings, key=lambda standing: _urgency(standing, now))


def age_in_days(proof: Proof, now: datetime) -> int:
    """Whole days since a proof; none for one of tomorrow, by another machine's clock."""
    return max(0, (now - proof.date).days)


def _urgency(standing: Standing, now: datetime) -> tuple[object, ...]:
    age = age_in_days(standing.proof, now) if standing.proof else inf
    drifted = standing.drift.total if standing.drift else 0
    return (
        not standing.unreachable,
        not standing.fails,
        -(standing.behind or 0),
        -drifted,
        not standing.notes,
        -age,
        standing.place.name,
    )


def _version(has: Recorded, releases: Releases) -> dict[str, Any]:
    newest = releases.newest
    return {
        "template": without_password(plain(has.source)),
        "version": plain(has.version.said),
        "newest": newest.said if newest else None,
        "behind": releases.after(has.version),
    }


def _about_version(has: Recorded, releases: Releases) -> list[str]:
    if releases.error:
        return [f"its template cannot be asked: {releases.error}"]
    if has.version.numbers is None:
        return ["its version is no release of the template, nor later than one"]
    return []


def _scorecard(page: bytes | None) -> Scorecard | None:
    if page is None or not page.strip():
        return None
    text = page.decode("utf-8", "replace")
    return Scorecard(plain(first_line(text)), tuple(failed(text)), verify(text) is not None)
