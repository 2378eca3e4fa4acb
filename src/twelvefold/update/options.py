"""What a person may say about an update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Options:
    """The version that is wanted (None: the newest), other answers, and whether only to look, or to ask nothing."""

    to: str | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    check: bool = False
    yes: bool = False
