"""Sabotages: small, realistic changes to a generated service, each of which one claim must find.

Each module lists those of one factor. A sabotage is applied to a service on which every claim holds; then the claim
that it is meant for must turn red, and its neighbours must stay green.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from tempfile import TemporaryDirectory

from twelvefold.sabotages import UNPROVEN

from .. import copies

RED = {"fail", "error"}


@dataclass(frozen=True)
class Edit:
    """A text that stands exactly once in a file, and what replaces it; without an old text, a new file."""

    path: str
    old: str
    new: str

    def apply(self, service: Path) -> None:
        """Changes the file; an AssertionError says that the service is not what the sabotage was written for."""
        file = service / self.path
        if not self.old:
            assert not file.exists(), f"{self.path} exists already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.new)
            return
        text = file.read_text()
        assert text.count(self.old) == 1, f"{self.path} has {text.count(self.old)} times, not once: {self.old}"
        file.write_text(text.replace(self.old, self.new))


@dataclass(frozen=True)
class Sabotage:
    """One fault, planted alone."""

    claim: str
    """The claim that must find it."""
    name: str
    """What somebody has done, in a few words."""
    edits: tuple[Edit, ...]
    neighbours: tuple[str, ...]
    """Claims on the same process type or resource, which must stay green."""
    also: tuple[str, ...] = ()
    """Claims that it breaks rightly as well, so that they may be red."""
    lock: bool = False
    """Whether the packages are to be locked anew, as a person does who changes pyproject.toml."""

    @property
    def id(self) -> str:
        """Its name for pytest and for the record."""
        return f"{self.claim} {self.name}"

    def apply(self, service: Path) -> None:
        """Plants it in a service, and commits it."""
        for edit in self.edits:
            edit.apply(service)
        if self.lock:
            copies.run("uv", "lock", "--quiet", cwd=service, env=copies.service_environment(None))
        copies.commit(service, "Change something")


def all_sabotages() -> list[Sabotage]:
    """Every sabotage of every factor."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__) if "factor" in found.name]
    return [sabotage for module in modules for sabotage in module.SABOTAGES]


def verdicts(service: Path, claims: Iterable[str], evidence: Path) -> dict[str, dict[str, object]]:
    """What the experiments say of a service: for each claim its verdict, reason and so on."""
    command = [sys.executable, "-m", "twelvefold", "prove", str(service), "--claim", ",".join(claims)]
    environment = {**os.environ, "PYTHONPATH": str(copies.ROOT / "src")}
    done = subprocess.run(
        [*command, "--evidence", str(evidence)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode in (0, 1), f"twelvefold prove ended with {done.returncode}:\n{done.stdout}"
    return verdicts_in(evidence)


def verdicts_in(evidence: Path) -> dict[str, dict[str, object]]:
    """What the experiments of a run have seen, whether or not a sabotage has backed it yet."""
    found = json.loads((evidence / "twelve-factor.json").read_text())
    entries = {entry["id"]: entry for factor in found["factors"] for entry in factor["claims"]}
    for entry in entries.values():
        if entry["reason"] == UNPROVEN:
            entry.update(verdict="pass", reason="")
    return entries


@dataclass(frozen=True)
class Caught:
    """What became of a sabotage."""

    sabotage: Sabotage
    red: tuple[str, ...]
    """The claims that turned red."""
    reasons: dict[str, str]
    found: dict[str, str]
    """The verdict of each claim that was run."""

    @property
    def problem(self) -> str:
        """What is wrong with that; empty when the intended claim turned red, and no neighbour did."""
        if self.sabotage.claim not in self.red:
            return f"{self.sabotage.claim} did not find it: {self.found.get(self.sabotage.claim)}"
        wrong = [one for one in self.red if one != self.sabotage.claim and one not in self.sabotage.also]
        return f"red too: {', '.join(f'{one} ({self.reasons[one]})' for one in wrong)}" if wrong else ""


OUTSIDE = (Path("/tmp/orders-crash.log"),)  # what a sabotaged service writes where none may


def try_one(sabotage: Sabotage, baseline: Path, claims: Iterable[str] | None = None) -> Caught:
    """Plants a sabotage in a copy of a healthy service, and asks its claim and the neighbours, or all these claims."""
    with TemporaryDirectory(prefix="sabotage-") as folder:
        service = Path(folder, baseline.name)
        shutil.copytree(
            baseline, service, symlinks=True, ignore=shutil.ignore_patterns(".venv", ".*_cache", ".postgres")
        )
        sabotage.apply(service)
        asked = list(claims or (sabotage.claim, *sabotage.neighbours))
        try:
            found = verdicts(service, asked, Path(folder, "evidence"))
        finally:
            for left in OUTSIDE:
                left.unlink(missing_ok=True)
    red = tuple(one for one, entry in found.items() if entry["verdict"] in RED)
    reasons = {one: str(entry.get("reason", "")) for one, entry in found.items()}
    return Caught(sabotage, red, reasons, {one: str(entry["verdict"]) for one, entry in found.items()})
