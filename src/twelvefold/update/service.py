"""Looks at a service, and says why it cannot be updated now."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .git import GitError, Refusal, git, listed, require_git, say, succeeds
from .itself import undo_command
from .template import address, is_relative

ANSWERS_FILE = ".copier-answers.yml"

# What git keeps in its folder while something is under way, and how a person ends it.
UNDER_WAY = {
    "MERGE_HEAD": ("a merge", "git merge --continue or --abort"),
    "CHERRY_PICK_HEAD": ("a cherry-pick or an update", "git commit once it is resolved, or {undo}"),
    "REVERT_HEAD": ("a revert", "git revert --continue or --abort"),
    "rebase-merge": ("a rebase", "git rebase --continue or --abort"),
    "rebase-apply": ("a rebase or git am", "git rebase or git am with --continue or --abort"),
    "BISECT_LOG": ("a bisection", "git bisect reset"),
    "index.lock": ("another git command", "wait for it, or delete the file index.lock if none runs"),
}
REFS = {"CHERRY_PICK_HEAD", "REVERT_HEAD"}  # which git keeps as refs, so that they need not be files


class NoRepository(Refusal):
    """A folder lies in no git repository."""


@dataclass(frozen=True)
class Repository:
    """Where a service lies: in a folder of a work tree, which is usually the whole of it."""

    folder: Path
    top: Path
    git_dir: Path

    @property
    def prefix(self) -> str:
        """What the names of the service's files begin with, in git: nothing, or a folder and a slash."""
        inside = self.folder.relative_to(self.top).as_posix()
        return "" if inside == "." else f"{inside}/"

    @property
    def head(self) -> str:
        """The commit that is checked out."""
        return say(self.top, "rev-parse", "--verify", "HEAD")

    def find(self, name: str) -> str | None:
        """The object that git knows by a name, if there is one."""
        try:
            return say(self.top, "rev-parse", "--verify", "--quiet", name)
        except GitError:
            return None


@dataclass(frozen=True)
class Service:
    """A service that can be updated: its repository, and what it recorded when it was made or updated last."""

    repository: Repository
    head: str
    answers: dict[str, Any]

    @property
    def source(self) -> str:
        """Where its template is."""
        return str(self.answers["_src_path"])

    @property
    def version(self) -> str:
        """The template's commit that it was rendered from, as `git describe` names it."""
        return str(self.answers["_commit"])


def find_repository(folder: Path) -> Repository:
    """The repository that a folder lies in. Raises Refusal when there is none (NoRepository), or none with files."""
    require_git()
    if not folder.is_dir():
        raise Refusal(f"{folder} is no folder: name the folder of a service.")
    folder = folder.resolve()
    try:
        top = Path(say(folder, "rev-parse", "--show-toplevel"))
        git_dir = Path(say(folder, "rev-parse", "--absolute-git-dir"))
    except GitError as error:
        if "not a git repository" not in str(error):
            raise Refusal(f"git does not work in {folder}: {error}") from error
        raise NoRepository(f"{folder} is in no git repository: `git init`, then commit all of it.") from error
    return Repository(folder, top.resolve(), git_dir.resolve())


def open_service(repository: Repository) -> Service:
    """The service in a repository. Raises Refusal when an update cannot begin."""
    _refuse_no_commit(repository)
    refuse_what_is_under_way(repository)
    answers = read_answers(repository)
    _refuse_changes(repository)
    return Service(repository, repository.head, answers)


def open_foreign(repository: Repository, source: str) -> Service:
    """A service that no template made yet, and that gets the one at a source. Raises Refusal."""
    _refuse_no_commit(repository)
    refuse_what_is_under_way(repository)
    answers = repository.folder / ANSWERS_FILE
    if os.path.lexists(answers):
        raise Refusal(f"{answers} exists: a template has made this service already, and twelvefold update goes on.")
    _refuse_changes(repository)
    return Service(repository, repository.head, {"_src_path": source})


def _refuse_no_commit(repository: Repository) -> None:
    if not succeeds(repository.top, "rev-parse", "--verify", "--quiet", "HEAD"):
        raise Refusal(f"{repository.folder} has no commit yet: commit it first, so that nothing can be lost.")


def refuse_what_is_under_way(repository: Repository) -> None:
    """Raises Refusal while something else is being done in the repository."""
    for name, (what, remedy) in UNDER_WAY.items():
        if (repository.git_dir / name).exists() or (name in REFS and repository.find(name)):
            end = remedy.format(undo=undo_command())
            raise Refusal(f"{what.capitalize()} is under way in {repository.top}: end it first ({end}).")


def read_answers(repository: Repository) -> dict[str, Any]:
    """What the service recorded, with the template's address and version. Raises Refusal when that is not there."""
    path = repository.folder / ANSWERS_FILE
    try:
        answers = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        above = next((one for one in repository.folder.parents if (one / ANSWERS_FILE).is_file()), None)
        if above and above.is_relative_to(repository.top):
            raise Refusal(f"{path} is missing: the service is {above}, so name that folder.") from None
        others = ", ".join(sorted(one.name for one in repository.folder.glob(".*answers*.y*ml")))
        has = f" What lies there, {others}, is not looked at." if others else ""
        raise Refusal(
            f"{path} is missing: was this service made by a template? Bring the file back from git.{has}"
        ) from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # a ValueError: no text, no such date
        raise Refusal(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    for name, meaning in (("_src_path", "where its template is"), ("_commit", "which version it has")):
        if not isinstance(answers, dict) or not answers.get(name):
            raise Refusal(f"{path} does not say {meaning} ({name}): bring it back from git.")
        if "\0" in str(answers[name]):
            raise Refusal(f"{path} has a sign in {name} that no address and no version has: bring it back from git.")
    if not _has_home(source := str(answers["_src_path"])):
        raise Refusal(f"{path} has _src_path: {source}, and there is no such person here: write the whole path there.")
    if is_relative(source):
        raise Refusal(
            f"{path} has _src_path: {source}, a relative path, which means another folder wherever a command is "
            "started: write the template's address there, or its whole path, and commit that."
        )
    return {str(name): answer for name, answer in answers.items()}


def _has_home(source: str) -> bool:
    """Whether this machine knows whose folder a path begins with, as `~ada/template` does."""
    try:
        Path(address(source)).expanduser()
    except RuntimeError:
        return False
    return True


def _refuse_changes(repository: Repository) -> None:
    """An update begins from a commit, so that what it does can be told from what the team does."""
    status = git(repository.folder, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", ".")
    changed = [line[3:] for line in listed(status)]
    staged = listed(git(repository.top, "diff", "--cached", "--name-only", "-z", "--no-renames"))
    names = sorted({*changed, *staged})
    if names:
        first = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise Refusal(
            f"{repository.top} has changes that are not committed: {first}. "
            f"Commit them, or put them aside: git -C {shlex.quote(str(repository.top))} stash --include-untracked"
        )
