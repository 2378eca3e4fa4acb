"""The releases of this template: commits on main's first-parent line whose subject is `release: X.Y.Z`."""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

SUBJECT = re.compile(r"release: (\d+)\.(\d+)\.(\d+)\Z")


class HistoryError(Exception):
    """The history does not allow to say which commit a version is."""


class Release(NamedTuple):
    """A version and the commit that is it."""

    tag: str
    commit: str


def releases(repository: Path) -> list[Release]:
    """All releases up to HEAD, the oldest first.

    Raises HistoryError for a shallow clone, and where two commits claim one version.
    """
    if _git(repository, "rev-parse", "--is-shallow-repository") == "true":
        raise HistoryError("this clone is shallow, so releases may be missing: run `git fetch --unshallow` first")
    log = _git(repository, "log", "--first-parent", "--reverse", "--format=%H %s", "HEAD")
    found: dict[str, str] = {}
    for commit, subject in (line.split(" ", 1) for line in log.splitlines()):
        if match := SUBJECT.match(subject):
            tag = "v" + ".".join(match.groups())
            if tag in found:
                raise HistoryError(f"{tag} is both {found[tag][:12]} and {commit[:12]}")
            found[tag] = commit
    return [Release(tag, commit) for tag, commit in found.items()]


def tag_missing(repository: Path) -> list[Release]:
    """Makes the tags that the history lacks, and returns them.

    Raises HistoryError when a tag names another commit than its release: a tag is never moved.
    """
    peeled = "%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)"
    tags = _git(repository, "for-each-ref", f"--format=%(refname:short) {peeled}", "refs/tags")
    existing = dict(line.split(" ") for line in tags.splitlines())
    known = releases(repository)
    for tag, commit in known:
        if existing.get(tag, commit) != commit:
            raise HistoryError(f"the tag {tag} is {existing[tag][:12]}, but its release is {commit[:12]}")
    missing = [release for release in known if release.tag not in existing]
    for tag, commit in missing:
        _git(repository, "tag", "--annotate", "--message", tag.removeprefix("v"), tag, commit)
    return missing


def main() -> int:
    """Makes the missing tags, and with `--push` gives them to origin; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make the tags of the releases that have none.")
    parser.add_argument("--push", action="store_true", help="push the new tags to origin")
    push = parser.parse_args().push
    repository = Path(__file__).parents[1]
    try:
        made = [release.tag for release in tag_missing(repository)]
        if made and push:
            _git(repository, "push", "origin", *(f"refs/tags/{tag}" for tag in made))
    except HistoryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"Made {', '.join(made)}.\n" if made else "Every release has its tag.\n")
    return 0


def _git(repository: Path, *arguments: str) -> str:
    run = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise HistoryError(f"git {arguments[0]} failed: {run.stderr.strip()}")
    return run.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
