"""Runs the template's versioned migrations on a copy of the service.

They stand in `copier.yml` as Copier has them, in the form `{version, command, when, working_directory}`: those run
whose version lies after the old one and not after the new one. What they change is a part of the update.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from .git import GitError, Refusal, git
from .template import RELEASE, Numbers, Template, Version

AFTER = '{{ _stage == "after" }}'


@dataclass(frozen=True)
class Migration:
    """A command of the template, and the version that it belongs to."""

    version: str
    command: str | list[str]
    when: str
    working_directory: str


@dataclass(frozen=True)
class Crossing:
    """The migrations between two versions, and a work tree of the new one, which their commands name."""

    migrations: list[Migration]
    old: Version
    new: Version
    checkout: Path


def crossing(template: Template, old: Version, new: Version, scratch: Path) -> Crossing | None:
    """The migrations that an update crosses; None when there are none."""
    found = [_migration(entry) for entry in _settings(template, new).get("_migrations") or []]
    crossed = [one for one in found if _lies_between(one, old, new)]
    if not crossed:
        return None
    checkout = scratch / "checkout"
    git(scratch, "clone", "--quiet", "--no-checkout", "--", str(template.repository), str(checkout))
    git(checkout, "checkout", "--quiet", "--detach", new.commit)
    return Crossing(crossed, old, new, checkout)


def run(crossing: Crossing, stage: str, folder: Path, answers: dict[str, Any]) -> list[str]:
    """Runs the migrations of a stage, `before` or `after`, in a copy of the service; returns what was run."""
    done = []
    for migration, command in commands(crossing, stage, answers):
        context = {name.removeprefix("_").upper(): str(text) for name, text in _context(crossing, stage, migration)}
        ended = subprocess.run(
            command,
            shell=isinstance(command, str),
            cwd=folder / migration.working_directory,
            env={**os.environ, **context},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode != 0:
            reason = ended.stderr.strip() or ended.stdout.strip()
            raise Refusal(f"A migration of {migration.version} failed, so nothing was changed: {reason}")
        done.append(said(migration, command))
    return done


def said(migration: Migration, command: str | list[str]) -> str:
    """A migration in one line."""
    return f"{migration.version}: {command if isinstance(command, str) else shlex.join(command)}"


def commands(crossing: Crossing, stage: str, answers: dict[str, Any]) -> list[tuple[Migration, str | list[str]]]:
    """The migrations of a stage, each with the command that it is for a service with these answers."""
    environment = SandboxedEnvironment(undefined=StrictUndefined)
    found = []
    for migration in crossing.migrations:
        context = {**answers, **dict(_context(crossing, stage, migration))}
        context["_copier_conf"] = {"src_path": str(crossing.checkout)}

        def text(template: str, context: dict[str, Any] = context) -> str:
            return environment.from_string(template).render(**context)

        try:
            if text(migration.when).strip().lower() not in ("true", "yes", "1"):
                continue
            command = migration.command
            found.append((migration, text(command) if isinstance(command, str) else [text(part) for part in command]))
        except TemplateError as error:
            raise Refusal(f"A migration of {migration.version} cannot be read: {error}") from error
    return found


def _context(crossing: Crossing, stage: str, migration: Migration) -> list[tuple[str, str]]:
    return [
        ("_stage", stage),
        ("_version_from", crossing.old.name),
        ("_version_to", crossing.new.name),
        ("_version_current", migration.version),
        ("_copier_operation", "update"),
    ]


def _migration(entry: dict[str, Any]) -> Migration:
    if not isinstance(entry, dict) or "version" not in entry or "command" not in entry:
        raise Refusal(f"The template has a migration without a version and a command: {entry}")
    when, folder = entry.get("when", AFTER), entry.get("working_directory", ".")
    return Migration(str(entry["version"]), entry["command"], str(when), str(folder))


def _lies_between(migration: Migration, old: Version, new: Version) -> bool:
    found = RELEASE.fullmatch(migration.version)
    if not found or old.numbers is None or new.numbers is None:
        return False
    return old.numbers < cast(Numbers, tuple(int(part) for part in found.groups())) <= new.numbers


def _settings(template: Template, version: Version) -> dict[str, Any]:
    """The template's settings at a version, without what they include."""

    class Loader(yaml.SafeLoader):
        """Reads Copier's `!include` as nothing."""

    Loader.add_constructor("!include", lambda loader, node: None)
    for name in ("copier.yml", "copier.yaml"):
        try:
            text = git(template.repository, "show", f"{version.commit}:{name}")
        except GitError:
            continue
        try:
            documents = [one for one in yaml.load_all(text, Loader) if isinstance(one, dict)]
        except yaml.YAMLError as error:
            raise Refusal(f"The template's {name} cannot be read: {' '.join(str(error).split())}") from error
        return {key: value for document in documents for key, value in document.items()}
    return {}
