"""Puts together what is told of an update, from what git says of the trees."""

from __future__ import annotations

import shlex
from pathlib import Path

import yaml

from .deriving import NOT_MADE, Derived
from .git import listed
from .obstacles import has_file
from .proposal import Proposal, Renderings, Versions, owner_of
from .service import ANSWERS_FILE, Service
from .summary import CONFLICTS, UP_TO_DATE, UPDATED, Conflict, Files, Offer, Summary
from .template import changelog, without_password
from .trees import Scratch, Tree


def summarise(
    service: Service,
    versions: Versions,
    renderings: Renderings,
    proposal: Proposal,
    derived: Derived,
    work: Scratch,
) -> Summary:
    """What happens to a service, in the order in which it is told."""
    files = _files(service, renderings, proposal, derived, work)
    outcome = CONFLICTS if files.conflicts else UPDATED if proposal.touched else UP_TO_DATE
    return Summary(
        str(service.repository.folder),
        outcome,
        versions.old.said,
        versions.new.said,
        without_password(service.source),
        template_commit=versions.new.commit,
        files=files,
        answers=renderings.answers,
        not_derived=derived.why_not,
        changelog=changelog(versions.template, versions.old, versions.new),
    )


def _files(service: Service, renderings: Renderings, proposal: Proposal, derived: Derived, work: Scratch) -> Files:
    prefix = service.repository.prefix
    conflicts = _conflicts(proposal, service.repository.top)
    in_conflict = {one.path for one in conflicts}
    files = Files(conflicts=conflicts)
    for status, *names in _changes(work, service.head, proposal.merge.name):
        path = names[-1]
        if path in in_conflict or path == f"{prefix}{ANSWERS_FILE}":
            continue
        edited = proposal.head.get(path) != proposal.sides.base.get(path)
        if owner_of(renderings, prefix, path) == "derived":
            files.made_again.append(path)
        elif status.startswith("R"):
            files.moved.append((names[0], path))
        else:
            {"A": files.added, "D": files.removed}.get(status, files.merged if edited else files.updated).append(path)
    files.kept_deleted.extend(proposal.merge.kept_deleted)
    files.left_ignored.extend(proposal.sides.left_ignored)
    files.left_yours.extend(proposal.sides.left_yours)
    files.not_overwritten.extend(derived.left_yours)
    files.left_behind.extend(_left_behind(renderings, prefix, proposal.head))
    files.lost_comments.extend(_lost_comments(proposal, f"{prefix}{ANSWERS_FILE}", work))
    files.offered.extend(_offers(renderings, prefix, proposal.head, work))
    if proposal.touched:
        files.to_make_again.extend(_to_make_again(renderings, prefix, proposal.head, derived))
    return files


def _left_behind(renderings: Renderings, prefix: str, head: Tree) -> list[str]:
    """The starter and derived files of the old version that the new one does not know."""
    names = (path.removeprefix(prefix) for path in sorted(head) if path.startswith(prefix))
    return [f"{prefix}{name}" for name in names if renderings.owners.is_left_behind(name)]


def _to_make_again(renderings: Renderings, prefix: str, head: Tree, derived: Derived) -> list[str]:
    """The derived files, or where they were made again those that take the experiments."""
    left = _left_behind(renderings, prefix, head)
    there = {path for path in head if owner_of(renderings, prefix, path) == "derived"}
    names = sorted((there | {f"{prefix}{name}" for name in renderings.owners.new_derived()}) - set(left))
    return [path for path in names if not derived.done or path.removeprefix(prefix) in NOT_MADE]


def _lost_comments(proposal: Proposal, path: str, work: Scratch) -> list[str]:
    was, now = (work.content(tree[path]).decode("utf-8", "replace") for tree in (proposal.head, proposal.merge.tree))
    kept = {line.strip() for line in now.split("\n")}
    return [line for line in _with_comments(was) if line not in kept]


def _with_comments(text: str) -> list[str]:
    """The lines of YAML that hold a comment: a # that lies between what is read."""
    lines, found, end = text.split("\n"), [], 0
    for token in yaml.scan(text):
        between = range(end, token.start_mark.index)
        found += [lines[text.count("\n", 0, place)].strip() for place in between if text[place] == "#"]
        end = max(end, token.end_mark.index)
    return list(dict.fromkeys(found))


def _changes(work: Scratch, old: str, new: str) -> list[list[str]]:
    """What differs between two trees: a status of git's, and one name, or two for a file that has moved."""
    parts = iter(listed(work.git("diff-tree", "-r", "-M", "--name-status", "-z", old, new)))
    return [[status, *(next(parts) for _ in range(2 if status[0] in "RC" else 1))] for status in parts]


def _conflicts(proposal: Proposal, top: Path) -> list[Conflict]:
    """Each file in conflict, with the reason in words."""
    numbers: dict[str, set[int]] = {}
    for stage in proposal.merge.stages:
        numbers.setdefault(stage.path, set()).add(stage.number)
    found = [Conflict(path, _reason(proposal, path, sides)) for path, sides in sorted(numbers.items())]
    return found + [Conflict(path, _how_it_is_blocked(top, path)) for path in sorted(proposal.blocked)]


def _how_it_is_blocked(top: Path, path: str) -> str:
    """What a person needs to know before git's own ways out of a conflict are taken."""
    other, name = shlex.quote(f":3:{path}"), shlex.quote(path)
    why = (
        "the template brings it, and a file that git ignores lies there; yours stays: "
        f"git show {other} has the other, git rm --cached {name} leaves yours as it is"
    )
    if not has_file(top, path):
        return why
    copy = "a copy is kept in the folder twelvefold/rescued of the git directory"
    return f"{why}; git cherry-pick --abort would delete it, twelvefold undo does not; {copy}"


def _reason(proposal: Proposal, path: str, sides: set[int]) -> str:
    """Why git could not merge a file, from the sides that have it: 1 the old version, 2 the service, 3 the new one."""
    for names in proposal.merge.moved_apart:
        if path in names:
            return "{} was moved by you to {} and by the template to {}".format(*names)
    if {2, 3} <= sides:
        ours = next(stage.entry for stage in proposal.merge.stages if (stage.path, stage.number) == (path, 2))
        if proposal.merge.tree.get(path) == ours:
            return (
                f"changed by you and by the template, and no text; yours lies there: git show :3:{path} has the other"
            )
        return (
            "changed by you and by the template in the same lines" if 1 in sides else "brought by you and the template"
        )
    if 2 in sides:
        return (
            "changed by you, removed or moved by the template"
            if 1 in sides
            else "yours is in the way of the template's"
        )
    return "changed by the template, and in the way of yours" if 3 in sides else "moved by you and by the template"


def _offers(renderings: Renderings, prefix: str, head: Tree, work: Scratch) -> list[Offer]:
    """The starter files that are new in this version."""
    found = []
    for place in sorted(renderings.new.folder.rglob("*")):
        name = place.relative_to(renderings.new.folder).as_posix()
        is_new = f"{prefix}{name}" not in head and not (renderings.old.folder / name).exists()
        if place.is_file() and is_new and renderings.owners.class_of(name) == "starter":
            found.append(Offer(name, work.add(place.read_bytes())))
    return found
