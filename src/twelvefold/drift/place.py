"""Looks at what lies in a service where the template has files, as git would store it. Nothing is written there."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from ..update.git import GitError, Refusal, git, listed, require_git, say
from ..update.service import ANSWERS_FILE, NoRepository, Repository, find_repository
from ..update.trees import ATTRIBUTES, SUBMODULE, Entry, Scratch, Tree, make_lone_scratch, make_scratch

LINK = "120000"


@dataclass(frozen=True)
class Seen:
    """What lies where the template has files, by name.

    `files` are those that git could store, `others` are folders and the like; `remarks` says more of some, also of
    those that are not there; `ignored` are the names that git neither tracks nor would.
    """

    files: Tree
    others: set[str]
    remarks: dict[str, str]
    ignored: set[str]


@dataclass(frozen=True)
class Place:
    """Where a service lies: in the work tree of a repository, or in a plain folder, which has no index."""

    repository: Repository
    scratch: Scratch
    is_plain: bool
    _listings: dict[Path, set[str]] = field(default_factory=dict, repr=False)

    @property
    def prefix(self) -> str:
        """What the names of the service's files begin with, from the top of the work tree on."""
        return self.repository.prefix

    def git(self, *arguments: str, stdin: bytes | None = None, may_exit: int = 0) -> bytes:
        """What a git command prints about the service's files; a plain folder is a work tree without an index."""
        env = self.scratch.env if self.is_plain else None
        return git(self.repository.top, *arguments, stdin=stdin, env=env, may_exit=may_exit)

    def names(self) -> list[str]:
        """The service's files, from the top on, without those that git ignores."""
        listing = self.git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", self.prefix or ".")
        return sorted({name for name in listed(listing) if os.path.lexists(self.repository.top / name)})

    def attributes(self) -> Tree:
        """The files that tell git about line endings, as they lie there."""
        pattern = f":(glob)**/{ATTRIBUTES}"
        names = listed(self.git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", pattern))
        places = {name: self.repository.top / name for name in set(names)}
        return {
            name: Entry("100644", self.scratch.add(place.read_bytes()))
            for name, place in places.items()
            if place.is_file() and not place.is_symlink()
        }

    def is_uncommitted(self) -> bool:
        """Whether there is work that no commit has."""
        if self.is_plain:
            return False
        return bool(self.git("status", "--porcelain", "-z", "--untracked-files=normal", "--", self.prefix or "."))

    def look(self, paths: set[str]) -> Seen:
        """What lies at these names."""
        there, others, remarks = [], set(), {}
        for path in sorted(paths):
            kind, remark = self._look_at(path)
            if kind == "file":
                there.append(path)
            elif kind == "other":
                others.add(path)
            if remark:
                remarks[path] = remark
        files = self._as_the_index_says(self.stored(there, "judged"), paths - others)
        reachable = [path for path in sorted(paths - others) if path not in remarks]
        return Seen(files, others, remarks, self._ignored(reachable, files))

    def _look_at(self, path: str) -> tuple[str, str]:
        """Whether there is a `file` (or a link), something `other`, or `nothing`; and what there is to say of it.

        Names are compared as the folder lists them, since a disk may take two letters for one.
        """
        place = self.repository.top
        for name in PurePosixPath(path).parts:
            if place.is_symlink() or not place.is_dir():
                what = "a symbolic link" if place.is_symlink() else "a file"
                return "nothing", f"{self._named(place)} is {what} here"
            if place != self.repository.top and (".git" in self._names(place) or self._is_submodule(place)):
                return "nothing", f"{self._named(place)} is a repository of its own here"
            if name not in self._names(place):
                return "nothing", self._in_other_letters(place, name)
            place = place / name
        mode = place.lstat().st_mode
        if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
            return "file", ""
        return "other", "became a folder" if stat.S_ISDIR(mode) else "became something that is no file"

    def _is_submodule(self, folder: Path) -> bool:
        """Whether the index has a repository there, which need not be checked out."""
        _, entry = self._index.get(folder.relative_to(self.repository.top).as_posix(), (False, None))
        return entry is not None and entry.mode == SUBMODULE

    def _names(self, folder: Path) -> set[str]:
        if folder not in self._listings:
            self._listings[folder] = set(os.listdir(folder))
        return self._listings[folder]

    def _in_other_letters(self, folder: Path, name: str) -> str:
        """What to say when a file lies there under a name that differs in upper and lower case only."""
        others = sorted(other for other in self._names(folder) if other.casefold() == name.casefold())
        return f"{self._named(folder / others[0])} lies here" if others else ""

    def _named(self, place: Path) -> str:
        return place.relative_to(self.repository.folder).as_posix()

    def stored(self, paths: list[str], index_name: str) -> Tree:
        """Files as git would store them, in the scratch repository only, with an index of their own."""
        if not paths:
            return {}
        index = str(self.scratch.folder / f"{index_name}.index")
        names = b"".join(os.fsencode(f"{path}\0") for path in paths)
        options = ("--force", "--pathspec-from-file=-", "--pathspec-file-nul")
        self.scratch.git("add", *options, stdin=names, GIT_INDEX_FILE=index, GIT_LITERAL_PATHSPECS="1")
        return self.scratch.staged(index)

    def _as_the_index_says(self, files: Tree, paths: set[str]) -> Tree:
        """The files, with what a work tree cannot show: bits and links that its disk lacks, what is not checked out."""
        found = dict(files)
        for path, (is_left_out, entry) in self._index.items():
            if path not in paths or entry.mode == SUBMODULE:
                continue
            if path not in files and is_left_out:
                content = self.git("cat-file", "blob", entry.oid)
                found[path] = Entry(entry.mode, self.scratch.add(content))
            elif path in files and files[path].mode != entry.mode and not self._shows(files[path], entry):
                found[path] = replace(files[path], mode=entry.mode)
        return found

    def _shows(self, seen: Entry, entry: Entry) -> bool:
        """Whether the disk could have shown the mode that the index has, so that another one is a change."""
        if LINK in (seen.mode, entry.mode):
            return seen.mode == LINK or self._setting("core.symlinks")
        return self._setting("core.fileMode")

    def _setting(self, name: str) -> bool:
        return self.git("config", "--type=bool", "--default", "true", name).strip() == b"true"

    @cached_property
    def _index(self) -> dict[str, tuple[bool, Entry]]:
        """The service's index without conflicts: whether a file is left out of the work tree, and its entry."""
        if self.is_plain:
            return {}
        entries = {}
        for line in listed(self.git("ls-files", "-v", "--stage", "-z", "--", self.prefix or ".")):
            meta, path = line.split("\t", 1)
            mark, mode, oid, stage = meta.split()
            if stage == "0":
                entries[path] = (mark.upper() == "S", Entry(mode, oid))
        return entries

    def _ignored(self, paths: list[str], files: Tree) -> set[str]:
        """Of some names those that git ignores; in a plain folder only of what is not there, the rest is tracked."""
        asked = [path for path in paths if path not in (files if self.is_plain else self._index)]
        names = b"".join(os.fsencode(f"{path}\0") for path in asked)
        return set(listed(self.git("check-ignore", "--stdin", "-z", stdin=names, may_exit=1))) if asked else set()


def find_place(folder: Path, scratch: Path) -> Place:
    """Where a service lies. Raises Refusal when it is no folder, or git does not work there.

    A folder whose answers its repository does not track is a plain one: it was copied there, or is not committed yet.
    """
    require_git()
    try:
        repository = find_repository(folder)
        tracks = bool(git(repository.folder, "ls-files", "-z", "--", ANSWERS_FILE))
    except NoRepository:
        tracks = False
    if tracks:
        # git would touch borrowed objects, and those are the service's.
        return Place(repository, make_scratch(scratch / "scratch.git", repository, borrow=False), is_plain=False)
    folder, git_dir = folder.resolve(), scratch / "scratch.git"
    alone = Repository(folder, folder, git_dir)
    return Place(alone, make_lone_scratch(git_dir, alone), is_plain=True)


def extract(repository: Path, commit: str, folder: Path, scratch: Path) -> None:
    """Writes the files of a commit into a new folder; `git archive` would leave out what is not for export."""
    folder.mkdir(parents=True)
    try:
        git_dir = say(repository, "rev-parse", "--absolute-git-dir")
        env = {"GIT_DIR": git_dir, "GIT_WORK_TREE": str(folder), "GIT_INDEX_FILE": str(scratch / "extracted.index")}
        git(folder, "read-tree", "--end-of-options", f"{commit}^{{tree}}", env=env)
        git(folder, "checkout-index", "--all", "--quiet", env=env)
    except GitError as error:
        raise Refusal(f"{commit} of {repository} cannot be read: {error}") from error
