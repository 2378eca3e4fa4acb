"""Changes a service to what is proposed: by one commit, or by conflicts that are resolved and committed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .git import GitError, Refusal, git, say
from .obstacles import has_file
from .proposal import Proposal
from .service import ANSWERS_FILE, Repository, Service
from .transition import Step, carry_out, rescue
from .trees import Scratch, entry_line, removal_line


def require_identity(repository: Repository) -> None:
    """Raises Refusal when git does not know who commits, or whose work that is."""
    try:
        for ident in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
            say(repository.top, "-c", "user.useConfigOnly=true", "var", ident)
    except GitError:
        raise Refusal("git does not know your name yet: git config --global user.name and user.email set it.") from None


def change_service(
    service: Service, work: Scratch, proposal: Proposal, message: str, *, conflicts: bool, offered: Sequence[str] = ()
) -> str | None:
    """Commits a clean proposal and returns the commit, or leaves its conflicts to be resolved and committed.

    `offered` are objects that the service gets though no file of it has them.
    """
    merged, change = proposal.merge.name, proposal.merge.commit
    blocked = [entry.oid for entry in proposal.blocked.values()]
    _give_objects(service, work, [merged, *([change, *blocked] if conflicts else []), *offered])
    if conflicts:
        # git knows this state as a cherry-pick of the template's change, and leads through it.
        change = _commit(service, f"{change}^{{tree}}", f"{change}^", message)
        made, notes = service.head, {"MERGE_MSG": message, "CHERRY_PICK_HEAD": f"{change}\n"}
    else:
        made, notes = _commit(service, merged, service.head, message, *_signing(service)), {}
    for path in proposal.blocked:  # which git cherry-pick --abort would delete
        if has_file(service.repository.top, path):
            rescue(service.repository, path)
    carry_out(service.repository, _step(service, proposal, made, notes, title=message.partition("\n")[0]))
    return None if made == service.head else made


def _step(service: Service, proposal: Proposal, made: str, notes: dict[str, str], title: str) -> Step:
    head, result = proposal.head, proposal.merge.tree
    left = proposal.absent | set(proposal.blocked)
    return Step(
        title=title,
        head=service.head,
        new_head=made,
        write={path: entry for path, entry in result.items() if head.get(path) != entry and path not in left},
        remove=sorted(head.keys() - result.keys() - left),
        index=_index_lines(proposal),
        notes=notes,
        keep=_what_undoing_needs(service, proposal, left),
        was={path: entry for path, entry in head.items() if result.get(path) != entry and path not in left},
    )


def _what_undoing_needs(service: Service, proposal: Proposal, left: set[str]) -> dict[str, Any]:
    """Which files take part, and how to find the update again: by its service, and by what it has recorded."""
    prefix = service.repository.prefix
    recorded = proposal.merge.tree.get(f"{prefix}{ANSWERS_FILE}")
    return {
        "kind": "update",
        "touched": sorted(proposal.touched),
        "left": sorted(left),
        "prefix": prefix,
        "answers": recorded and recorded.oid,
    }


def _index_lines(proposal: Proposal) -> list[str]:
    """The changes of the index: what is merged, and for a conflict its sides, as a merge leaves them."""
    touched, in_conflict = proposal.touched, {stage.path for stage in proposal.conflicts}
    lines = [removal_line(path, proposal.merge.name) for path in sorted(touched)]
    lines += [entry_line(path, entry) for path, entry in proposal.merge.tree.items() if path in touched - in_conflict]
    return lines + [entry_line(one.path, one.entry, one.number) for one in proposal.conflicts]


def _commit(service: Service, tree: str, parent: str, message: str, *options: str) -> str:
    """Makes a commit, in the service: a person may have another name or key there than elsewhere."""
    stdin = message.encode("utf-8", "surrogateescape")
    return git(service.repository.top, "commit-tree", *options, "-p", parent, tree, stdin=stdin).decode().strip()


def _signing(service: Service) -> list[str]:
    signs = say(service.repository.top, "config", "--type=bool", "--default", "false", "commit.gpgSign") == "true"
    return ["-S"] if signs else []


def _give_objects(service: Service, work: Scratch, names: list[str]) -> None:
    """Copies what the service does not have yet. Objects that nothing names do no harm: git removes them one day."""
    wanted = "".join(f"{name}\n" for name in names).encode()
    # What a partial clone lacks is what it lacked before.
    pack = work.git("pack-objects", "--revs", "--local", "--missing=allow-any", "--stdout", "-q", stdin=wanted)
    git(service.repository.top, "unpack-objects", "-q", stdin=pack)
