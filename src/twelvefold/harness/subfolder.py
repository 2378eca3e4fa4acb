"""The history of a folder of a repository, as a repository of its own: a service need not be at the top of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .tools import git

EVERY_CHANGE = ("--topo-order", "--full-history", "--parents", "--date=raw")
FORMAT = "--format=%H%n%P%n%an <%ae> %ad%n%cn <%ce> %cd%n%B"


@dataclass(frozen=True)
class _Commit:
    name: str
    parents: list[str]
    author: str
    committer: str
    message: str


def take_out(project: Path, target: Path) -> bool:
    """Makes a repository of whatever any commit had in a folder; returns False where HEAD never had any of it.

    The commits have other names there, as all else of the repository is missing. Raises PreparationError.
    """
    tip = git(project, "log", "-1", *EVERY_CHANGE, "--format=%H", "HEAD", "--", ".").strip()
    if not tip:
        return False
    text = git(project, "log", "--reverse", "-z", *EVERY_CHANGE, FORMAT, "HEAD", "--all", "--", ".")
    commits = [_Commit(name, parents.split(), *rest) for name, parents, *rest in _fields(text)]
    target.mkdir()
    git(target, "init", "--quiet", "--initial-branch=main")
    borrowed = target / ".git/objects/info/alternates"
    borrowed.write_text(git(project, "rev-parse", "--path-format=absolute", "--git-path", "objects"))
    git(target, "fast-import", "--quiet", stdin="".join(_stream(commits, _trees(project, commits), tip)))
    git(target, "repack", "-a", "-d", "--quiet")
    borrowed.unlink()
    git(target, "reset", "--quiet", "--hard")
    return True


def _fields(text: str) -> Iterator[list[str]]:
    return (record.split("\n", 4) for record in text.split("\0") if record)


def _trees(project: Path, commits: Sequence[_Commit]) -> list[str]:
    """What the folder was at each commit; nothing where it was not there."""
    asked = "".join(f"{commit.name}:./\n" for commit in commits)
    answers = git(project, "cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked).splitlines()
    return [answer.removesuffix(" tree") if answer.endswith(" tree") else "" for answer in answers]


def _stream(commits: Sequence[_Commit], trees: Sequence[str], tip: str) -> Iterator[str]:
    """The commits as git fast-import reads them; each is kept by a branch, as a clone would have it."""
    marks = {commit.name: number for number, commit in enumerate(commits, 1)}
    for commit, tree in zip(commits, trees, strict=True):
        yield f"commit refs/heads/part-{marks[commit.name]}\nmark :{marks[commit.name]}\n"
        yield f"author {commit.author}\ncommitter {commit.committer}\n"
        yield f"data {len(commit.message.encode('utf-8', 'surrogateescape'))}\n{commit.message}\n"
        known = [marks[parent] for parent in commit.parents if parent in marks]
        yield "".join(f"{'merge' if place else 'from'} :{mark}\n" for place, mark in enumerate(known))
        yield f'M 040000 {tree} ""\n' if tree else "deleteall\n"
    yield f"reset refs/heads/main\nfrom :{marks[tip]}\n"
    for parent in {parent for commit in commits for parent in commit.parents} & marks.keys():
        yield f"reset refs/heads/part-{marks[parent]}\nfrom {'0' * 40}\n"
