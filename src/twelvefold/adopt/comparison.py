"""Compares a service with the standard: what both have, and what only the standard has, in groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pathspec import PathSpec

from ..update.obstacles import blocked
from ..update.ownership import Ownership
from ..update.service import ANSWERS_FILE, Service
from ..update.trees import SUBMODULE, Scratch, Tree

STARTER, DERIVED = "The example, to begin with", "Made by commands from the code"
REST = "Code and its tests"

# In this order, each with its files as git's ignore files name them, and whether it is taken by default: that is what
# neither is code nor decides how the code is built and run.
GROUPS: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("What the experiments look at", ("/factors.toml",), True),
    ("Workflows", ("/.github/", "/.gitlab-ci.yml"), True),
    ("Commands", ("/Makefile",), True),
    (
        "Documents and owners",
        ("/docs/", "/*.md", "/LICENSE*", "/NOTICE*", "/CODEOWNERS", "/catalog-info.yaml"),
        True,
    ),
    (
        "Settings of tools",
        ("/.editorconfig", "/.gitignore", "/.gitattributes", "/.pre-commit-config.yaml", "/.devcontainer/"),
        True,
    ),
    (
        "How it is built and run",
        (
            "/Dockerfile*",
            "/.dockerignore",
            "/compose*.y*ml",
            "/docker-compose*.y*ml",
            "/Procfile",
            "/pyproject.toml",
            "/.python-version",
            "/*.lock",
            "/requirements*.txt",
            "/ops/",
        ),
        False,
    ),
)


@dataclass(frozen=True)
class Both:
    """A file that both have and that differs, with what each holds."""

    path: str
    ours: bytes
    standard: bytes


@dataclass(frozen=True)
class Group:
    """Files that only the standard has, and whether they are taken unless somebody decides otherwise."""

    title: str
    files: list[str]
    ticked: bool


@dataclass(frozen=True)
class Comparison:
    """The standard's files, and how the service stands to them."""

    standard: Tree
    differing: list[Both] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    yours: list[str] = field(default_factory=list)
    """Both have them, and the standard leaves them to the team after the first day."""
    groups: list[Group] = field(default_factory=list)
    in_the_way: list[str] = field(default_factory=list)
    """The standard has them, and what lies there is ignored by git, a folder, a submodule, or in other letters."""


def compare(service: Service, head: Tree, standard: Tree, owners: Ownership, work: Scratch) -> Comparison:
    """Sorts the standard's files. The answers file is none of them: it is what makes later updates possible."""
    prefix = service.repository.prefix
    offered = {path: entry for path, entry in standard.items() if path != f"{prefix}{ANSWERS_FILE}"}
    comparison = Comparison(standard)
    for path, entry in sorted(offered.items()):
        if path not in head or head[path].mode == SUBMODULE:
            continue
        if head[path].oid == entry.oid:
            comparison.same.append(path)
        elif owners.class_of(path.removeprefix(prefix)):
            comparison.yours.append(path)
        else:
            comparison.differing.append(Both(path, work.content(head[path]), work.content(entry)))
    comparison.in_the_way.extend(_in_the_way(service, head, offered))
    new = offered.keys() - head.keys() - set(comparison.in_the_way)
    comparison.groups.extend(_groups(new, prefix, owners))
    return comparison


def _in_the_way(service: Service, head: Tree, offered: Tree) -> list[str]:
    letters = {path.casefold() for path in head}
    same_name = {path for path in offered.keys() - head.keys() if path.casefold() in letters}
    submodules = {path.casefold() for path, entry in head.items() if entry.mode == SUBMODULE}
    inside = {path for path in offered if submodules & _with_folders(path.casefold())}
    return sorted(same_name | inside | set(blocked(service.repository, head.keys(), head.keys() | offered.keys())))


def _with_folders(path: str) -> set[str]:
    return {path, *(parent.as_posix() for parent in PurePosixPath(path).parents)}


def _groups(files: set[str], prefix: str, owners: Ownership) -> list[Group]:
    names = {path: path.removeprefix(prefix) for path in sorted(files)}
    titles = {path: _title(name, owners) for path, name in names.items()}
    ticked = {title: taken for title, _, taken in GROUPS}
    order = [*ticked, REST, DERIVED, STARTER]
    groups = [
        Group(title, [path for path in titles if titles[path] == title], ticked.get(title, False)) for title in order
    ]
    return [group for group in groups if group.files]


def _title(name: str, owners: Ownership) -> str:
    if owner := owners.class_of(name):
        return STARTER if owner == "starter" else DERIVED
    return next((title for title, spec in SPECS if spec.match_file(name)), REST)


SPECS = [(title, PathSpec.from_lines("gitignore", patterns)) for title, patterns, _ in GROUPS]
