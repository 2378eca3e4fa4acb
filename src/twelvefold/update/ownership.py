"""Which of a service's files an update leaves alone: the template's settings say it, and the service's own page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from pathspec import PathSpec

from .git import Refusal
from .rendering import Rendering

PAGE = "docs/ownership.md"
ROW = re.compile(r"^\| (starter|derived) \| (.+?) \|", re.MULTILINE)


@dataclass(frozen=True)
class Ownership:
    """Tells starter and derived files from those that an update merges; names are within the service."""

    excluded_always: PathSpec[Any]
    excluded_on_update: PathSpec[Any]
    named: dict[str, list[str]]

    def class_of(self, name: str) -> str | None:
        """`starter`, `derived`, or None for a file that the template keeps up to date."""
        for owner, patterns in self.named.items():
            if any(name.startswith(one) if one.endswith("/") else name == one for one in patterns):
                return owner
        update_only = self.excluded_on_update.match_file(name) and not self.excluded_always.match_file(name)
        return "starter" if update_only else None


def ownership(new: Rendering, old: Rendering) -> Ownership:
    """Who owns which file, by the new version; by the old one where the new one has no page about it."""
    pages = (rendering.folder / PAGE for rendering in (new, old))
    page = next((page.read_text("utf-8", "replace") for page in pages if page.is_file()), "")
    named = {owner: re.findall(r"`([^`]+)`", files) for owner, files in ROW.findall(page)}
    return Ownership(_excluded(new, "copy"), _excluded(new, "update"), named)


def _excluded(rendering: Rendering, operation: str) -> PathSpec[Any]:
    """What the template's setting `_exclude` leaves out of an operation, as Copier reads it."""
    try:
        texts = [rendering.text(text, _copier_operation=operation) for text in rendering.worker.template.exclude]
    except TemplateError as error:
        raise Refusal(f"The template's _exclude cannot be read: {error}") from error
    return _patterns(line for text in texts for line in text.splitlines())


def _patterns(lines: Iterable[str]) -> PathSpec[Any]:
    return PathSpec.from_lines("gitignore", lines)
