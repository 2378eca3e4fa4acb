"""The service's repository: clones of it, and what its commits hold."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .standin import load, tidy
from .tools import git
from .workspace import Workspace

LINK, SUBMODULE = "120000", "160000"
NOT_DEPLOYED = (".devcontainer/*", "docs/*", "doc/*", "examples/*", "*/examples/*", "node_modules/*")
DOCKERFILES = ("Dockerfile*", "*.Dockerfile", "*.dockerfile", "Containerfile*", "dockerfile*")
COMPOSE_FILES = ("compose*.y*ml", "docker-compose*.y*ml", "docker-stack*.y*ml")
WORKFLOWS = (".github/workflows/*.y*ml",)
# What people call the deploys of a service.
DEPLOYS = re.compile(r"prod(uction)?|dev(elop(ment)?)?|stag(e|ing)|local|qa|uat|demo|live|sandbox|preprod|canary", re.I)
# Variables by whose name somebody tells a build for which deploy it is.
CHOOSES_DEPLOY = re.compile(
    r"(^|_)(ENV|ENVIRONMENT|STAGE|DEPLOY|DEPLOYMENT|TIER|PROFILE|FLAVOU?R|REALM|MODE|CONFIG|SETTINGS|SETTINGS_MODULE)$",
    re.I,
)
# The same within another word, such as config/production.toml.
NAMES_DEPLOY = re.compile(
    r"(?<![A-Za-z0-9])(prod|production|dev|development|stag|stage|staging|qa|uat|preprod)(?![A-Za-z0-9])", re.I
)


@dataclass(frozen=True)
class Entry:
    """A file of a commit."""

    path: str
    mode: str
    blob: str
    """Git's name for its content."""


def clone(workspace: Workspace, folder: Path) -> Path:
    """A fresh clone, in an otherwise empty folder that is made for it."""
    folder.mkdir(parents=True)
    place = folder / workspace.contract.name
    git(folder, "clone", "--quiet", "--no-hardlinks", str(workspace.source), str(place))
    return place


def tree(repository: Path, commit: str = "HEAD") -> dict[str, Entry]:
    """The files of a commit, by path."""
    listed = git(repository, "ls-tree", "-r", "-z", "--full-tree", commit).split("\0")
    found = {}
    for line in filter(None, listed):
        about, _, path = line.partition("\t")
        mode, _, blob = about.split()
        found[path] = Entry(path, mode, blob)
    return found


def head(repository: Path) -> str:
    """The commit that is checked out."""
    return git(repository, "rev-parse", "HEAD").strip()


def matching(repository: Path, patterns: tuple[str, ...]) -> list[str]:
    """The committed files whose path, or whose name, is like one of the patterns; not those of examples and docs."""
    found = []
    for path in tree(repository):
        name = path.rpartition("/")[2]
        deployed = not any(fnmatch.fnmatch(path, pattern) for pattern in NOT_DEPLOYED)
        if deployed and any(fnmatch.fnmatch(path if "/" in pattern else name, pattern) for pattern in patterns):
            found.append(path)
    return sorted(path for path in found if not path.endswith((".dockerignore", ".md", ".py")))


def dockerfiles(repository: Path) -> dict[str, str]:
    """The text of each file that an image can be built by."""
    texts = {path: text(repository, path) for path in matching(repository, DOCKERFILES)}
    return {path: content for path, content in texts.items() if re.search(r"^\s*FROM\s", content, re.M | re.I)}


def compose_files(repository: Path) -> dict[str, dict[str, Any]]:
    """The services of each compose file, with their short forms made long."""
    found = {}
    for path in matching(repository, COMPOSE_FILES):
        services = _yaml(repository / path).get("services")
        own = {name: one for name, one in services.items() if isinstance(one, dict)} if services else {}
        for service in own.values():
            tidy(service)
        found[path] = own
    return found


def workflows(repository: Path) -> dict[str, dict[str, Any]]:
    """What each workflow of GitHub Actions says."""
    return {path: _yaml(repository / path) for path in matching(repository, WORKFLOWS)}


def text(repository: Path, path: str) -> str:
    """The text of a file; empty when there is none."""
    file = repository / path
    return file.read_text("utf-8", "replace") if file.is_file() else ""


def _yaml(file: Path) -> dict[str, Any]:
    try:
        return load(file)
    except (yaml.YAMLError, OSError):
        return {}
