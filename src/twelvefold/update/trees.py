"""Trees of files in a repository of their own, which borrows the service's objects and gives it none."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .git import Refusal, git, listed, say
from .service import Repository

ATTRIBUTES = ".gitattributes"
SUBMODULE = "160000"  # the mode of a folder that is a repository of its own


@dataclass(frozen=True)
class Entry:
    """A file in git: its mode, such as `100644`, and its content's object."""

    mode: str
    oid: str


Tree = dict[str, Entry]


def entry_line(path: str, entry: Entry, stage: int = 0) -> str:
    """A file as `git update-index --index-info` reads it."""
    return f"{entry.mode} {entry.oid} {stage}\t{path}"


def removal_line(path: str, some_object: str) -> str:
    """A file that goes, in all its stages; any object's name tells how long names are."""
    return f"0 {'0' * len(some_object)} 0\t{path}"


def index_info(lines: Iterable[str]) -> bytes:
    """Lines for `git update-index -z --index-info`."""
    return b"".join(os.fsencode(f"{line}\0") for line in lines)


def read_tree(output: bytes) -> Tree:
    """What `git ls-tree -r -z` prints."""
    entries = {}
    for line in listed(output):
        meta, path = line.split("\t", 1)
        mode, _, oid = meta.split()
        entries[path] = Entry(mode, oid)
    return entries


# The first entry is what `merge=ours` means in a service's attributes, unless its own settings say it; the second is
# where git-lfs keeps what it takes out of files, which the service needs. The commits that are made here are for no one
# to see: who a person is, is asked in the service.
SETTINGS = """\
[merge "ours"]
	driver = true
[lfs]
	storage = {lfs}
{settings}[core]
	repositoryformatversion = {format}
	bare = false
	fileMode = true
	symlinks = true
	looseCompression = 0
	safecrlf = false
	sparseCheckout = false
[extensions]
	objectFormat = {objects}
[merge]
	renames = true
	renameLimit = 100000
[diff]
	renameLimit = 100000
[user]
	name = twelvefold
	email = twelvefold@localhost
[commit]
	gpgSign = false
[gc]
	auto = 0
"""


@dataclass(frozen=True)
class Scratch:
    """The repository in which trees are made and merged. The service's settings, attributes and objects count in it."""

    folder: Path
    service: Repository

    @property
    def env(self) -> dict[str, str]:
        """The environment in which git works on this repository, with the service's work tree to read attributes in."""
        return {"GIT_DIR": str(self.folder), "GIT_WORK_TREE": str(self.service.top)}

    def git(self, *arguments: str, stdin: bytes | None = None, may_exit: int = 0, **env: str) -> bytes:
        """What a git command prints that works on this repository."""
        return git(self.service.top, *arguments, stdin=stdin, env=self.env | env, may_exit=may_exit)

    def say(self, *arguments: str) -> str:
        """What a git command prints that works on this repository, as one text."""
        return say(self.service.top, *arguments, env=self.env)

    def tree(self, name: str) -> Tree:
        """The files of a commit or a tree."""
        return read_tree(self.git("ls-tree", "-r", "-z", "--full-tree", name))

    def write(self, tree: Tree) -> str:
        """Makes a tree of files; returns its name. Raises Refusal where one lies below another one, as in no tree."""
        index = self.folder / "written.index"
        index.unlink(missing_ok=True)
        lines = index_info(entry_line(path, entry) for path, entry in tree.items())
        self.git("update-index", "-z", "--add", "--index-info", stdin=lines, GIT_INDEX_FILE=str(index))
        # A partial clone lacks contents that nothing here needs.
        name = os.fsdecode(self.git("write-tree", "--missing-ok", GIT_INDEX_FILE=str(index))).strip()
        # Of two such files git leaves out one, and says nothing.
        if lost := tree.keys() - self.tree(name).keys():
            raise Refusal(
                f"{min(lost)} and another file need one place, as file and as folder: rename yours and commit."
            )
        return name

    def staged(self, index: str) -> Tree:
        """The files of an index in which none is in conflict."""
        tree = {}
        for line in listed(self.git("ls-files", "--stage", "-z", GIT_INDEX_FILE=index)):
            meta, path = line.split("\t", 1)
            mode, oid, _ = meta.split()
            tree[path] = Entry(mode, oid)
        return tree

    def content(self, entry: Entry) -> bytes:
        """What a file holds."""
        return self.git("cat-file", "blob", entry.oid)

    def add(self, content: bytes) -> str:
        """Stores a file's content; returns its name."""
        return os.fsdecode(self.git("hash-object", "-w", "--stdin", stdin=content)).strip()


def make_scratch(folder: Path, service: Repository, *, borrow: bool = True) -> Scratch:
    """An empty repository that sees the service's objects, unless it is not to borrow them.

    Who adds a file that a service has already lets git touch the time of the borrowed object, so that it is kept.
    """
    common = Path(say(service.top, "rev-parse", "--path-format=absolute", "--git-common-dir"))
    objects = say(service.top, "rev-parse", "--show-object-format")
    scratch = _lay_out(folder, service, _settings_of(service), objects, common / "lfs")
    if borrow:
        (folder / "objects/info/alternates").write_bytes(os.fsencode(f"{_quoted(str(common / 'objects'))}\n"))
    # `shallow` says where the history of a clone without the older commits ends.
    for name in ("info/attributes", "shallow"):
        if (common / name).is_file():
            shutil.copyfile(common / name, folder / name)
    return scratch


def make_lone_scratch(folder: Path, service: Repository) -> Scratch:
    """An empty repository for a service that lies in none: only the settings of this person count."""
    return _lay_out(folder, service, "", "sha1", folder / "lfs")


# What git is told in a service about contents and their merging; the rest speaks of that repository, or of servers.
OF_CONTENTS = re.compile(r"(core|diff|filter|i18n|lfs|merge)\.", re.IGNORECASE)


def _settings_of(service: Repository) -> str:
    """The settings that hold in the service, written out: which files git includes depends on where it works."""
    written = []
    for line in listed(git(service.top, "config", "--list", "--includes", "-z")):
        name, has_value, value = line.partition("\n")
        section, _, variable = name.rpartition(".")
        if OF_CONTENTS.match(name):
            part, dot, rest = section.partition(".")
            header = f"[{part} {_quoted(rest)}]" if dot else f"[{part}]"
            written.append(f"{header}\n\t{variable}{f' = {_quoted(value)}' if has_value else ''}\n")
    return "".join(written)


def _lay_out(folder: Path, service: Repository, told: str, objects: str, lfs: Path) -> Scratch:
    for name in ("objects/info", "refs/heads", "info"):
        (folder / name).mkdir(parents=True)
    (folder / "HEAD").write_text("ref: refs/heads/none\n")
    settings = SETTINGS.format(lfs=_quoted(str(lfs)), settings=told, objects=objects, format=1)
    (folder / "config").write_bytes(os.fsencode(settings.replace("	objectFormat = sha1\n", "")))
    return Scratch(folder, service)


def _quoted(text: str) -> str:
    """A text of any signs, as git reads it in its own files."""
    for sign, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n")):
        text = text.replace(sign, escaped)
    return f'"{text}"'


def add_folder(scratch: Scratch, root: Path, head: Tree, start: Tree | None = None, *, may_move: bool = False) -> Tree:
    """The files of a folder as git stores them: those that it ignores too, or with `start` only those that begin there.

    With `may_move` an ignored one counts all the same where git takes it for what a file of `start` has become.
    They pass the filters that the service's own attributes name, as its own files did.
    """
    index = scratch.folder / f"{root.parent.name}.index"
    env = {"GIT_WORK_TREE": str(root), "GIT_INDEX_FILE": str(index)}
    rendered = _swap_attributes(scratch, root, head, start)
    if start is not None:
        scratch.git("read-tree", scratch.write(start), GIT_INDEX_FILE=str(index))
    git(root, "add", "--all", *([] if start is not None else ["--force"]), "--", ".", env=scratch.env | env)
    tree = scratch.staged(str(index))
    if start is not None and may_move and start.keys() - tree.keys():
        git(root, "add", "--all", "--force", "--", ".", env=scratch.env | env)
        every = scratch.staged(str(index))
        tree |= {path: every[path] for _, path in renamed(scratch, start, every) if path not in tree}
    return {path: entry for path, entry in tree.items() if PurePosixPath(path).name != ATTRIBUTES} | rendered


def renamed(scratch: Scratch, old: Tree, new: Tree) -> list[tuple[str, str]]:
    """The old and the new names of files that are not where they were, as git finds them by their content."""
    trees = (scratch.write(old), scratch.write(new))
    parts = listed(scratch.git("diff-tree", "-r", "-M", "--diff-filter=R", "--name-status", "-z", *trees))
    return [*zip(parts[1::3], parts[2::3], strict=True)]


def _swap_attributes(scratch: Scratch, root: Path, head: Tree, start: Tree | None) -> Tree:
    """Puts the service's attributes in the place of the rendered ones, which are stored and returned.

    With `start` they lie there as they were checked out, so that git tells what they are, and which it ignores.
    """
    rendered = {}
    names = [path.relative_to(root).as_posix() for path in root.rglob(ATTRIBUTES)]
    for name in names:
        if start is None:
            rendered[name] = Entry("100644", scratch.add((root / name).read_bytes()))
        elif found := _as_stored(scratch, root, name, start):
            rendered[name] = found
    for name in names:  # after all of them are stored: one tells how another is
        (root / name).unlink()
    for name, entry in head.items():
        if PurePosixPath(name).name == ATTRIBUTES and (root / name).parent.is_dir():
            (root / name).write_bytes(scratch.content(entry))
    return rendered


def _as_stored(scratch: Scratch, root: Path, name: str, start: Tree) -> Entry | None:
    """A file of a work tree as git would store it; None where git ignores it."""
    place, env = root / name, scratch.env | {"GIT_WORK_TREE": str(root)}
    if name not in start and git(root, "check-ignore", "--", name, env=env, may_exit=1):
        return None
    if place.is_symlink():
        return Entry("120000", scratch.add(os.fsencode(place.readlink())))
    oid = os.fsdecode(git(root, "hash-object", "-w", "--", name, env=env)).strip()
    return Entry(start[name].mode if name in start and start[name].mode != "120000" else "100644", oid)
