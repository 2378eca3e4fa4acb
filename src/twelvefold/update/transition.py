"""Changes a service in one short step that leaves it as it was when it is killed at any moment.

Everything is made ready beside the service, in the folder `twelvefold` of its git directory: the new files and a copy
of each old one. Then a journal is written, the files are put in place one by one, then the index, then the branch.
While the journal is there the step is not complete, and `recover` takes back what was done of it; renaming it ends it.
A guard does that at once when this process is killed; the next command does it when the whole machine has stopped,
unless another commit has been checked out since.
"""

from __future__ import annotations

import errno
import fcntl
import filecmp
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from .git import Refusal, git, listed, say
from .guard import guarded
from .itself import undo_command
from .obstacles import blocked, is_file, refuse_hidden_changes, refuse_submodules
from .service import ANSWERS_FILE, REFS, Repository, refuse_what_is_under_way
from .trees import ATTRIBUTES, SUBMODULE, Tree, entry_line, index_info, read_tree, removal_line

JOURNAL, LAST, SET_ASIDE = "journal.json", "last.json", "set-aside.json"
LAST_HAS = {"title", "head", "new_head", "branch", "notes", "keep"}  # what taking a step back needs of its journal
JOURNAL_HAS = {*LAST_HAS, "write", "remove", "new_folders", "old_notes"}


@dataclass(frozen=True)
class Step:
    """What changes: files that are written (with their entries) and removed, the index, the branch, files of git's own.

    `index` has lines as `git update-index --index-info` reads them. `notes` maps names in the git directory to their
    content, or to None for those that go. `was` has the files that are written or removed as they have to be still, or
    is None where they may be anything.
    """

    title: str
    head: str
    new_head: str
    write: Tree
    remove: list[str]
    index: list[str]
    notes: Mapping[str, str | None] = field(default_factory=dict)
    keep: Mapping[str, Any] = field(default_factory=dict)
    was: Tree | None = None


def state_folder(repository: Repository) -> Path:
    """Where a step keeps what it needs to be taken back."""
    return repository.git_dir / "twelvefold"


def last_step(repository: Repository) -> dict[str, Any] | None:
    """The journal of the last step that was completed. Raises Refusal when it cannot be read."""
    path = state_folder(repository) / LAST
    try:
        journal = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:  # no JSON, or no UTF-8
        journal = None
    if not isinstance(journal, dict) or not journal.keys() >= LAST_HAS or not isinstance(journal["keep"], dict):
        raise Refusal(f"{path} is broken, so that git has to take the last step back: git log shows its commit.")
    return journal


def is_interrupted(repository: Repository) -> bool:
    """Whether a step was begun, and neither completed nor taken back."""
    return (state_folder(repository) / JOURNAL).exists()


def is_left_half_way(repository: Repository) -> bool:
    """Whether such a step was of this service, and not of another one in its repository, as far as can be known."""
    if not is_interrupted(repository):
        return False
    try:
        return bool(_journal(repository)["keep"].get("prefix", repository.prefix) == repository.prefix)
    except (ValueError, FileNotFoundError):  # it cannot be read, or has ended by now
        return is_interrupted(repository)


@contextmanager
def alone(repository: Repository) -> Iterator[None]:
    """Keeps a second update of the same service out. Raises Refusal."""
    folder = state_folder(repository)
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal(f"Another update of {repository.folder} is under way.") from None
        yield


def carry_out(repository: Repository, step: Step) -> None:
    """Changes the service; whatever goes wrong is taken back, and raised. Needs `alone`."""
    # The folder of a submodule is not this repository's, so only the index says which commit belongs there.
    step = replace(step, write={path: entry for path, entry in step.write.items() if entry.mode != SUBMODULE})
    try:
        journal = _prepare(repository, step)
    except BaseException:
        _clean(state_folder(repository))
        raise
    try:
        with guarded(lambda: _take_back_at_once(repository)):
            _write(state_folder(repository) / JOURNAL, json.dumps(journal, indent=1))
            _put_in_place(repository, step)
    except BaseException as error:
        if is_interrupted(repository):
            raise Refusal(
                f"What was begun could not be taken back ({error}): {undo_command()} brings the service back as it was."
            ) from error
        raise


def recover_first(repository: Repository, *, check: bool) -> None:
    """Takes back a step that was interrupted, and tells; raises Refusal with `check`, which changes nothing."""
    if not is_interrupted(repository):
        return
    if check:
        raise Refusal(f"An update was interrupted: {undo_command()} brings the service back as it was.")
    sys.stderr.write(recover(repository))


def recover(repository: Repository) -> str:
    """Takes back a step that was interrupted; returns what to tell. Needs `alone`.

    Raises Refusal when other commits were checked out since: what lies there then is theirs.
    """
    state = state_folder(repository)
    try:
        journal = _journal(repository)
    except ValueError:
        (state / JOURNAL).replace(state / SET_ASIDE)
        raise Refusal(
            f"An update of {repository.folder} was interrupted, and what it had noted cannot be read, so nothing is "
            "taken back: see with git status whether files of the update are left, then run this again."
        ) from None
    if repository.head not in (journal["head"], journal["new_head"]):
        (state / JOURNAL).replace(state / SET_ASIDE)
        raise Refusal(
            f"An update of {repository.folder} was interrupted, and another commit has been checked out since, so "
            "nothing is taken back: see with git status whether files of the update are left, then run this again."
        )
    rescued = _take_back_step(repository, journal)
    return tell(f"An update of {repository.folder} was interrupted; all is as it was before it.", rescued)


def tell(text: str, rescued: list[str]) -> str:
    """A text for the person, with the places where files are that somebody changed in between."""
    kept = "".join(f"\nWhat you had changed since is kept in {path}" for path in rescued)
    return f"{text}{kept}\n"


def _take_back_at_once(repository: Repository) -> None:
    """Takes back what was begun by this process, or by the one that this one guards."""
    if is_interrupted(repository) and (rescued := _take_back_step(repository, _journal(repository))):
        sys.stderr.write(tell(f"The update of {repository.folder} is taken back.", rescued))
        sys.stderr.flush()  # a guard ends without it


def _journal(repository: Repository) -> dict[str, Any]:
    """What is under way; raises ValueError when it cannot be read."""
    journal = json.loads((state_folder(repository) / JOURNAL).read_text("utf-8"))
    if not isinstance(journal, dict) or not journal.keys() >= JOURNAL_HAS:
        raise ValueError("it lacks what taking back needs")
    return journal


def _take_back_step(repository: Repository, journal: dict[str, Any]) -> list[str]:
    """Returns where it has put files that somebody changed in between."""
    state = state_folder(repository)
    _unlock(repository, journal)
    for name, content in journal["old_notes"].items():
        _note(repository, name, content)
    if repository.head == journal["new_head"]:
        _move_branch(repository, f"undo: {journal['title']}", journal["new_head"], journal["head"])
    _take_back_index(repository)
    changed = [*journal["write"], *journal["remove"]]
    rescued = [found for path in changed if (found := _take_back(repository, path))]
    for folder in reversed(journal["new_folders"]):
        with suppress(OSError):
            (repository.top / folder).rmdir()
    (state / JOURNAL).unlink()
    _clean(state)
    return rescued


def rescue(repository: Repository, path: str) -> str:
    """Keeps a copy of a file as it lies in the work tree; returns where."""
    folder = state_folder(repository) / "rescued"
    number = 1 + max((int(one.name) for one in folder.glob("*") if one.name.isdigit()), default=0)
    place = folder / str(number) / path
    place.parent.mkdir(parents=True)
    shutil.copy2(repository.top / path, place, follow_symlinks=False)
    _sync(place)
    return str(place)


def is_as_written(repository: Repository, path: str) -> bool:
    """Whether a file is the one that the last step has written."""
    return _same(repository.top / path, state_folder(repository) / "after" / path)


# -- Making ready -----------------------------------------------------------------------------------------------------


def _prepare(repository: Repository, step: Step) -> dict[str, Any]:
    """Makes the new files, the new index and copies of the old ones; returns the journal.

    Raises Refusal when something would be overwritten that was not there when the step was begun.
    """
    state = state_folder(repository)
    head = read_tree(git(repository.top, "ls-tree", "-r", "-z", "--full-tree", step.head))
    refuse_submodules(head, step.write)
    if step.was is not None:
        _refuse_what_began_meanwhile(repository, step, step.was)
    _clean(state)
    _stage_files(repository, step, head)
    for path in [*step.write, *step.remove]:
        _copy(repository.top / path, state / "before" / path)
    shutil.copy2(_index(repository), state / "before.index")
    if step.was is not None:
        _refuse_changes_meanwhile(repository, step, step.was)
    _make_index(repository, step)
    _sync_all(state)
    return {
        "title": step.title,
        "head": step.head,
        "new_head": step.new_head,
        "branch": say(repository.top, "rev-parse", "--symbolic-full-name", "HEAD"),
        "write": list(step.write),
        "remove": step.remove,
        "new_folders": _missing_folders(repository, step),
        "notes": dict(step.notes),
        "old_notes": {name: _noted(repository, name) for name in step.notes},
        "keep": dict(step.keep),
    }


def _refuse_what_began_meanwhile(repository: Repository, step: Step, was: Tree) -> None:
    """Looks again at what was looked at when the step was begun, which may be minutes ago."""
    refuse_what_is_under_way(repository)
    if repository.head != step.head:
        raise Refusal("Another commit was checked out while the update ran: run it again.")
    refuse_hidden_changes(repository, was, was.keys() | step.write.keys())


def _refuse_changes_meanwhile(repository: Repository, step: Step, was: Tree) -> None:
    """Lets nothing be lost that was changed since. What is changed after this is another file than its copy."""
    changed = _changed_files(repository, step) | set(blocked(repository, was.keys(), step.write.keys()))
    if changed:
        raise _ChangedMeanwhile(sorted(changed))


class _ChangedMeanwhile(Refusal):
    def __init__(self, paths: list[str]) -> None:
        super().__init__(
            f"Changed while the update ran: {', '.join(paths[:5])}. Commit that, or put it aside by git stash "
            "--include-untracked, and run it again."
        )


def _changed_files(repository: Repository, step: Step) -> set[str]:
    """The files of the step that are not as committed, in the work tree or in the index."""
    env = {"GIT_INDEX_FILE": str(state_folder(repository) / "before.index")}
    git(repository.top, "update-index", "-q", "--refresh", env=env, may_exit=1)
    names = ("--name-only", "--no-renames", "--ignore-submodules=all", "-z")
    changed = listed(git(repository.top, "diff-files", *names, env=env))
    changed += listed(git(repository.top, "diff-index", "--cached", *names, step.head, env=env))
    return _indexed(step) & set(changed)


def _indexed(step: Step) -> set[str]:
    return {line.rpartition("\t")[2] for line in step.index}


def _in_conflict(step: Step) -> set[str]:
    """The files that the new index has in stages."""
    stages = (line.split("\t", 1) for line in step.index)
    return {path for meta, path in stages if not meta.endswith(" 0")}


def _missing_folders(repository: Repository, step: Step) -> list[str]:
    """The folders that new files need and that are not there, each after those that it lies in."""
    needed = {parent.as_posix() for path in step.write for parent in PurePosixPath(path).parents}
    return sorted(folder for folder in needed if not (repository.top / folder).is_dir())


def _stage_files(repository: Repository, step: Step, head: Tree) -> None:
    """Lets git make the new files as it would in the work tree, under the attributes that will lie there then."""
    after = state_folder(repository) / "after"
    after.mkdir()
    index = state_folder(repository) / "staged.index"
    env = {"GIT_INDEX_FILE": str(index), "GIT_DIR": str(repository.git_dir), "GIT_WORK_TREE": str(after)}
    there = head | step.write
    named = {path for path in there.keys() - set(step.remove) if PurePosixPath(path).name == ATTRIBUTES}
    attributes = {path: there[path] for path in named}
    for files in filter(None, (attributes, step.write)):
        lines = index_info(entry_line(path, entry) for path, entry in files.items())
        git(after, "update-index", "-z", "--add", "--index-info", stdin=lines, env=env)
        git(after, "checkout-index", "--all", "--quiet", "--force", env=env)
    for path in attributes.keys() - step.write.keys():
        (after / path).unlink()
    index.unlink(missing_ok=True)


def _make_index(repository: Repository, step: Step) -> None:
    """Makes the new index from the one that is there, so that what it says of other files stays."""
    index = state_folder(repository) / "after.index"
    shutil.copy2(_index(repository), index)
    env = {"GIT_INDEX_FILE": str(index)}
    flags: dict[str, list[str]] = {"--skip-worktree": [], "--assume-unchanged": []}
    touched = _indexed(step) - _in_conflict(step)  # a conflict has to be seen
    for line in listed(git(repository.top, "ls-files", "-v", "-z", env=env)):
        mark, path = line.split(" ", 1)
        if path in touched and mark.upper() == "S":
            flags["--skip-worktree"].append(path)
        if path in touched and mark.islower():
            flags["--assume-unchanged"].append(path)
    arguments = ("update-index", "-z", "--add", "--replace", "--index-info")
    git(repository.top, *arguments, stdin=index_info(step.index), env=env)
    left = set(listed(git(repository.top, "ls-files", "-z", env=env)))
    for option, flagged in flags.items():
        if paths := [path for path in flagged if path in left]:
            stdin = b"".join(os.fsencode(f"{path}\0") for path in paths)
            git(repository.top, "update-index", option, "-z", "--stdin", stdin=stdin, env=env)


# -- Putting in place -------------------------------------------------------------------------------------------------


def _put_in_place(repository: Repository, step: Step) -> None:
    state = state_folder(repository)
    for path in step.remove:
        _refuse_later_change(repository, path)
        _remove(repository, path)
    for path in _in_order(step):
        _refuse_later_change(repository, path)
        _place(repository, state / "after" / path, path)
    index = state / "refreshed.index"  # another one, since git leaves what it writes to be lost by a power cut
    shutil.copy2(state / "after.index", index)
    # Looks at the files that were written, so that the next git command need not; exits with 1 where a conflict is.
    git(repository.top, "update-index", "-q", "--refresh", env={"GIT_INDEX_FILE": str(index)}, may_exit=1)
    _install_index(repository, index, instead_of=state / "before.index")
    for name, content in step.notes.items():
        _note(repository, name, content)
    if step.new_head != step.head:
        _move_branch(repository, step.title, step.head, step.new_head)
    (state / JOURNAL).replace(state / LAST)
    shutil.rmtree(state / "before", ignore_errors=True)


def _in_order(step: Step) -> list[str]:
    """The files, so that the recorded version is never newer than what lies there, whatever keeps a step from its end.

    What an update half-way has written is then a part of the next one; else nobody would ever look at the rest.
    """
    undoes = step.keep.get("kind") == "undo"
    return sorted(step.write, key=lambda path: (PurePosixPath(path).name == ANSWERS_FILE) != undoes)


def _refuse_later_change(repository: Repository, path: str) -> None:
    """Lets nothing be lost that was written after the copies were made; it stays when the step is taken back."""
    place, before = repository.top / path, state_folder(repository) / "before" / path
    if is_file(place) and not _same(place, before):
        _copy(place, before)
        raise _ChangedMeanwhile([path])


def _place(repository: Repository, source: Path, path: str) -> None:
    """Puts a copy of a file at its place in the work tree, at once."""
    place, ready = repository.top / path, state_folder(repository) / "placing"
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir() and not place.is_symlink():
        place.rmdir()  # an empty folder, which git does not know
    _copy(source, ready)
    _sync(ready)
    try:
        ready.replace(place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # The git directory is on another disk.
        beside = _beside(place)
        _copy(source, beside)
        _sync(beside)
        beside.replace(place)


def _beside(place: Path) -> Path:
    return place.with_name(f".{place.name}.twelvefold")


def _remove(repository: Repository, path: str) -> None:
    """Removes a file, and the folders that are empty then."""
    place = repository.top / path
    if is_file(place):
        place.unlink()
    for folder in place.parents:
        if folder in (repository.top, repository.folder):
            break
        try:
            folder.rmdir()
        except OSError:
            break


def _install_index(repository: Repository, source: Path, *, instead_of: Path | None = None) -> None:
    """Makes an index the repository's, as git does: by its lock, which keeps other git commands out.

    Raises Refusal when the one that is there is another one than `instead_of`, which becomes a copy of it.
    """
    lock, ready = repository.git_dir / "index.lock", state_folder(repository) / "placing.index"
    ready.unlink(missing_ok=True)  # one that was left behind may be the index itself
    shutil.copy2(source, ready)
    _sync(ready)
    try:
        os.link(ready, lock)
    except FileExistsError:
        raise Refusal(f"Another git command is under way in {repository.top}: {lock} exists.") from None
    if instead_of is not None and _entries(repository, _index(repository)) != _entries(repository, instead_of):
        shutil.copy2(_index(repository), instead_of)
        lock.unlink()
        raise Refusal("Another git command has changed the index while the update ran: run it again.")
    lock.replace(_index(repository))
    ready.unlink()


def _move_branch(repository: Repository, title: str, old: str, new: str) -> None:
    git(repository.top, "update-ref", "-m", f"twelvefold: {title}", "HEAD", new, old)


def _note(repository: Repository, name: str, content: str | None) -> None:
    place = repository.git_dir / name
    if content is None:
        if name in REFS and repository.find(name):
            git(repository.top, "update-ref", "--no-deref", "-d", name)
        place.unlink(missing_ok=True)  # of a ref too, when git cannot read it
    elif _noted(repository, name) == content:
        return
    elif name in REFS:
        git(repository.top, "update-ref", "--no-deref", name, content.strip())
    else:
        _write(place, content)


def _noted(repository: Repository, name: str) -> str | None:
    if name not in REFS:
        return _read(repository.git_dir / name)
    return f"{found}\n" if (found := repository.find(name)) else None


# -- Taking back ------------------------------------------------------------------------------------------------------


def _take_back_index(repository: Repository) -> None:
    """Brings the index back as it was; what somebody has staged in between stays."""
    state = state_folder(repository)
    now = _entries(repository, _index(repository))
    before, after = (_entries(repository, state / f"{name}.index") for name in ("before", "after"))
    if now == after != before:
        _install_index(repository, state / "before.index")
    if now in (before, after):
        return
    was, became, has = map(_by_path, (before, after, now))
    ours = [path for path in was.keys() | became.keys() if has.get(path) == became.get(path) != was.get(path)]
    if ours:
        mixed = state / "mixed.index"
        shutil.copy2(_index(repository), mixed)
        lines = [removal_line(path, repository.head) for path in ours]
        lines += [line for path in ours for line in was.get(path, [])]
        arguments = ("update-index", "-z", "--add", "--replace", "--index-info")
        git(repository.top, *arguments, stdin=index_info(lines), env={"GIT_INDEX_FILE": str(mixed)})
        _install_index(repository, mixed)


def _by_path(entries: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in listed(entries):
        found.setdefault(line.partition("\t")[2], []).append(line)
    return found


def _take_back(repository: Repository, path: str) -> str | None:
    """Undoes the writing of a file; returns where its content is kept if it is neither the old nor the new one."""
    place, before = repository.top / path, state_folder(repository) / "before" / path
    for beside in filter(is_file, [_beside(place)]):
        beside.unlink()
    is_known = is_as_written(repository, path) or _same(place, before)
    kept = rescue(repository, path) if is_file(place) and not is_known else None
    if is_file(before):
        _restore(repository, path)
    elif is_file(place):
        _remove(repository, path)
    return kept


def _restore(repository: Repository, path: str) -> None:
    """Brings back a file as it was."""
    before, place = state_folder(repository) / "before" / path, repository.top / path
    if is_file(before) and not _same(before, place):
        _place(repository, before, path)


def _unlock(repository: Repository, journal: dict[str, Any]) -> None:
    """Removes the locks that a killed step has left; of other commands there are none with such content."""
    state = state_folder(repository)
    lock = repository.git_dir / "index.lock"
    ready = state / "placing.index"
    if lock.exists() and ready.exists() and lock.samefile(ready):
        lock.unlink()
    notes: dict[str, str | None] = {name: note for name, note in journal["notes"].items() if name in REFS}
    ours = ("", f"{journal['new_head']}\n", f"{journal['head']}\n", *notes.values())
    moved = ("HEAD", journal["branch"]) if journal["new_head"] != journal["head"] else ()
    for name in (*moved, *notes):
        path = Path(say(repository.top, "rev-parse", "--git-path", f"{name}.lock"))
        lock = repository.top / path
        if lock.exists() and lock.stat().st_mtime >= (state / JOURNAL).stat().st_mtime and _read(lock) in ours:
            lock.unlink()


def _clean(state: Path) -> None:
    for name in ("before", "after"):
        shutil.rmtree(state / name, ignore_errors=True)
    for path in [*state.glob("*.index"), state / "placing"]:
        path.unlink(missing_ok=True)


# -- Files ------------------------------------------------------------------------------------------------------------


def _index(repository: Repository) -> Path:
    return repository.git_dir / "index"


def _entries(repository: Repository, index: Path) -> bytes:
    return git(repository.top, "ls-files", "--stage", "-z", env={"GIT_INDEX_FILE": str(index)})


def _copy(source: Path, target: Path) -> None:
    """Copies a file or a link, if there is one; a file that had been begun there is replaced."""
    if not is_file(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)


def _same(one: Path, other: Path) -> bool:
    """Whether two files have the same content and may both be executed, or two links lead to the same place."""
    if not (is_file(one) and is_file(other)) or one.is_symlink() != other.is_symlink():
        return False
    if one.is_symlink():
        return one.readlink() == other.readlink()
    executable = [path.stat().st_mode & 0o111 for path in (one, other)]
    return executable[0] == executable[1] and filecmp.cmp(one, other, shallow=False)


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None


def _write(path: Path, text: str) -> None:
    """Writes a file at once, and waits until it is on the disk."""
    ready = path.with_name(f"{path.name}.twelvefold")
    with ready.open("w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    _sync(ready)
    ready.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Waits until a file or a folder is on the disk, so that a power cut does not leave it empty."""
    if path.is_symlink():  # its folder has all of it
        return
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _sync_all(folder: Path) -> None:
    """Waits until all that taking a step back needs is on the disk, before anything is changed."""
    for place in [folder / "before", *(folder / "before").rglob("*"), *folder.glob("*.index")]:
        if place.exists():
            _sync(place)
