"""What a person may say about an update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Options:
    """The version that is wanted (None: the newest), other answers, and what is to be done besides.

    `check` only looks, `yes` asks nothing, and `derive` makes the derived files again.
    """

    to: str | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    check: bool = False
    yes: bool = False
    derive: bool = False
