"""Guesses the answers to the template's questions from what lies in a service.

A question is known by its name; a template that has other questions gets its own defaults. A guess counts only where it
is an answer that the question takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ..described import NAMES
from ..looking import Service, look
from ..looking.reading import Values, at, text_of, toml_of

PYTHONS = tuple(f"3.{minor}" for minor in range(11, 15))
LONGEST = 120
LICENCES = {
    "MIT": re.compile(r"\bMIT\b"),
    "Apache-2.0": re.compile(r"\bApache(-| License,? Version )2\.0"),
}


class Guess(NamedTuple):
    """An answer, and where it was found."""

    answer: str | bool
    where: str


def guess(folder: Path) -> dict[str, Guess]:
    """The answers that a service's files tell, by question. Raises Unreadable when one of them is broken."""
    service, project = look(folder), toml_of(folder / "pyproject.toml")
    found = {
        "name": _name(service),
        "package": _package(service),
        "description": _description(folder, project),
        "owner": _owner(folder),
        "shape": _shape(service),
        "cache": _cache(service),
        "python": _python(folder, project),
        "licence": _licence(folder, project),
        "ci": _ci(folder),
    }
    return {question: answer for question, answer in found.items() if answer is not None}


def _name(service: Service) -> Guess | None:
    name = re.sub(r"[^a-z0-9]+", "-", service.name.value.lower()).strip("-")
    return Guess(name, service.name.where) if name[:1].isalpha() else None


def _package(service: Service) -> Guess | None:
    """The import name of the service's code: the one that it is called by, else its only one."""
    named = service.name.value.lower().replace("-", "_")
    likely = [named] if named in service.packages else service.packages
    return Guess(likely[0], f"the folder or module {likely[0]}") if len(likely) == 1 else None


def _description(folder: Path, project: Values) -> Guess | None:
    said = at(project, "project", "description") or at(project, "tool", "poetry", "description")
    if isinstance(said, str) and (line := _one_line(said)):
        return Guess(line, "pyproject.toml")
    for name in ("README.md", "README.rst", "README.txt", "README"):
        for paragraph in re.split(r"\n\s*\n", text_of(folder / name)):
            line = _one_line(paragraph)
            if line[:1].isalnum() and not re.search(r"\n\s*[=~-]{3,}\s*$", paragraph):
                return Guess(line, name)
    return None


def _one_line(text: str) -> str:
    """The first sentence of a text, if it is short enough for one line."""
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    first = re.split(r"(?<=[.!?]) ", words)[0]
    return first if len(first) <= LONGEST else ""


def _owner(folder: Path) -> Guess | None:
    for name in ("CODEOWNERS", ".github/CODEOWNERS", "docs/CODEOWNERS"):
        if found := re.search(r"^\*\s+(@[^\s#]+)", text_of(folder / name), re.MULTILINE):
            return Guess(found[1], name)
    return None


def _shape(service: Service) -> Guess | None:
    """The process types; a service of which nothing is known is taken for one that answers over HTTP."""
    later = [name for name in service.commands if NAMES["jobs"].search(name) or NAMES["clock"].search(name)]
    others = [name for name in service.commands if name not in later and name != "release"]
    if not service.commands:
        return Guess("web", "no worker was found")
    where = "its process types: " + ", ".join(service.commands)
    if later:
        return Guess("web-worker-clock" if others else "worker-clock", where)
    return Guess("web", where)


def _cache(service: Service) -> Guess | None:
    found = next((one for one in service.backing if one.kind == "cache"), None)
    return Guess(True, found.where) if found else None


def _python(folder: Path, project: Values) -> Guess | None:
    for name, pattern in (
        (".python-version", r"^(3\.\d+)"),
        ("runtime.txt", r"^python-(3\.\d+)"),
        ("Dockerfile", r"^FROM \S*python:(3\.\d+)"),
    ):
        found = re.search(pattern, text_of(folder / name), re.MULTILINE)
        if found and found[1] in PYTHONS:
            return Guess(found[1], name)
    return _oldest_allowed(at(project, "project", "requires-python"))


def _oldest_allowed(said: object) -> Guess | None:
    """The oldest Python that a project allows, of those that are still kept."""
    try:
        allowed = SpecifierSet(said) if isinstance(said, str) else SpecifierSet("<0")
    except InvalidSpecifier:
        return None
    # A patch release so high that only a bound on the minor version can refuse it.
    oldest = next((version for version in PYTHONS if allowed.contains(f"{version}.99")), None)
    return Guess(oldest, "requires-python in pyproject.toml") if oldest else None


def _licence(folder: Path, project: Values) -> Guess | None:
    for text, where in _licence_texts(folder, project):
        for licence, pattern in LICENCES.items():
            if pattern.search(text):
                return Guess(licence, where)
    return None


def _licence_texts(folder: Path, project: Values) -> Iterator[tuple[str, str]]:
    said = at(project, "project", "license")
    said = said.get("text") if isinstance(said, dict) else said
    yield (said if isinstance(said, str) else "", "pyproject.toml")
    for name in ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE"):
        yield text_of(folder / name)[:300], name


def _ci(folder: Path) -> Guess | None:
    """Another CI than GitHub's keeps the standard's workflows out."""
    for name in (".gitlab-ci.yml", "Jenkinsfile", ".circleci", "azure-pipelines.yml", "bitbucket-pipelines.yml"):
        if (folder / name).exists():
            return Guess("none", name)
    return None
