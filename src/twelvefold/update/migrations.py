"""Runs the template's versioned migrations on a copy of the service.

They stand in `copier.yml` as Copier has them: a command, or `{version, command, when, working_directory}`. Those run
whose version lies after the old one and not after the new one, and those that name none. What they change is a part of
the update.
"""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from .git import GitError, Refusal, git
from .rendering import system
from .running import run_to_its_end
from .template import Template, Version

BEFORE_ALL = (0, 0, 0)  # where no release lies behind a version
AFTER = '{{ _stage == "after" }}'


@dataclass(frozen=True)
class Migration:
    """A command of the template, and the version that it belongs to; without one it belongs to every update."""

    version: str | None
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
    jinja: dict[str, Any] = field(default_factory=dict)
    """How the template writes its expressions, as Copier's `_envops` has it."""


def crossing(template: Template, old: Version, new: Version, scratch: Path) -> Crossing | None:
    """The migrations that an update crosses; None when there are none."""
    settings = _settings(template, new)
    entries = settings.get("_migrations") or []
    if not isinstance(entries, list):
        raise Refusal(f"The template's _migrations are no list: {entries}")
    crossed = [one for one in map(_migration, entries) if _is_crossed(one, old, new)]
    if not crossed:
        return None
    checkout = scratch / "checkout"
    git(scratch, "clone", "--quiet", "--no-checkout", "--", str(template.repository), str(checkout))
    git(checkout, "checkout", "--quiet", "--detach", new.commit)
    return Crossing(crossed, old, new, checkout, dict(settings.get("_envops") or {}))


def run(crossing: Crossing, stage: str, folder: Path, answers: dict[str, Any]) -> list[str]:
    """Runs the migrations of a stage, `before` or `after`, in a copy of the service; returns what was run."""
    done = []
    for migration, command in commands(crossing, stage, answers):
        env = {**os.environ, **_environment(crossing, stage, migration)}
        ended = run_to_its_end(command, folder / migration.working_directory, env)
        if ended.returncode != 0:
            reason = ended.stderr.strip() or ended.stdout.strip()
            raise Refusal(f"{_named(migration)} failed, so nothing was changed: {reason}")
        done.append(_said(migration, command))
    return done


def by_hand(crossing: Crossing, stage: str, answers: dict[str, Any], source: str) -> list[str]:
    """What a person types in the service's folder in the place of `run`; nothing where there are no migrations."""
    checkout = f"../template-{crossing.new.said}"
    found = []
    for one in crossing.migrations:
        place = Path(os.path.relpath(checkout, one.working_directory))
        for migration, command in commands(replace(crossing, migrations=[one], checkout=place), stage, answers):
            line = command if isinstance(command, str) else shlex.join(command)
            variables = [f"{name}={text}" for name, text in _environment(crossing, stage, migration).items()]
            if one.working_directory != ".":
                line = f"cd {shlex.quote(one.working_directory)} && {line}"
            found.append(_said(migration, ["env", *variables, "sh", "-c", line]))
    clone = shlex.join(["git", "clone", "--quiet", "--", source, checkout])
    check_out = shlex.join(["git", "-C", checkout, "checkout", "--quiet", crossing.new.commit])
    return [f"first: {clone} && {check_out}", *found] if found else []


def _said(migration: Migration, command: str | list[str]) -> str:
    """A migration in one line."""
    line = command if isinstance(command, str) else shlex.join(command)
    return f"{migration.version or 'each update'}: {line}"


def _named(migration: Migration) -> str:
    return f"A migration of {migration.version or 'each update'}"


def commands(crossing: Crossing, stage: str, answers: dict[str, Any]) -> list[tuple[Migration, str | list[str]]]:
    """The migrations of a stage, each with the command that it is for a service with these answers."""
    # What is not known is never taken for nothing, whatever the template says: a command would do something else.
    environment = SandboxedEnvironment(**{**crossing.jinja, "undefined": StrictUndefined})
    found = []
    for migration in crossing.migrations:
        context = {**answers, **_context(crossing, stage, migration)}
        context["_copier_conf"] = {"src_path": str(crossing.checkout), "os": system(), "sep": os.sep}
        context["_copier_python"] = sys.executable

        def text(template: str, context: dict[str, Any] = context) -> str:
            return environment.from_string(template).render(**context)

        try:
            if text(migration.when).strip().lower() not in ("true", "yes", "1"):
                continue
            command = migration.command
            found.append((migration, text(command) if isinstance(command, str) else [text(part) for part in command]))
        except TemplateError as error:
            raise Refusal(f"{_named(migration)} cannot be read: {error}") from error
    return found


def _environment(crossing: Crossing, stage: str, migration: Migration) -> dict[str, str]:
    return {name.removeprefix("_").upper(): text for name, text in _context(crossing, stage, migration).items()}


def _context(crossing: Crossing, stage: str, migration: Migration) -> dict[str, str]:
    return {
        "_stage": stage,
        "_version_from": crossing.old.name,
        "_version_to": crossing.new.name,
        **({} if migration.version is None else {"_version_current": migration.version}),
        "_copier_operation": "update",
    }


def _migration(entry: Any) -> Migration:
    if not isinstance(entry, dict):
        entry = {"command": entry}
    version, command = entry.get("version"), entry.get("command")
    is_list = isinstance(command, list) and all(isinstance(part, str) for part in command)
    if not command or not (isinstance(command, str) or is_list):
        raise Refusal(f"The template has a migration without a command, which is a text or a list of texts: {entry}")
    when, folder = entry.get("when", AFTER), entry.get("working_directory", ".")
    return Migration(None if version is None else str(version), command, str(when), str(folder))


def _is_crossed(migration: Migration, old: Version, new: Version) -> bool:
    if migration.version is None:
        return True
    of_it = Version("", migration.version).numbers
    if of_it is None or new.numbers is None:
        return False
    return (old.numbers or BEFORE_ALL) < of_it <= new.numbers


def _settings(template: Template, version: Version) -> dict[str, Any]:
    """The template's settings at a version, without what they include."""

    class Loader(yaml.SafeLoader):
        """Reads Copier's `!include` as nothing."""

    Loader.add_constructor("!include", lambda loader, node: None)
    for name in ("copier.yml", "copier.yaml"):
        try:
            text = template.git("show", f"{version.commit}:{name}")
        except GitError:
            continue
        try:
            documents = [one for one in yaml.load_all(text, Loader) if isinstance(one, dict)]
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            raise Refusal(f"The template's {name} cannot be read: {' '.join(str(error).split())}") from error
        return {key: value for document in documents for key, value in document.items()}
    return {}
