"""Updates one service: renders, merges, looks for obstacles, and changes the service in one step."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import migrations
from .git import GitError, Refusal, git, say
from .merge import merge
from .migrations import Crossing
from .options import Options
from .proposal import Proposal, Versions, propose, render_both, sides_of
from .service import ANSWERS_FILE, Repository, Service, open_service
from .summary import CONFLICTS, UP_TO_DATE, Summary, as_message
from .telling import summarise
from .template import is_older, open_template, recorded_version, wanted_version
from .transition import Step, alone, carry_out, is_interrupted, recover
from .trees import Scratch, Tree, add_folder, entry_line, make_scratch, removal_line
from .trust import require_trust


def update_service(repository: Repository, scratch: Path, options: Options) -> Summary:
    """Updates a service, or with `check` only says what would happen. Raises Refusal and leaves it as it was."""
    with nullcontext() if options.check else alone(repository):
        if is_interrupted(repository):
            if options.check:
                raise Refusal("An update was interrupted: twelvefold undo brings the service back as it was.")
            recover(repository)
        service = open_service(repository)
        if not options.check:
            _require_identity(repository)
        versions = _versions(service, scratch, options)
        if versions.old.commit == versions.new.commit and not options.answers:
            return Summary(str(repository.folder), UP_TO_DATE, versions.old.said, versions.new.said)
        return _update(service, versions, scratch, options)


def _update(service: Service, versions: Versions, scratch: Path, options: Options) -> Summary:
    work = make_scratch(scratch / "scratch.git", service.repository)
    proposal, summary = _propose(_Update(service, versions, options, scratch, work))
    if options.check or summary.outcome == UP_TO_DATE:
        return summary
    return _change(service, work, proposal, summary)


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
        tree, after = _migrate(update, crossed, "after", merged.tree, renderings.new.recorded)
        merged = replace(merged, tree=tree, name=work.write(tree))
    elif crossed is not None:
        later = [migrations.said(*one) for one in migrations.commands(crossed, "after", renderings.new.recorded)]
    proposal = propose(service, head, sides, merged)
    summary = summarise(service, update.versions, renderings, proposal, work)
    told = replace(summary, checked=update.options.check, migrations=[*before, *after], migrations_to_run=later)
    return proposal, told


# -- Before -----------------------------------------------------------------------------------------------------------


def _require_identity(repository: Repository) -> None:
    try:
        say(repository.top, "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT")
    except GitError:
        raise Refusal("git does not know your name yet: git config --global user.name and user.email set it.") from None


def _versions(service: Service, scratch: Path, options: Options) -> Versions:
    template = open_template(service.source, scratch)
    old = recorded_version(template, service.version)
    new = wanted_version(template, options.to)
    if is_older(template, new, old):
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
    work, repository = update.work, update.service.repository
    root = update.scratch / stage / repository.top.name
    root.mkdir(parents=True)
    index = str(work.folder / f"{stage}.checkout")
    work.git("read-tree", work.write(tree), GIT_INDEX_FILE=index)
    work.git("checkout-index", "--all", "--quiet", f"--prefix={root}/", GIT_INDEX_FILE=index)
    done = migrations.run(crossed, stage, root / repository.prefix, answers)
    return add_folder(work, root, tree, start=tree), done


# -- Changing the service ---------------------------------------------------------------------------------------------


def _change(service: Service, work: Scratch, proposal: Proposal, summary: Summary) -> Summary:
    """Commits a clean update, or leaves its conflicts to be resolved and committed."""
    message = as_message(summary)
    if summary.outcome == CONFLICTS:
        # git knows this state as a cherry-pick of the template's change, and leads through it.
        made, notes = service.head, {"MERGE_MSG": message, "CHERRY_PICK_HEAD": f"{proposal.merge.commit}\n"}
        needed = [proposal.merge.commit, proposal.merge.name, *(entry.oid for entry in proposal.blocked.values())]
    else:
        made, notes = _commit(service, work, proposal.merge.name, message), {}
        needed = [made]
    offered = [offer.command.split()[3] for offer in summary.files.offered]
    _give_objects(service, work, [*needed, *offered])
    carry_out(service.repository, _step(service, proposal, made, notes, summary))
    return replace(summary, commit=None if made == service.head else made)


def _step(service: Service, proposal: Proposal, made: str, notes: dict[str, str], summary: Summary) -> Step:
    head, result = proposal.head, proposal.merge.tree
    left = proposal.absent | set(proposal.blocked)
    return Step(
        title=summary.subject,
        head=service.head,
        new_head=made,
        write={path: entry for path, entry in result.items() if head.get(path) != entry and path not in left},
        remove=sorted(head.keys() - result.keys() - left),
        index=_index_lines(proposal),
        notes=notes,
        keep={"kind": "update", "touched": sorted(proposal.touched), "left": sorted(left)},
    )


def _index_lines(proposal: Proposal) -> list[str]:
    """The changes of the index: what is merged, and for a conflict its sides, as a merge leaves them."""
    touched, in_conflict = proposal.touched, {stage.path for stage in proposal.conflicts}
    lines = [removal_line(path, proposal.merge.name) for path in sorted(touched)]
    lines += [entry_line(path, entry) for path, entry in proposal.merge.tree.items() if path in touched - in_conflict]
    return lines + [entry_line(one.path, one.entry, one.number) for one in proposal.conflicts]


def _commit(service: Service, work: Scratch, tree: str, message: str) -> str:
    signs = say(service.repository.top, "config", "--type=bool", "--default", "false", "commit.gpgSign") == "true"
    sign = ["-S"] if signs else []
    made = work.git("commit-tree", *sign, "-p", service.head, tree, stdin=message.encode("utf-8", "surrogateescape"))
    return made.decode().strip()


def _give_objects(service: Service, work: Scratch, names: list[str]) -> None:
    """Copies what the service does not have yet. Objects that nothing names do no harm: git removes them one day."""
    wanted = "".join(f"{name}\n" for name in names).encode()
    pack = work.git("pack-objects", "--revs", "--local", "--stdout", "-q", stdin=wanted)
    git(service.repository.top, "unpack-objects", "-q", stdin=pack)
