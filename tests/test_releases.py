import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from hooks.releases import HistoryError, Release, releases, tag_missing

ROOT = Path(__file__).parents[1]


def git(repository: Path, *arguments: str) -> str:
    identity = {
        "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.com",
    }  # fmt: skip
    run = subprocess.run(
        ["git", "-C", str(repository), *arguments],
        check=True, capture_output=True, text=True, env=os.environ | identity,
    )  # fmt: skip
    return run.stdout.strip()


def commit(repository: Path, subject: str) -> str:
    git(repository, "commit", "--quiet", "--allow-empty", "--message", subject)
    return git(repository, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path, "feat: begin")
    return tmp_path


def test_a_release_is_a_commit_with_that_subject(repository: Path) -> None:
    first = commit(repository, "release: 0.1.0")
    for subject in ("release: 0.2", "Release: 0.3.0", "fix: release: 0.4.0", "release: 0.5.0 again"):
        commit(repository, subject)
    second = commit(repository, "release: 0.10.0")
    assert releases(repository) == [Release("v0.1.0", first), Release("v0.10.0", second)]


def test_a_release_on_a_side_branch_does_not_count(repository: Path) -> None:
    git(repository, "switch", "--quiet", "--create", "side")
    commit(repository, "release: 9.9.9")
    git(repository, "switch", "--quiet", "main")
    commit(repository, "fix: go on")
    git(repository, "merge", "--quiet", "--no-ff", "--message", "merge", "side")
    assert releases(repository) == []


def test_missing_tags_are_made_once_and_never_moved(repository: Path) -> None:
    release = Release("v0.1.0", commit(repository, "release: 0.1.0"))
    assert tag_missing(repository) == [release]
    assert tag_missing(repository) == []
    assert git(repository, "rev-parse", "v0.1.0^{commit}") == release.commit
    git(repository, "tag", "--force", "v0.1.0", "HEAD~1")
    with pytest.raises(HistoryError, match=r"v0\.1\.0 is"):
        tag_missing(repository)


def test_one_version_is_one_commit(repository: Path) -> None:
    commit(repository, "release: 0.1.0")
    commit(repository, "release: 0.1.0")
    with pytest.raises(HistoryError, match="is both"):
        releases(repository)


def test_a_shallow_clone_is_refused(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    commit(repository, "release: 0.1.0")
    shallow = tmp_path_factory.mktemp("shallow") / "clone"
    git(repository, "clone", "--quiet", "--depth=1", f"file://{repository}", str(shallow))
    with pytest.raises(HistoryError, match="unshallow"):
        releases(shallow)


def test_version_and_changelog_agree() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    newest = re.search(r"^## (\d\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version
