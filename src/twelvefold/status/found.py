"""What was found of a service, before anything is concluded from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

PAGE_FILE = "TWELVE_FACTOR.md"

EVIDENCE, PAGE = "evidence", "page"


@dataclass(frozen=True)
class Proof:
    """When a service was proved: by the evidence of the run, else by the last change of the page.

    `at_least` says that the page is older, by an unknown time: its change lies before the history that was fetched.
    """

    date: datetime
    by: str
    at_least: bool = False


@dataclass(frozen=True)
class Found:
    """The files that tell of a service (None: there is none), or why it cannot be reached."""

    answers: bytes | None = None
    page: bytes | None = None
    proof: Proof | None = None
    is_interrupted: bool = False
    """Whether an update has ended half-way there, so that what lies there is of two versions."""
    unreachable: str = ""
