"""The table for programs; `status.schema.json` says what each part means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from ..update.template import without_password
from .found import Proof
from .standing import Standing, age_in_days
from .templates import Releases


def document(standings: Sequence[Standing], releases: Mapping[str, Releases], now: datetime) -> dict[str, Any]:
    """All that the table says, and the template's releases that it counts by."""
    return {
        "schema": 1,
        "date": now.isoformat(timespec="seconds"),
        "need_care": sum(standing.needs_care for standing in standings),
        "templates": [_template(source, asked) for source, asked in sorted(releases.items())],
        "services": [_service(standing, now) for standing in standings],
    }


def _template(source: str, releases: Releases) -> dict[str, Any]:
    versions = sorted(releases.versions, key=lambda version: version.numbers or (0, 0, 0), reverse=True)
    return {
        "template": without_password(source),
        "releases": [version.said for version in versions],
        "error": without_password(releases.error),
    }


def _service(standing: Standing, now: datetime) -> dict[str, Any]:
    card = standing.scorecard
    return {
        "service": standing.place.name,
        "place": standing.place.shown,
        "needs_care": standing.needs_care,
        "unreachable": standing.unreachable,
        "template": standing.template,
        "version": standing.version,
        "newest": standing.newest,
        "behind": standing.behind,
        "drift": asdict(standing.drift) if standing.drift else None,
        "scorecard": {"line": card.line, "failed": list(card.failed), "edited": card.edited} if card else None,
        "proof": _proof(standing.proof, now) if standing.proof else None,
        "notes": list(standing.notes),
    }


def _proof(proof: Proof, now: datetime) -> dict[str, Any]:
    return {
        "date": proof.date.isoformat(timespec="seconds"),
        "days": age_in_days(proof, now),
        "by": proof.by,
        "at_least": proof.at_least,
    }
