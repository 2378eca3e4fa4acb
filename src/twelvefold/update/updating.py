"""Updates one service: renders, merges, looks for obstacles, and changes the service in one step."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import migrations
from .changing import change_service, require_identity
from .deriving import Derived, NotDerived, derive
from .git import Refusal, Stopped
from .merge import merge
from .migrations import Crossing
from .options import Options
from .proposal import Proposal, Renderings, Versions, kept_by_attributes, owner_of, propose, render_both, sides_of
from .service import ANSWERS_FILE, Repository, Service, open_service
from .summary import CONFLICTS, UP_TO_DATE, Summary, as_message
from .telling import summarise
from .template import (
    is_older,
    open_template,
    place_of_tags,
    recorded_version,
    wanted_version,
    without_password,
)
from .transition import alone, recover_first
from .trees import Scratch, Tree, add_folder, make_scratch
from .trust import require_trust


def update_service(repository: Repository, scratch: Path, options: Options) -> Summary:
    """Updates a service, or with `check` only says what would happen. Raises Refusal and leaves it as it was."""
    with nullcontext() if options.check else alone(repository):
        recover_first(repository, check=options.check)
        service = open_service(repository)
        if not options.check:
            require_identity(repository)
        versions = _versions(service, scratch, options)
        if versions.old.commit == versions.new.commit and not options.answers:
            return Summary(str(repository.folder), UP_TO_DATE, versions.old.said, versions.new.said)
        return _update(service, versions, scratch, options)


def _update(service: Service, versions: Versions, scratch: Path, options: Options) -> Summary:
    work = make_scratch(scratch / "scratch.git", service.repository)
    proposal, summary = _propose(_Update(service, versions, options, scratch, work))
    if options.check or summary.outcome == UP_TO_DATE:
        return summary
    offered = [offer.content for offer in summary.files.offered]
    conflicts = summary.outcome == CONFLICTS
    commit = change_service(service, work, proposal, as_message(summary), conflicts=conflicts, offered=offered)
    return replace(summary, commit=commit)


@dataclass(frozen=True)
class _Update:
    """What the steps of an update share: what is updated, to what, how, and the folders that it works in."""

    service: Service
    versions: Versions
    options: Options
    scratch: Path
    work: Scratch


def _propose(update: _Update) -> tuple[Proposal, Summary]:
    """What the update would make of the service, and what is told of it."""
    service, work = update.service, update.work
    head = work.tree(service.head)
    if f"{service.repository.prefix}{ANSWERS_FILE}" not in head:
        raise Refusal(f"{ANSWERS_FILE} is not committed, so it could be lost: git add --force {ANSWERS_FILE}")
    crossed = _crossing(update)
    ours, before = _migrate(update, crossed, "before", head, service.answers)
    renderings = render_both(service, update.versions, ours, work, update.scratch, update.options)
    sides = sides_of(service, update.versions, renderings, head, ours, work)
    merged = merge(work, sides)
    after: list[str] = []
    later: list[str] = []
    if not merged.stages:
        tree, after = _migrate(update, crossed, "after", merged.tree, renderings.new.everything)
        merged = replace(merged, tree=tree, name=work.write(tree))
    elif crossed is not None:
        source = without_password(place_of_tags(service.source))
        later = migrations.by_hand(crossed, "after", renderings.new.everything, source)
    proposal = propose(service, head, sides, merged)
    derived = Derived()
    if _is_to_derive(update, renderings, proposal):
        derived = _derive(update, renderings, merged.tree)
        merged = replace(merged, tree=derived.tree, name=work.write(derived.tree))
        proposal = propose(service, head, sides, merged)
    summary = summarise(service, update.versions, renderings, proposal, derived, work)
    told = replace(summary, checked=update.options.check, migrations=[*before, *after], migrations_to_run=later)
    return proposal, told


# -- Before -----------------------------------------------------------------------------------------------------------


def _versions(service: Service, scratch: Path, options: Options) -> Versions:
    template = open_template(service.source, scratch)
    old = recorded_version(template, service.version)
    new = wanted_version(template, options.to)
    if is_older(template, new, old):
        if options.to is None:  # nobody has asked for the newest release, and the next one may be newer
            return Versions(template, old, old)
        raise Refusal(f"Version {new.said} is older than {old.said}, which the service has; an update goes forward.")
    return Versions(template, old, new)


def _crossing(update: _Update) -> Crossing | None:
    """The migrations that the update crosses, once they may run."""
    versions = update.versions
    crossed = migrations.crossing(versions.template, versions.old, versions.new, update.scratch)
    if crossed is not None:
        what = "This update has migrations, and"
        require_trust(update.service.source, versions.new.commit, what, update.options.yes)
    return crossed


def _migrate(
    update: _Update, crossed: Crossing | None, stage: str, tree: Tree, answers: dict[str, Any]
) -> tuple[Tree, list[str]]:
    """The files after the migrations of a stage, and what was run; without migrations, what they were."""
    if crossed is None or not migrations.commands(crossed, stage, answers):
        return tree, []
    folder = (root := _check_out(update, stage, tree)) / update.service.repository.prefix
    done = migrations.run(crossed, stage, folder, answers)
    if not (folder / ANSWERS_FILE).is_file():
        raise Refusal(f"A migration has removed {ANSWERS_FILE}, which says what the service is: {done[-1]}")
    return add_folder(update.work, root, tree, start=tree, may_move=True), done


def _check_out(update: _Update, stage: str, tree: Tree) -> Path:
    """A folder with these files, in which commands may run."""
    root = update.scratch / stage / update.service.repository.top.name
    root.mkdir(parents=True)
    index = str(update.work.folder / f"{stage}.checkout")
    update.work.git("read-tree", update.work.write(tree), GIT_INDEX_FILE=index)
    update.work.git("checkout-index", "--all", "--quiet", f"--prefix={root}/", GIT_INDEX_FILE=index)
    return root


# -- After ------------------------------------------------------------------------------------------------------------


def _is_to_derive(update: _Update, renderings: Renderings, proposal: Proposal) -> bool:
    if not update.options.derive or update.options.check or proposal.conflicts or not proposal.touched:
        return False
    prefix = update.service.repository.prefix
    there = any(owner_of(renderings, prefix, path) == "derived" for path in proposal.merge.tree)
    return there or bool(renderings.owners.new_derived())


def _derive(update: _Update, renderings: Renderings, tree: Tree) -> Derived:
    """The files with the derived ones made again, but for those that the team has deleted, and that are its own."""
    prefix = update.service.repository.prefix
    what = "Making the derived files again"
    try:
        require_trust(update.service.source, update.versions.new.commit, what, update.options.yes)
        root = _check_out(update, "derive", tree)
        derive(root / prefix)
    except Stopped:
        raise
    except (Refusal, NotDerived) as error:
        return Derived(tree, why_not=str(error))

    def is_made(path: str) -> bool:
        is_new = not (renderings.old.folder / path.removeprefix(prefix)).exists()
        return owner_of(renderings, prefix, path) == "derived" and (path in tree or is_new)

    found = add_folder(update.work, root, tree, start=tree)
    made = {path: entry for path, entry in found.items() if is_made(path) and tree.get(path) != entry}
    own = {path for path in made.keys() & tree.keys() if renderings.owners.is_own(path.removeprefix(prefix))}
    own |= set(kept_by_attributes(update.work, sorted(made.keys() & tree.keys())))
    return Derived(
        tree | {path: entry for path, entry in made.items() if path not in own}, done=True, left_yours=sorted(own)
    )
