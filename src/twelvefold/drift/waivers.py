"""Reads `drift.toml`, in which a team says which differences it has, why, and until when."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pathspec import PathSpec

from ..update.git import Refusal

WAIVERS_FILE = "drift.toml"
TABLE = "waiver"
KEYS = ("path", "reason", "until")


@dataclass(frozen=True)
class Waiver:
    """Differences that a team has a reason for: a glob from the service's folder on, and the last day that it holds."""

    path: str
    reason: str
    until: date

    def matches(self, name: str) -> bool:
        """Whether it speaks of a file; a folder's name speaks of all below."""
        return bool(self._spec.match_file(name))

    def expired(self, today: date) -> bool:
        """Whether its last day is over."""
        return today > self.until

    @cached_property
    def _spec(self) -> PathSpec[Any]:
        # With a slash before it, the pattern begins at the service's folder and has no special first character.
        return PathSpec.from_lines("gitignore", [f"/{self.path}"])


def read_waivers(folder: Path) -> list[Waiver]:
    """The waivers of a service, in their order. Raises Refusal, which names everything that is wrong with them."""
    path = folder / WAIVERS_FILE
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:  # no text, or no TOML
        raise Refusal(f"{path} cannot be read: {error}") from error
    entries = content.get(TABLE, [])
    wrong = [f"{key} is no entry of it: it has [[{TABLE}]] only" for key in content if key != TABLE]
    if not isinstance(entries, list):
        wrong, entries = [*wrong, f"a waiver begins with [[{TABLE}]], in two brackets"], []
    for number, entry in enumerate(entries, 1):
        wrong += [f"waiver {number}{_named(entry)} {problem}" for problem in _problems(entry)]
    if wrong:
        raise Refusal(f"{path} is wrong: {'; '.join(wrong)}.")
    return [Waiver(entry["path"], entry["reason"], entry["until"]) for entry in entries]


def waiver_of(waivers: Iterable[Waiver], name: str, today: date) -> Waiver | None:
    """The waiver that speaks of a file: the first that holds, else the one that expired last."""
    speaking = [waiver for waiver in waivers if waiver.matches(name)]
    holding = [waiver for waiver in speaking if not waiver.expired(today)]
    return holding[0] if holding else max(speaking, key=lambda waiver: waiver.until, default=None)


def _named(entry: Any) -> str:
    path = entry.get("path") if isinstance(entry, dict) else None
    return f" ({path})" if isinstance(path, str) and path else ""


def _problems(entry: Any) -> list[str]:
    """What is wrong with one waiver, each as the end of a sentence."""
    if not isinstance(entry, dict):
        return ["is no table"]
    found = [f"has {key}, which means nothing: it has {', '.join(KEYS)}" for key in entry if key not in KEYS]
    found += [f"has no {key}" for key in KEYS if key not in entry]
    found += [f"has a {key} that is no text" for key in ("path", "reason") if not _is_text(entry.get(key, "some"))]
    path = entry.get("path")
    if isinstance(path, str) and (problem := _problem_of_path(path)):
        found.append(problem)
    until = entry.get("until")
    if until is not None and (not isinstance(until, date) or isinstance(until, datetime)):
        found.append("has an until that is no date, as in until = 2027-03-01, without quotes")
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _problem_of_path(path: str) -> str:
    """Why a glob cannot mean a file of the service."""
    if path.startswith("/") or ".." in path.split("/"):
        return "has a path that begins with a slash or leads out of the service"
    if "\n" in path or "\\" in path:
        return "has a path with a backslash or a line break"
    return ""
