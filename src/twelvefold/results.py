"""What a run has found: a verdict for each claim, what was observed, and on what it ran."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

FACTORS = {
    "I": "Codebase",
    "II": "Dependencies",
    "III": "Config",
    "IV": "Backing services",
    "V": "Build, release, run",
    "VI": "Processes",
    "VII": "Port binding",
    "VIII": "Concurrency",
    "IX": "Disposability",
    "X": "Dev/prod parity",
    "XI": "Logs",
    "XII": "Admin processes",
    "XIII": "API contract",
    "XIV": "Telemetry",
}
OWN = "Own claims"  # the factor of claims that a team adds
TWELVE = [*FACTORS][:12]  # the rest goes beyond the twelve factors


class Verdict(StrEnum):
    """What an experiment says of a claim."""

    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"
    """The experiment itself went wrong, so it says nothing of the service."""
    NOT_RUN = "not_run"
    """Something that the experiment needs is missing; the reason says what."""
    NOT_APPLICABLE = "not_applicable"
    """The service has nothing that the claim speaks of."""
    ATTESTED = "attested"
    """No machine can see it; the reason says who vouches for it."""


# From the worst: what a factor's verdict is when its claims differ.
SEVERITY = (
    Verdict.FAIL,
    Verdict.ERROR,
    Verdict.NOT_RUN,
    Verdict.ATTESTED,
    Verdict.PASS,
    Verdict.NOT_APPLICABLE,
)


@dataclass(frozen=True)
class Claim:
    """One promise, and the limit that its experiment measures it by."""

    id: str
    statement: str
    threshold: str
    """The limit in words, with its unit, such as `exit within 10 s`."""
    fast: bool = False
    """Whether it is part of the short selection for pull requests."""
    seconds: float = 5
    """About how long its experiment takes: the longest begin first."""

    def __post_init__(self) -> None:
        """A statement begins as a sentence does, however its experiment has it."""
        object.__setattr__(self, "statement", f"{self.statement[:1].upper()}{self.statement[1:]}")

    @property
    def factor(self) -> str:
        """The factor's number, or `OWN`."""
        numeral = self.id.partition(".")[0]
        return numeral if numeral in FACTORS else OWN

    @property
    def order(self) -> tuple[int, int, str]:
        """Sorts claims as the factors are numbered."""
        numeral, _, number = self.id.partition(".")
        place = [*FACTORS].index(numeral) if numeral in FACTORS else len(FACTORS)
        return place, int(number) if number.isdigit() else 0, self.id


@dataclass
class Result:
    """What became of one claim."""

    claim: Claim
    verdict: Verdict
    reason: str = ""
    """Why it is not a pass: one sentence, or the failed expectation."""
    observed: list[str] = field(default_factory=list)
    """What was seen, each with its unit and limit, such as `boot 0.9 s < 10 s`."""
    seconds: float = 0.0
    log: str = ""
    """What the processes of the experiment wrote, and where it went wrong; for the evidence only."""


@dataclass
class Run:
    """All results, with what they were obtained from."""

    service: str
    commit: str
    changed: bool
    """Whether the work tree held changes that are not in the commit."""
    driver: str
    """`process`, or `image`."""
    artifact: str
    """The digest of what was run: of an image, or of the installed files."""
    suite: str
    """The version of Twelvefold."""
    suite_hash: str
    date: str
    seconds: float
    machine: dict[str, Any]
    """Hardware and versions, by name."""
    results: list[Result]
    complete: bool
    """Whether every claim was asked for: not with CLAIM= or FAST=1."""
    repeat: str = "make prove CLAIM={id}"
    """The command that repeats one claim, whose id takes the place of `{id}`, and the artifact's that of `{image}`."""

    @property
    def factors(self) -> list[str]:
        """The factors that this run speaks of, in order; when it is complete, also one without any result."""
        found = {one.claim.factor for one in self.results}
        return [factor for factor in (*FACTORS, OWN) if factor in found or (self.complete and factor != OWN)]

    def verdict(self, factor: str) -> Verdict:
        """The worst verdict of the factor's claims."""
        return worst(self.of_factor(factor))

    @property
    def again(self) -> str:
        """The command that repeats all of it."""
        return self.repeat.partition(" CLAIM=")[0].partition(" --claim")[0].replace("{image}", self.artifact)

    def command(self, claim: Claim) -> str:
        """The command that repeats a claim."""
        return self.repeat.replace("{id}", claim.id).replace("{image}", self.artifact)

    def of_factor(self, factor: str) -> list[Result]:
        """The results of one factor, in order."""
        return sorted((one for one in self.results if one.claim.factor == factor), key=lambda one: one.claim.order)


def worst(results: Iterable[Result]) -> Verdict:
    """The verdict of a factor: one failed claim fails it."""
    return min((result.verdict for result in results), key=SEVERITY.index, default=Verdict.NOT_RUN)
