"""The release before this one: which it is, what it accepts, and whether what its code names is still there."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import http
from .api import Api, parsed
from .claim import NotRun, Violation
from .databases import Database
from .deploy import Deploy, filled, unique_email, unique_marker
from .processes import Process
from .tools import git
from .workspace import Workspace

MIGRATIONS = ":(glob)**/migrations/**", ":(glob)**/migrate/**", ":(glob)**/alembic/**"
ASIDE = {"migrations", "migrate", "alembic", "tests", ".git", ".venv", "node_modules"}
CODE = {".py", ".sql", ".js", ".ts", ".rb", ".go", ".java", ".php"}
LARGEST_BYTES = 1_000_000
LONGEST = 10_000
# Whatever a statement can name, as a kind and a path: tables and views, their columns with types, functions.
NAMED = """
    SELECT 'table', nspname, relname, '' FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND nspname !~ '^(pg_|information_schema)'
    UNION ALL SELECT 'column', table_name, column_name, data_type FROM information_schema.columns
        WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
    UNION ALL SELECT 'function', nspname, proname, '' FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
        WHERE nspname !~ '^(pg_|information_schema)'
    UNION ALL SELECT 'type', nspname, typname, '' FROM pg_type JOIN pg_namespace ON pg_namespace.oid = typnamespace
        WHERE typtype IN ('e', 'd') AND nspname !~ '^(pg_|information_schema)'
"""
Name = tuple[str, str, str, str]


def before(workspace: Workspace) -> str | None:
    """The commit of the release before: of the newest tag, or the one before the newest migration, or the last one."""
    source = workspace.source
    head = git(source, "rev-parse", "HEAD").strip()
    tags = git(source, "tag", "--list", "v[0-9]*", "--merged", "HEAD", "--sort=-version:refname").split()
    for tag in tags:
        if (commit := git(source, "rev-list", "-n", "1", tag).strip()) != head:
            return commit
    migrated = git(source, "log", "-n", "1", "--format=%H", "--", *MIGRATIONS).strip()
    for commit in (migrated, head):
        parent = git(source, "rev-parse", "--verify", "--quiet", f"{commit}^", check=False).strip() if commit else ""
        if parent:
            return parent
    return None


def differences(workspace: Workspace, commit: str) -> list[str]:
    """The files that make the service another one than at that commit."""
    changed = git(workspace.source, "diff", "--name-only", "-z", commit, "HEAD").split("\0")
    folders = workspace.contract.code.folders
    lists = {"pyproject.toml", "uv.lock", "requirements.txt", "package.json", "package-lock.json", "Procfile"}
    return [
        name
        for name in changed
        if name in lists or any(name.startswith(f"{folder}/") or folder == "." for folder in folders)
    ]


def names(database: Database) -> set[Name]:
    """All that a statement can name."""
    return {(str(kind), str(where), str(what), str(how)) for kind, where, what, how in database.rows(NAMED)}


def accepted(deploy: Deploy, web: Process) -> dict[str, dict[str, Any]]:
    """What else a client may send for a thing, by what the release says of itself, and what it really takes.

    A release that comes after must leave it that, whatever it demands itself.
    """
    schema, api = _schema_of(deploy, web)
    required = {name: value for name, value in deploy.thing.body.items() if name in schema.get("required", [])}
    properties = {name: api.followed(one) for name, one in schema.get("properties", {}).items()}
    longest = {name: _longest(value, properties.get(name) or {}) for name, value in deploy.thing.body.items()}
    forms = {"with nothing but what is required": required, "with texts as long as they may be": longest}
    return {
        what: body
        for what, body in forms.items()
        if body not in ({}, deploy.thing.body) and status_of(deploy, web, body) == deploy.thing.status
    }


def status_of(deploy: Deploy, web: Process, body: dict[str, Any]) -> int:
    """The status of the answer to one more thing; 0 when there is none."""
    method, _, path = deploy.thing.create.partition(" ")
    with suppress(*http.NO_ANSWER):
        return web.ask(method, path, body=filled(body, marker=unique_marker(), email=unique_email())).status
    return 0


def _schema_of(deploy: Deploy, web: Process) -> tuple[dict[str, Any], Api]:
    """How a thing to be created is documented by the process itself; empty where it is not."""
    with suppress(*http.NO_ANSWER, Violation, NotRun):
        api = parsed(web.get(str(deploy.web.contract)).text, str(deploy.web.contract))
        operation = api.operation(deploy.thing.create)
        asked = api.followed(operation.details.get("requestBody") or {}) if operation else {}
        media = (asked.get("content") or {}).get("application/json") or {}
        return dict(api.followed(media.get("schema") or {})), api
    return {}, Api({})


def _longest(value: Any, schema: dict[str, Any]) -> Any:
    """A text, made as long as is documented."""
    length = min(int(schema.get("maxLength", 0)), LONGEST)
    return value.ljust(length - len(unique_marker()) + len("{marker}"), "x") if value == "{marker}" else value


def missed(source: Workspace, known: set[Name], now: set[Name]) -> list[str]:
    """What was there and is gone, or is of another type, and is named by the code, but for its migrations."""
    gone = sorted(known - now)
    if not gone:
        return []
    own, libraries = texts(source.source), texts(source.environment)
    found = []
    for kind, where, what, how in gone:
        unmistakable = "_" in (where if kind == "column" else what)  # other names stand in libraries by chance
        if _tells(own, kind, where, what) or (unmistakable and _tells(libraries, kind, where, what)):
            found.append(f"{kind} {where}.{what}{f' ({how})' if how else ''}")
    return found


def _tells(texts: list[str], kind: str, where: str, what: str) -> bool:
    """Whether one of the texts names it: a column together with its table."""
    words = [
        re.compile(rf"(?<!\w){re.escape(word)}(?!\w)") for word in ((where, what) if kind == "column" else (what,))
    ]
    return any(all(word.search(text) for word in words) for text in texts)


def texts(folder: Path) -> list[str]:
    """The code below a folder, but for migrations, documents and tests."""
    found = []
    for path in folder.rglob("*"):
        inside = set(path.relative_to(folder).parts)
        if path.suffix in CODE and not inside & ASIDE and path.is_file() and path.stat().st_size < LARGEST_BYTES:
            found.append(path.read_text("utf-8", "replace"))
    return found
