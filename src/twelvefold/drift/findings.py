"""What was found out about one service, and how much of it counts as drift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from .waivers import Waiver


class State(StrEnum):
    """How a standard file is, beside what the recorded version of the template made of it."""

    UNCHANGED = "unchanged"
    EDITED = "edited"
    MISSING = "missing"
    BEHIND = "behind"
    IGNORED = "ignored"


class Behind(StrEnum):
    """What the template's newest release does to a file of the recorded version."""

    CHANGED = "changed"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True)
class File:
    """A standard file. Its name is within the service; `behind` may be set for an edited or a missing one too.

    `waiver` is the team's reason for a difference, expired or not. `diff` is from the recorded version to the service.
    """

    path: str
    state: State
    behind: Behind | None = None
    remark: str = ""
    waiver: Waiver | None = None
    expired: bool = False
    diff: str | None = None

    @property
    def differs(self) -> bool:
        """Whether the team has edited or deleted it."""
        return self.state in (State.EDITED, State.MISSING)

    @property
    def waived(self) -> bool:
        """Whether it differs for a reason that still holds."""
        return self.differs and self.waiver is not None and not self.expired


@dataclass(frozen=True)
class Drift:
    """How far a service is from its template. `edited`, `missing` and `waived` have no file in common.

    `behind` counts every file that the newest release changes, edited or not. `newest_unseen` says why that release
    could not be rendered; then no file is known to be behind.
    """

    service: str
    source: str
    version: str
    newest: str
    releases_behind: int
    uncommitted: bool
    files: list[File]
    unused: list[Waiver] = field(default_factory=list)
    not_judged: dict[str, int] = field(default_factory=dict)
    newest_unseen: str = ""

    @property
    def edited(self) -> int:
        """How many files the team has edited, without those that are waived."""
        return self._count(lambda file: file.state is State.EDITED and not file.waived)

    @property
    def missing(self) -> int:
        """How many files the team has deleted, without those that are waived."""
        return self._count(lambda file: file.state is State.MISSING and not file.waived)

    @property
    def waived(self) -> int:
        """How many edited or missing files have a waiver that holds."""
        return self._count(lambda file: file.waived)

    @property
    def behind(self) -> int:
        """How many files the newest release changes, removes or adds."""
        return self._count(lambda file: file.behind is not None)

    @property
    def unchanged(self) -> int:
        """How many files are as the recorded version made them, and as the newest release has them."""
        return self._count(lambda file: file.state is State.UNCHANGED)

    @property
    def has_drifted(self) -> bool:
        """Whether a file differs without a waiver that holds; being behind is no drift."""
        return bool(self.edited or self.missing)

    def _count(self, which: Callable[[File], bool]) -> int:
        return sum(which(file) for file in self.files)
