"""What is taken of the standard: for each file that both have a decision, and the new files that are ticked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from .comparison import Comparison


class Decision(Enum):
    """What becomes of a file that both have."""

    KEEP = "keep ours"
    TAKE = "take the standard's"
    BESIDE = "write the standard's beside it"
    MERGE = "merge by hand"


@dataclass(frozen=True)
class Choices:
    """Decisions by file; a file without one is kept. `take` are files that only the standard has."""

    decisions: dict[str, Decision] = field(default_factory=dict)
    take: set[str] = field(default_factory=set)

    def decided(self, decision: Decision) -> list[str]:
        """The files for which this was decided."""
        return sorted(path for path, found in self.decisions.items() if found is decision)


Chooser = Callable[[Comparison], Choices]


def defaults(comparison: Comparison) -> Choices:
    """Keeps all that exists, and takes what touches no code."""
    return Choices(take={path for group in comparison.groups if group.ticked for path in group.files})
