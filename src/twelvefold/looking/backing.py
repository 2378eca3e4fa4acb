"""Which backing services a service has, and which variables hold their URLs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .commands import Compose
from .reading import at, json_of, mapping, text_of, toml_of

# By which words of an image, a package or a variable's name a backing service is known.
Kind = Literal["postgres", "cache", "other"]
KINDS: dict[Kind, re.Pattern[str]] = {
    "postgres": re.compile(r"postg(res|is)|pgvector|timescale|psycopg|asyncpg|pg8000|^pg$|^pg_|^database_|^db_"),
    "cache": re.compile(r"redis|valkey|memcache|^memjs|keydb|dragonfly|^cache_"),
    "other": re.compile(
        r"mysql|maria|mongo|rabbit|amqp|^pika$|kafka|^nats|elastic|opensearch|minio|localstack|clickhouse|cassandra|"
        r"mailhog|mailpit|^smtp|^s3_|^broker_"
    ),
}
QUEUES = {"celery", "rq", "dramatiq", "huey", "arq", "bull", "bullmq"}  # what keeps its jobs in a cache's server
NODE = re.compile(r"\b(node|npm|npx|pnpm|yarn|bun|deno)\b")
URL_NAME = re.compile(r"_(URLS?|URI|DSN)$")


@dataclass(frozen=True)
class Backing:
    """A backing service."""

    name: str
    kind: Kind
    url: str
    """The variable with its URL; empty when none was found."""
    where: str


def backing_services(compose: Compose, named: Mapping[str, str], needs: set[str]) -> list[Backing]:
    """What runs beside the service, then what variables are named for, then what packages are for.

    `named` are the variables that are spoken of and where, `needs` the packages that the service asks for.
    """
    found: dict[str, Backing] = {}
    for name, image in compose.others.items():
        if kind := kind_of(image, needs):
            leads = (key for key, value in compose.variables.items() if _leads_to(value, name))
            url = next(leads, "") or _free_url(kind, named, found.values(), needs)
            found[name] = Backing(name, kind, url, compose.file)
    for variable, where in named.items():
        kind = kind_of(variable, needs)
        known = {one.url for one in found.values()} | {one.kind for one in found.values() if not one.url}
        if kind and URL_NAME.search(variable) and not known & {variable, kind}:
            short = URL_NAME.sub("", variable).lower()
            name = variable.lower() if short in found else short
            found.setdefault(name, Backing(name, kind, variable, where))
    for package in sorted(needs):
        kind = kind_of(package, needs)
        if kind and kind not in {one.kind for one in found.values()}:
            name = package if kind == "other" else kind
            found.setdefault(name, Backing(name, kind, "", f"the package {package}"))
    return list(found.values())


def named_variables(
    compose: Compose, read: Mapping[str, str], path: Path, example: str, needs: set[str]
) -> dict[str, str]:
    """Every variable that is spoken of, and where; `read` are those of the code."""
    listed = re.findall(r"^\s*#?\s*(?:export\s+)?([A-Z][A-Z0-9_]*)=", text_of(path / example), re.MULTILINE)
    of_packages = {"DATABASE_URL": "what the package dj-database-url reads"} if "dj-database-url" in needs else {}
    return of_packages | dict(read) | dict.fromkeys(listed, example) | dict.fromkeys(compose.variables, compose.file)


def needed_packages(path: Path) -> set[str]:
    """The names of the packages that the service asks for; raises Unreadable."""
    project, package = toml_of(path / "pyproject.toml"), json_of(path / "package.json")
    listed = at(project, "project", "dependencies")
    asked = [str(one) for one in listed] if isinstance(listed, list) else []
    asked += mapping(at(project, "tool", "poetry", "dependencies"))
    asked += mapping(at(package, "dependencies"))
    for file in (*path.glob("requirements*.txt"), *path.glob("requirements/*.txt")):
        asked += text_of(file).splitlines()
    names = (re.match(r"@?[A-Za-z0-9][A-Za-z0-9._/-]*", line.strip()) for line in asked)
    return {match[0].lower().replace("_", "-") for match in names if match}


def not_installable(path: Path, commands: Iterable[str]) -> str:
    """The file by which a service's packages would be installed, in a way that `twelvefold prove` does not know.

    Empty if there is none; raises Unreadable. `commands` start the processes: a `package.json` may be of pages alone.
    What a folder has of its own, such as a `node_modules` that is committed, needs no manager.
    """
    project, package = toml_of(path / "pyproject.toml"), json_of(path / "package.json")
    runs_node = any(NODE.search(command) for command in commands) and not (path / "node_modules").is_dir()
    asked = {
        "pyproject.toml": {*mapping(at(project, "tool", "poetry", "dependencies"))} - {"python"},
        "Pipfile": mapping(at(toml_of(path / "Pipfile"), "packages")),
        "package.json": runs_node and mapping(at(package, "dependencies")),
        "setup.py": "install_requires" in text_of(path / "setup.py"),
        "setup.cfg": "install_requires" in text_of(path / "setup.cfg"),
        **{f"requirements/{file.name}": file.is_file() for file in sorted(path.glob("requirements/*.txt"))},
    }
    return next((file for file, packages in asked.items() if packages), "")


def kind_of(word: str, needs: set[str]) -> Kind | None:
    """The kind of backing service that a word speaks of, if it does.

    What keeps jobs is no cache, and a database need not be PostgreSQL.
    """
    kind = _known(word)
    if kind == "cache" and needs & QUEUES:
        return "other"
    drivers = {_known(package) for package in needs}
    if kind == "postgres" and "postg" not in word.lower() and "other" in drivers and "postgres" not in drivers:
        return "other"
    return kind


def _known(word: str) -> Kind | None:
    return next((kind for kind, pattern in KINDS.items() if pattern.search(word.lower())), None)


def _leads_to(value: str, host: str) -> bool:
    """Whether a value is a URL of this host."""
    return bool(re.match(rf"[a-z][a-z0-9+.-]*://(?:[^/@]*@)?{re.escape(host)}(?:[:/?]|$)", value))


def _free_url(kind: Kind, named: Iterable[str], found: Iterable[Backing], needs: set[str]) -> str:
    """A variable that is named for a URL of this kind, and is no other service's."""
    taken = {one.url for one in found}
    fits = (name for name in named if URL_NAME.search(name) and kind_of(name, needs) == kind and name not in taken)
    return next(fits, "")
