"""Finds what lies in an update's way and what git does not see: ignored files, and files with hidden changes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Set
from pathlib import Path, PurePosixPath

from .git import Refusal, git, listed
from .service import Repository
from .trees import SUBMODULE, Tree


def ignored(repository: Repository, ours: Tree, side: Tree) -> set[str]:
    """The files of a side that the service does not track, and that lie in its work tree: git ignores them there."""
    tracked = {path.casefold(): path for path in ours}
    found = set()
    for path in side.keys() - ours.keys():
        place, name = repository.top / path, tracked.get(path.casefold(), "")
        if has_file(repository.top, path) and not (name and _is_the_same(repository.top, place, name, path)):
            found.add(path)
    return found


def has_file(top: Path, path: str) -> bool:
    """Whether a file or a link lies at a path; what a linked folder above it leads to lies elsewhere."""
    linked = any((top / parent).is_symlink() for parent in PurePosixPath(path).parents[:-1])
    return not linked and is_file(top / path)


def is_file(place: Path) -> bool:
    """Whether there is a file or a link, to whatever place."""
    return os.path.lexists(place) and (place.is_symlink() or not place.is_dir())


def blocked(repository: Repository, head: Set[str], result: Set[str]) -> list[str]:
    """The new files that cannot be written since something that git ignores lies there. It is never overwritten."""
    removed = head - result
    return sorted(path for path in result - head if _is_blocked(repository.top, path, removed))


def refuse_submodules(there: Tree, files: Iterable[str]) -> None:
    """Raises Refusal when a file would lie in a submodule that is there, or in its place."""
    submodules = {path for path, entry in there.items() if entry.mode == SUBMODULE}
    for path in files:
        for place in (path, *map(str, PurePosixPath(path).parents)):
            if place in submodules:
                raise Refusal(
                    f"{place} is a submodule here, and {path} would lie there: move the submodule elsewhere "
                    f"(git mv {place} NEW-PLACE), commit that, and run this again."
                )


def _is_blocked(top: Path, path: str, removed: Set[str]) -> bool:
    for parent in reversed(PurePosixPath(path).parents[:-1]):
        place = top / parent
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            return str(parent) not in removed
    place = top / path
    if place.is_dir() and not place.is_symlink():
        return not all(name in removed for name in _files_below(top, place))
    return os.path.lexists(place) and not any(_is_the_same(top, place, name, path) for name in removed)


def _files_below(top: Path, folder: Path) -> Iterable[str]:
    for current, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(current) / name).is_symlink()]
        for name in [*files, *links]:
            yield (Path(current) / name).relative_to(top).as_posix()


def _is_the_same(top: Path, place: Path, name: str, path: str) -> bool:
    """Whether a file that is removed is this one, under a name in other letters on a disk that takes them for one."""
    return name.casefold() == path.casefold() and (top / name).exists() and place.samefile(top / name)


def refuse_hidden_changes(repository: Repository, head: Tree, touched: set[str]) -> set[str]:
    """The files to be left out of the work tree, since the service's checkout leaves them out.

    Raises Refusal when an update would overwrite a change that git was told not to look at.
    """
    absent, changed = set(), []
    for line in listed(git(repository.top, "ls-files", "-v", "-z")):
        mark, path = line.split(" ", 1)
        if path not in touched or (mark != "S" and not mark.islower()):
            continue
        if mark.upper() == "S" and not os.path.lexists(repository.top / path):
            absent.add(path)
        elif not _as_committed(repository.top, head, path):
            changed.append(path)
    if changed:
        raise Refusal(
            f"The update changes {', '.join(sorted(changed))}, where git was told to overlook your changes. "
            "Let it see them by git update-index --no-skip-worktree --no-assume-unchanged, then commit them."
        )
    return absent


def _as_committed(top: Path, head: Tree, path: str) -> bool:
    place = top / path
    if place.is_symlink() or not place.is_file():
        return False
    content = git(top, "hash-object", f"--path={path}", "--", str(place)).decode().strip()
    return path in head and content == head[path].oid
