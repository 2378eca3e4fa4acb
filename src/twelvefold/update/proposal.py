"""What an update would make of a service: the versions rendered, merged with it, and what lies in the way."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from . import answers
from .git import listed
from .merge import Merge, Sides, Stage
from .obstacles import blocked, ignored, refuse_hidden_changes, refuse_submodules
from .options import Options
from .ownership import Ownership, ownership
from .rendering import Order, Rendering, at_a_terminal, recording, refuse_lost_answers, render, render_asking
from .service import ANSWERS_FILE, Service
from .template import Template, Version
from .trees import SUBMODULE, Scratch, Tree, add_folder, renamed


@dataclass(frozen=True)
class Versions:
    """The template, with the version that a service has and the one that it gets."""

    template: Template
    old: Version
    new: Version


@dataclass(frozen=True)
class Renderings:
    """The two versions as rendered for a service, whose files they leave alone, and what the answers have become."""

    old: Rendering
    new: Rendering
    owners: Ownership
    answers: answers.Answers


@dataclass(frozen=True)
class Proposal:
    """What an update makes of a service, before anything is changed."""

    head: Tree
    sides: Sides
    merge: Merge
    blocked: Tree
    absent: set[str]

    @property
    def conflicts(self) -> list[Stage]:
        """The sides of every conflict: git's, and those of new files that cannot be written."""
        return [*self.merge.stages, *(Stage(3, path, entry) for path, entry in sorted(self.blocked.items()))]

    @property
    def touched(self) -> set[str]:
        """The files that are other ones than before, or are in conflict."""
        result = self.merge.tree
        differing = {path for path in self.head.keys() | result.keys() if self.head.get(path) != result.get(path)}
        return differing | {stage.path for stage in self.conflicts}


def render_both(
    service: Service, versions: Versions, ours: Tree, work: Scratch, scratch: Path, options: Options
) -> Renderings:
    """Renders both versions; the secret answers of the old one, which nobody recorded, count in the new one too."""
    name, prefix = service.repository.top.name, service.repository.prefix
    recorded = work.content(ours[f"{prefix}{ANSWERS_FILE}"])
    was = (service.repository.folder / ANSWERS_FILE).read_bytes()
    old_order = Order(service.source, versions.old.commit, was, trusted=options.yes)
    old = render(old_order, scratch / "old" / name, prefix, f"Version {versions.old.said}")
    order = replace(
        old_order, commit=versions.new.commit, answers=recorded, changed=options.answers, secrets=old.secrets
    )
    asks = at_a_terminal() and not options.yes
    new = (render_asking if asks else render)(order, scratch / "new" / name, prefix, f"Version {versions.new.said}")
    new = recording(new, versions.template, versions.new)
    refuse_lost_answers(options.answers, new)
    told = answers.compare(service.answers, old, new, dict(options.answers))
    return Renderings(old, new, ownership(new, old), told)


def sides_of(
    service: Service, versions: Versions, renderings: Renderings, head: Tree, ours: Tree, work: Scratch
) -> Sides:
    """What is merged. Files that are not the template's are the same on all sides, so that nothing happens to them."""
    prefix = service.repository.prefix
    elsewhere = {path: entry for path, entry in ours.items() if not path.startswith(prefix)}
    base = elsewhere | add_folder(work, renderings.old.root, head)
    theirs = elsewhere | add_folder(work, renderings.new.root, head)
    owned = {path for path in base.keys() | theirs.keys() | ours.keys() if owner_of(renderings, prefix, path)}
    answers_file = f"{prefix}{ANSWERS_FILE}"
    changed = {path for path in ours.keys() - owned - {answers_file} if base.get(path) != theirs.get(path)}
    yours = kept_by_attributes(work, sorted(changed))
    left_yours = [path for path in yours if ours[path] != theirs.get(path)]
    moved = _moved_and_kept(work, base, ours, theirs)
    left_yours += moved.values()
    kept = owned | {*yours, *moved, *moved.values()}
    base, theirs = (_with_those_of(ours, side, kept) for side in (base, theirs))
    # The answers are what was just rendered, whatever was written into their file.
    base = _with_those_of(ours, base, {answers_file})
    # What a migration has moved is tracked still, where it lay.
    left_out = ignored(service.repository, head | ours, base | theirs)
    return Sides(
        base=_with_those_of({}, base, left_out),
        ours=ours,
        theirs=_with_those_of({}, theirs, left_out),
        label=f"template-{versions.new.name.replace('/', '-')}",  # it stands in names of files too
        blocked={path: entry for path, entry in theirs.items() if path in left_out - base.keys()},
        left_ignored=sorted(path for path in left_out & base.keys() & theirs.keys() if base[path] != theirs[path]),
        left_yours=left_yours,
    )


def kept_by_attributes(work: Scratch, paths: list[str]) -> list[str]:
    """The files that shall stay the team's whatever the template does; git itself asks only where both changed one."""
    asked = b"".join(os.fsencode(f"{path}\0") for path in paths)
    said = listed(work.git("check-attr", "-z", "--stdin", "merge", stdin=asked)) if paths else []
    return [path for path, value in zip(said[::3], said[2::3], strict=True) if value == "ours"]


def _moved_and_kept(work: Scratch, base: Tree, ours: Tree, theirs: Tree) -> dict[str, str]:
    """The old and the new name of each file that the team has moved, and keeps as it is, while the template changes it.

    git would either drop that change and say nothing, or merge it all the same.
    """
    gone = {path for path in base.keys() - ours.keys() if base[path] != theirs.get(path)}
    added = kept_by_attributes(work, sorted(ours.keys() - base.keys() - theirs.keys())) if gone else []
    if not added:
        return {}
    return {old: new for old, new in renamed(work, base, ours) if old in gone and new in added}


def owner_of(renderings: Renderings, prefix: str, path: str) -> str | None:
    """`starter` or `derived`; None for a file that an update merges, or that lies outside the service."""
    return renderings.owners.class_of(path.removeprefix(prefix)) if path.startswith(prefix) else None


def _with_those_of(ours: Tree, side: Tree, paths: set[str]) -> Tree:
    """A side on which some files are as the service has them."""
    kept = {path: entry for path, entry in side.items() if path not in paths}
    return kept | {path: ours[path] for path in paths if path in ours}


def propose(service: Service, head: Tree, sides: Sides, merged: Merge) -> Proposal:
    """What the update makes of the service. Raises Refusal when it would overwrite what git does not see."""
    refuse_submodules(head, (path for path, entry in merged.tree.items() if entry.mode != SUBMODULE))
    in_the_way = {path: merged.tree[path] for path in blocked(service.repository, head.keys(), merged.tree.keys())}
    proposal = Proposal(head, sides, merged, sides.blocked | in_the_way, set())
    absent = refuse_hidden_changes(service.repository, head, proposal.touched)
    # Who resolves a conflict has to see the file, wherever else the checkout leaves it out.
    return replace(proposal, absent=absent - {stage.path for stage in proposal.conflicts})
