"""Takes the last update of a service back, as one step of the same kind."""

from __future__ import annotations

import os
import shlex
from typing import Any

from .git import Refusal, git, listed, say, succeeds
from .itself import undo_command
from .obstacles import blocked, is_file
from .service import ANSWERS_FILE, Repository
from .transition import Step, alone, carry_out, is_as_written, is_interrupted, last_step, recover, rescue, tell
from .trees import SUBMODULE, Tree, entry_line, read_tree, removal_line


def undo_update(repository: Repository) -> str:
    """Brings a service back as it was before its last update; returns what to tell. Raises Refusal."""
    with alone(repository):
        if is_interrupted(repository):
            return recover(repository)
        last = last_step(repository)
        if last is None or last["keep"].get("kind") != "update":
            raise Refusal("There is no update to take back.")
        _refuse_another_service(repository, last)
        return _undo(repository, last)


def _undo(repository: Repository, last: dict[str, Any]) -> str:
    head, before = repository.head, last["head"]
    if head != before or not _waits_for_a_commit(repository, last):
        _refuse_another_branch(repository, last)
        _refuse_later_work(repository, head, last)
    touched = set(last["keep"]["touched"])
    touched |= set(listed(git(repository.top, "diff-tree", "-r", "--name-only", "--no-renames", "-z", before, head)))
    tree = read_tree(git(repository.top, "ls-tree", "-r", "-z", "--full-tree", before))
    left = set(last["keep"]["left"])
    _refuse_what_is_in_the_way(repository, touched - left, tree)
    rescued = [rescue(repository, path) for path in sorted(touched - left) if _is_edited(repository, tree, path)]
    carry_out(repository, _step(last, head, tree, touched, left))
    told = f"{repository.folder} is as it was before: {last['title']}."
    if head not in (before, last["new_head"]):
        told += f" Your commit {head[:10]} is kept: git show {head[:10]}."
    return tell(told, rescued)


def _refuse_another_service(repository: Repository, last: dict[str, Any]) -> None:
    """Services of one repository share the journal: it knows the last update of all of them."""
    if (prefix := last["keep"]["prefix"]) == repository.prefix:
        return
    answers = f"{repository.prefix}{ANSWERS_FILE}"
    # Not the commit that added them: it has made the service.
    updated = say(repository.top, "log", "-1", "--format=%h", "--diff-filter=M", "--", answers)
    own = f", git revert {updated} the last one of {repository.folder}" if updated else ""
    place = shlex.quote(str(repository.top / prefix))
    raise Refusal(f"The last update was of another service: {undo_command()} {place} takes it back{own}.")


def _waits_for_a_commit(repository: Repository, last: dict[str, Any]) -> bool:
    """Whether the update lies there uncommitted: as git's cherry-pick, or in the index once that was ended."""
    picked = repository.find("CHERRY_PICK_HEAD")
    if picked is None:
        return _has_update(repository, "", last)
    of_the_update: str | None = last["notes"].get("CHERRY_PICK_HEAD")
    return of_the_update == f"{picked}\n"


def _refuse_another_branch(repository: Repository, last: dict[str, Any]) -> None:
    """Taken back on one branch, the update would stay on the other one, and nobody could take it back there."""
    branch = last["branch"]
    if branch in ("HEAD", say(repository.top, "rev-parse", "--symbolic-full-name", "HEAD")):
        return
    if repository.find(branch) is not None:  # it may have another name by now
        if (made := _commit_of(repository, last)) is not None:
            raise Refusal(f"This branch has the update from another one: git revert {made[:10]} takes it back here.")
        name = shlex.quote(branch.removeprefix("refs/heads/"))
        raise Refusal(f"The update was made on another branch: git switch {name} first.")


def _refuse_later_work(repository: Repository, head: str, last: dict[str, Any]) -> None:
    """Undoing goes as far as nothing is built on the update."""
    made = _commit_of(repository, last)
    if made is None:
        raise Refusal("There is no update to take back: neither the branch nor the index has the last one.")
    revert = f"git revert {made[:10]} takes it back with a commit of its own."
    if made != head or repository.find(f"{head}^") != last["head"]:
        raise Refusal(f"There are commits beside the update's: {revert}")
    if say(repository.top, "for-each-ref", "--contains", head, "refs/remotes"):
        raise Refusal(f"The update has been pushed: {revert}")
    here = say(repository.top, "rev-parse", "--symbolic-full-name", "HEAD")
    having = say(repository.top, "for-each-ref", "--format=%(refname)", "--contains", head, "refs/heads").splitlines()
    if others := [name.removeprefix("refs/heads/") for name in having if name != here]:
        raise Refusal(f"Other branches have the update too, such as {others[0]}: {revert}")
    changed = listed(git(repository.top, "status", "--porcelain", "-z", "--untracked-files=no", "--no-renames"))
    if changed:
        names = ", ".join(line[3:] for line in changed[:5])
        raise Refusal(f"There are changes that are not committed: {names}. Commit or stash them first.")


def _refuse_what_is_in_the_way(repository: Repository, touched: set[str], before: Tree) -> None:
    """What lies now where a file comes back may be a folder with files that git does not know."""
    files = {path for path in touched & before.keys() if before[path].mode != SUBMODULE}
    lying = {path for path in touched if is_file(repository.top / path)}
    if found := blocked(repository, lying, files):
        names = ", ".join(found[:5])
        raise Refusal(f"Something else lies where these files were: {names}. Move that elsewhere, and run this again.")


def _commit_of(repository: Repository, last: dict[str, Any]) -> str | None:
    """The commit that brought the update, which may be another one than was made: resolved, amended or rebased."""
    before, made = last["head"], last["new_head"]
    if made != before and succeeds(repository.top, "merge-base", "--is-ancestor", made, "HEAD"):
        return str(made)
    answers = f"{repository.prefix}{ANSWERS_FILE}"
    found = say(repository.top, "rev-list", "--reverse", f"{before}..HEAD", "--", answers).split()
    return next((commit for commit in found if _has_update(repository, commit, last)), None)


def _has_update(repository: Repository, commit: str, last: dict[str, Any]) -> bool:
    """Whether a commit, or the index where none is named, records what the update has recorded."""
    answers = f":{repository.prefix}{ANSWERS_FILE}"
    recorded = repository.find(f"{commit}{answers}")
    return recorded == last["keep"]["answers"] and recorded != repository.find(f"{last['head']}{answers}")


def _step(last: dict[str, Any], head: str, tree: Tree, touched: set[str], left: set[str]) -> Step:
    lines = [removal_line(path, head) for path in sorted(touched)]
    lines += [entry_line(path, tree[path]) for path in sorted(touched) if path in tree]
    return Step(
        title=f"undo {last['title']}",
        head=head,
        new_head=last["head"],
        write={path: tree[path] for path in sorted(touched - left) if path in tree},
        remove=sorted(touched - left - tree.keys()),
        index=lines,
        notes=dict.fromkeys(last["notes"]),
        keep={"kind": "undo", "prefix": last["keep"]["prefix"]},
    )


def _is_edited(repository: Repository, tree: Tree, path: str) -> bool:
    """Whether a file is neither as the update has written it, nor as it was before, nor as it is committed."""
    place = repository.top / path
    if not os.path.lexists(place) or place.is_dir() or is_as_written(repository, path):
        return False
    if place.is_symlink():
        return True
    content = say(repository.top, "hash-object", f"--path={path}", "--", str(place))
    return repository.find(f"HEAD:{path}") != content and not (path in tree and tree[path].oid == content)
