"""The service's own Python code: where it lies in the repository, and where its installation has put it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .claim import NotRun
from .workspace import Workspace

TESTS = re.compile(r"(^|/)(tests?|testing)/|(^|/)(test_[^/]*|[^/]*_test|tests|conftest)\.py$")
NOT_ITS_OWN = re.compile(r"(^|/)(\.[^/]*|node_modules|venv|env|__pycache__|site-packages)(/|$)")


@dataclass(frozen=True, order=True)
class Module:
    """One file of Python code."""

    name: str
    """As a reader of the repository knows it."""
    path: Path

    @property
    def text(self) -> str:
        """What it says."""
        return self.path.read_text("utf-8", errors="replace")


def modules(workspace: Workspace) -> list[Module]:
    """Every Python file of the service itself, without its tests; raises NotRun where there is none.

    What is installed counts too, wherever it came from: a file does not get out of sight by lying in an odd place.
    """
    found = {module.text: module for module in (*_installed(workspace), *_in_repository(workspace))}
    if not found:
        raise NotRun("only Python code can be read, and [code] folders in factors.toml holds none")
    return sorted(found.values())


def roots(workspace: Workspace) -> list[str]:
    """How the names of all files begin in which the code that runs is the service's own."""
    folders = [f"{workspace.source / folder}/" for folder in workspace.contract.code.folders]
    return sorted({*folders, *(str(module.path) for module in _installed(workspace))})


def name_of(workspace: Workspace, path: str) -> str:
    """The name in the repository of a file that was run."""
    for site in site_packages(workspace):
        if Path(path).is_relative_to(site):
            return _in_a_folder(workspace, Path(path).relative_to(site).as_posix())
    if Path(path).is_relative_to(workspace.source):
        return Path(path).relative_to(workspace.source).as_posix()
    copied = re.search(r"/process-\d+/(.+)", path)  # code that is not installed runs from a copy
    return copied[1] if copied else path


def site_packages(workspace: Workspace) -> list[Path]:
    """Where the environment keeps its packages."""
    return sorted(workspace.environment.glob("lib/python3*/site-packages"))


def _in_repository(workspace: Workspace) -> Iterator[Module]:
    for folder in workspace.contract.code.folders:
        for path in (workspace.source / folder).rglob("*.py"):
            name = path.relative_to(workspace.source).as_posix()
            if path.is_file() and not NOT_ITS_OWN.search(name) and not TESTS.search(name):
                yield Module(name, path)


def _installed(workspace: Workspace) -> Iterator[Module]:
    """What the service's own distribution has brought along, by its record, and its packages."""
    for site in site_packages(workspace):
        names = {name for package in workspace.contract.code.packages for name in _package(site, package)}
        for record in site.glob("*.dist-info/RECORD"):
            if _same(record.parent.name.split("-")[0], workspace.contract.name) or _is_from(record.parent, workspace):
                with record.open(newline="") as rows:
                    names |= {row[0] for row in csv.reader(rows) if row and row[0].endswith(".py")}
        for name in names:
            if (site / name).is_file():
                yield Module(_in_a_folder(workspace, name), site / name)


def _is_from(distribution: Path, workspace: Workspace) -> bool:
    """Whether a distribution, whatever it is called, was built from a folder of the repository."""
    origin = distribution / "direct_url.json"
    return origin.is_file() and any(
        f"file://{place}" in origin.read_text() for place in (workspace.source, workspace.project)
    )


def _package(site: Path, package: str) -> Iterator[str]:
    place = site.joinpath(*package.split("."))
    for path in (*place.rglob("*.py"), place.with_suffix(".py")):
        if path.is_file():
            yield path.relative_to(site).as_posix()


def _in_a_folder(workspace: Workspace, name: str) -> str:
    """The file's place in the repository; its name in the installation where it comes from elsewhere."""
    for folder in workspace.contract.code.folders:
        if (workspace.source / folder / name).is_file():
            return Path(folder, name).as_posix()
    short = name.split("/", 1)[-1]  # what was put into a package from beside it, such as migrations
    return short if (workspace.source / short).is_file() else name


def _same(one: str, other: str) -> bool:
    return re.sub(r"[-_.]+", "-", one).lower() == re.sub(r"[-_.]+", "-", other).lower()
