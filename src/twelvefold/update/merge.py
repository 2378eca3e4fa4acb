"""Lets git merge what the template changed with what the team changed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

from .git import listed
from .trees import Entry, Scratch, Tree

OURS = "yours"
MOVED_APART = "CONFLICT (rename/rename)"  # a name for programs, as git's manual says


@dataclass(frozen=True)
class Stage:
    """One side of a conflict: 1 as the old version had the file, 2 as the team has it, 3 as the new version has it."""

    number: int
    path: str
    entry: Entry


@dataclass(frozen=True)
class Sides:
    """What is merged: the old version, the service, the new version; `label` names the latter in conflicts.

    Not merged are files that git ignores in the service: new ones of the template, which they keep from being written,
    and those that the template has changed. Nor are those that the service's attributes keep from being merged.
    """

    base: Tree
    ours: Tree
    theirs: Tree
    label: str
    blocked: Tree = field(default_factory=dict)
    left_ignored: list[str] = field(default_factory=list)
    left_yours: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Merge:
    """What came of it: the tree, the files of it that are in conflict, and those that stay deleted.

    `commit` is the template's change, from the old version to the new one, as a commit of its own. `moved_apart` has
    the files that both sides have moved: the old name, the team's and the template's.
    """

    tree: Tree
    name: str
    commit: str
    stages: list[Stage] = field(default_factory=list)
    kept_deleted: list[str] = field(default_factory=list)
    moved_apart: list[tuple[str, ...]] = field(default_factory=list)


def merge(scratch: Scratch, sides: Sides) -> Merge:
    """Merges, so that what the team deleted stays deleted, and its own files stay where they are."""
    deleted: set[str] = set()
    while True:
        merged = _merge(scratch, sides, follow=True)
        if any(path not in merged.tree for path in sides.ours.keys() - sides.base.keys() - sides.theirs.keys()):
            merged = _merge(scratch, sides, follow=False)
        gone = _deleted_by_the_team(merged, sides)
        if not gone:
            return replace(merged, kept_deleted=sorted(deleted))
        deleted |= {_as_the_team_knew(path, merged, sides) for path in gone}
        sides = replace(sides, base=_without(sides.base, gone), theirs=_without(sides.theirs, gone))


def _merge(scratch: Scratch, sides: Sides, *, follow: bool) -> Merge:
    """Merges once; with `follow`, a new file goes along when the other side has moved its whole folder."""
    base = _commit(scratch, sides.base, [])
    _label(scratch, OURS, _commit(scratch, sides.ours, [base]))
    theirs = _commit(scratch, sides.theirs, [base])
    _label(scratch, sides.label, theirs)
    setting = f"merge.directoryRenames={str(follow).lower()}"
    arguments = ("merge-tree", "--write-tree", "-z", "--messages", OURS, sides.label)
    said = scratch.git("-c", setting, *arguments, may_exit=1)
    result, _, messages = said.partition(b"\0\0")
    name, *lines = listed(result)
    stages = [_stage(line) for line in lines]
    return Merge(scratch.tree(name), name, theirs, stages, moved_apart=_moved_apart(listed(messages)))


def _stage(line: str) -> Stage:
    meta, path = line.split("\t", 1)
    mode, oid, number = meta.split()
    return Stage(int(number), path, Entry(mode, oid))


def _moved_apart(messages: list[str]) -> list[tuple[str, ...]]:
    """The files that both sides have moved; a message is a number, so many paths, its kind and a sentence."""
    found, rest = [], iter(messages)
    for number in rest:
        paths = tuple(next(rest) for _ in range(int(number)))
        kind, _sentence = next(rest), next(rest)
        if kind == MOVED_APART:
            found.append(paths)
    return found


def _deleted_by_the_team(merged: Merge, sides: Sides) -> set[str]:
    """The files that git would have brought back: the team deleted them, and the template changed or moved them."""
    numbers: dict[str, set[int]] = {}
    for stage in merged.stages:
        numbers.setdefault(stage.path, set()).add(stage.number)
    # A file that makes room for a folder of the team has the version's label behind its name.
    names = {path.removesuffix(f"~{sides.label}") for path, found in numbers.items() if found == {1, 3}}
    # So has one that makes room for a link of the team, who did not delete it then.
    return names & (sides.theirs.keys() | sides.base.keys()) - sides.ours.keys()


def _as_the_team_knew(path: str, merged: Merge, sides: Sides) -> str:
    """The name of a deleted file before the template moved it."""
    if path in sides.base:
        return path
    was = [stage.entry for stage in merged.stages if (stage.path, stage.number) == (path, 1)]
    left = sides.base.keys() - sides.ours.keys() - sides.theirs.keys()
    return min((old for old in left if sides.base[old] in was), default=path)


def _without(tree: Tree, names: set[str]) -> Tree:
    return {path: entry for path, entry in tree.items() if path not in names}


def _commit(scratch: Scratch, tree: Tree, parents: list[str]) -> str:
    message = b"chore: what a version of the template changes\n"
    named = [part for parent in parents for part in ("-p", parent)]
    return os.fsdecode(scratch.git("commit-tree", scratch.write(tree), *named, stdin=message)).strip()


def _label(scratch: Scratch, name: str, commit: str) -> None:
    (scratch.folder / "refs/heads" / name).write_text(f"{commit}\n")
