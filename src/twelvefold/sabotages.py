"""Which checks have shown that they can fail: how many sabotages each claim was caught by.

`nox -s sabotage` plants each sabotage alone in a healthy service and keeps in `sabotages.json` how many each claim has
turned red for:

    {"date": "2026-11-26", "suite_hash": "sha256:…", "caught": {"IX.2": 3, "IX.3": 2}}

A pass of a check that has never caught anything is worth nothing, so it is not shown as one. That also holds while the
file is missing: then no check has shown anything yet. A team's own claims are its own affair, and exempt. Counts from
another state of the suite than the one that runs stand, and the page says so; a release has them anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from .results import OWN, Claim, Result, Run, Verdict

FILE = Path(__file__).with_name("sabotages.json")
UNPROVEN = "no sabotage has shown that this check can fail"


@dataclass(frozen=True)
class Sabotages:
    """What the last run of all sabotages has found."""

    date: str = ""
    suite_hash: str = ""
    """The state of the suite that caught them."""
    caught: Mapping[str, int] = field(default_factory=dict)
    """How many sabotages turned each claim red, by its id."""

    def of(self, claim: Claim) -> int | None:
        """How many the claim has caught; None where none are asked for."""
        return None if claim.factor == OWN else self.caught.get(claim.id, 0)


def load(path: Path = FILE) -> Sabotages:
    """Reads the counts; without the file there are none. Raises ValueError when it is not what the session writes."""
    if not path.exists():
        return Sabotages()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        date, suite_hash, caught = str(found["date"]), str(found["suite_hash"]), dict(found["caught"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path.name} is not what `nox -s sabotage` writes; run it again: {error}") from None
    for claim, number in caught.items():
        if type(number) is not int or number < 0:
            raise ValueError(
                f"{path.name}: {claim} cannot have caught {number!r} sabotages; run `nox -s sabotage` again"
            )
    return Sabotages(date, suite_hash, caught)


def proven(run: Run, sabotages: Sabotages) -> Run:
    """The run as it may be shown: a pass of a check that has never caught a sabotage is `not_run`."""
    return replace(run, results=[_proven(result, sabotages) for result in run.results])


def _proven(result: Result, sabotages: Sabotages) -> Result:
    if result.verdict is Verdict.PASS and sabotages.of(result.claim) == 0:
        return replace(result, verdict=Verdict.NOT_RUN, reason=UNPROVEN)
    return result
