"""Which of a service's files an update leaves alone: the template's settings say it, and the service's own page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from pathspec import PathSpec

from .git import Refusal
from .rendering import Rendering

PAGE = "docs/ownership.md"
ROW = re.compile(r"^\| (starter|derived) \| (.+?) \|", re.MULTILINE)


@dataclass(frozen=True)
class Ownership:
    """Tells starter and derived files from those that an update merges; names are within the service.

    What a version no longer has keeps the class that it had `before`: what was the team's stays the team's.
    """

    excluded_always: PathSpec[Any]
    excluded_on_update: PathSpec[Any]
    skipped: PathSpec[Any]
    """What the template leaves alone once it is there."""
    named: dict[str, list[str]]
    rendered: frozenset[str]
    before: Ownership | None = None

    def class_of(self, name: str) -> str | None:
        """`starter`, `derived`, or None for a file that the template keeps up to date."""
        if (owner := self._class_now(name)) or self.before is None or name in self.rendered:
            return owner
        return self.before._class_now(name)

    def is_own(self, name: str) -> bool:
        """Whether a file that this version calls derived was the team's own until now."""
        before = self.before
        return before is not None and name not in before.rendered and before._class_now(name) != "derived"

    def is_left_behind(self, name: str) -> bool:
        """Whether it was rendered for the team to have, and this version does not know it."""
        was_rendered = self.before is not None and name in self.before.rendered
        return was_rendered and self._class_now(name) is None and self.class_of(name) is not None

    def new_derived(self) -> set[str]:
        """The derived files that this version is the first to have or to name; a folder stands for no file."""
        named = {name for name in self.named.get("derived", []) if not name.endswith("/")}
        found = named | self.rendered
        if self.before is not None:
            found = (named - set(self.before.named.get("derived", [])) | self.rendered) - self.before.rendered
        return {name for name in found if self.class_of(name) == "derived"}

    def _class_now(self, name: str) -> str | None:
        """The class by this version alone."""
        for owner, patterns in self.named.items():
            if any(name.startswith(one) if one.endswith("/") else name == one for one in patterns):
                return owner
        update_only = self.excluded_on_update.match_file(name) and not self.excluded_always.match_file(name)
        return "starter" if update_only or self.skipped.match_file(name) else None


def ownership(new: Rendering, old: Rendering) -> Ownership:
    """Who owns which file, by the new version; by the old one where the new one has no page, or not the file."""
    was = _ownership(old, [old])
    return replace(_ownership(new, [new, old]), before=was)


def _ownership(rendering: Rendering, with_pages: Iterable[Rendering]) -> Ownership:
    """Who owns which file by a version, with the first page that there is."""
    pages = (one.folder / PAGE for one in with_pages)
    page = next((page.read_text("utf-8", "replace") for page in pages if page.is_file()), "")
    named = {owner: re.findall(r"`([^`]+)`", files) for owner, files in ROW.findall(page)}
    template = rendering.worker.template
    return Ownership(
        _patterns(rendering, "_exclude", template.exclude, "copy"),
        _patterns(rendering, "_exclude", template.exclude, "update"),
        _patterns(rendering, "_skip_if_exists", template.skip_if_exists, "update"),
        named,
        _names(rendering.folder),
    )


def _names(folder: Path) -> frozenset[str]:
    places = (place for place in folder.rglob("*") if place.is_symlink() or not place.is_dir())
    return frozenset(place.relative_to(folder).as_posix() for place in places)


def _patterns(rendering: Rendering, setting: str, texts: Iterable[str], operation: str) -> PathSpec[Any]:
    """The files that a setting of the template names for an operation, as Copier reads it."""
    try:
        rendered = [rendering.text(text, _copier_operation=operation) for text in texts]
    except TemplateError as error:
        raise Refusal(f"The template's {setting} cannot be read: {error}") from error
    return PathSpec.from_lines("gitignore", (line for text in rendered for line in text.splitlines()))
