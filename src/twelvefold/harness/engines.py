"""The engines of backing services that a repository names, in images and for its infrastructure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from . import repository
from .standin import dotenv, interpolated

# By the kind of a resource; what stands in the first group is told as it is, unless it is one engine in other words.
ENGINES = {
    "postgres": r"postgres|postgresql|postgis/postgis|pgvector/pgvector|timescaledb[\w-]*|aurora-postgresql",
    "cache": r"redis|redis-stack-server|valkey|memcached|keydb|dragonfly",
    "other": r"mysql|aurora-mysql|mariadb|mongo|rabbitmq|elasticsearch|opensearch",
}
SAME = {"redis-stack-server": "redis", "aurora-mysql": "mysql"}
EXPRESSION = r"\$\{\{[^}]*\}\}|\$\{[^}]*\}|\$\w+"
IMAGE = {kind: re.compile(rf"(?<![\w.-])({names}):((?:{EXPRESSION}|[\w.-])+)") for kind, names in ENGINES.items()}
TEXTS = re.compile(
    r"\.(?:py|toml|cfg|ini|ya?ml|sh|mk|env|example|dev|test|tf|tfvars)$|(?:^|/)(?:Makefile|Procfile.*|\.?devcontainer\.json)$"
)
PRODUCTION = re.compile(r"(?:docker-)?compose\.ya?ml")
NOT_MEANT = ("docs/", "uv.lock", "factors.toml")

BLOCK = re.compile(r"^(?:resource|module)\s+\"([\w-]+)\".*?^\}", re.M | re.S)
VERSION = re.compile(r"^\s*(?:engine_version|database_version|redis_version)\s*=\s*(.+?)\s*$", re.M)
PLAIN_VERSION = re.compile(r"^\s*version\s*=\s*(.+?)\s*$", re.M)
ENGINE = re.compile(r"^\s*(?:engine|database_version)\s*=\s*\"?([A-Za-z-]+)", re.M)
KEYS = {"engine": "engine", "repository": "engine", "engineversion": "version", "tag": "version"}


@dataclass(frozen=True)
class Place:
    """Where an engine is named."""

    kind: str
    engine: str
    version: str
    """Its major version; `latest` where none is named."""
    path: str
    where: str


@dataclass
class Named:
    """What the repository names."""

    places: list[Place] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    """Where a version is named by something whose value the repository does not have."""

    def add(self, kind: str, engine: str, version: str, path: str, where: str = "") -> None:
        """Keeps one."""
        name = "postgres" if kind == "postgres" else SAME.get(engine, engine)
        # An extension's own version may stand before: 2.23.0-pg18.
        found = re.search(r"(?:^|-)pg(\d{1,2})(?!\d)", version) or re.match(r"(\d{1,2})(?!\d)", version)
        if found or version == "latest":
            major = found[1] if found else version
            self.places.append(Place(kind, name, major, path, where or f"{path} ({version})"))
        elif re.search(r"\$|\bvar\.|\blocal\.", version):
            self.unread.append(f"{engine}:{version} in {path}")

    def versions(self, engine: str) -> dict[str, str]:
        """The versions of an engine, by where."""
        return {place.where: place.version for place in self.places if place.engine == engine}

    def others(self) -> Iterator[str]:
        """Where there is another engine than in production, a sentence each; beside that of production it may be."""
        for kind in ("postgres", "cache"):
            own = [place for place in self.places if place.kind == kind]
            wanted = {place.engine for place in own if PRODUCTION.fullmatch(place.path)}
            for path in dict.fromkeys(place.path for place in own):
                there = {place.engine for place in own if place.path == path}
                if wanted and not there & wanted:
                    yield f"{path} has {' and '.join(sorted(there))}, production {' and '.join(sorted(wanted))}"


def named(source: Path) -> Named:
    """The engines in all files that development, tests and production are made of."""
    found = Named()
    for path, services in repository.compose_files(source).items():
        for name, service in services.items():
            image = interpolated(str(service.get("image", "")), {}).partition("@")[0]
            for kind, names in ENGINES.items():
                if match := re.search(rf"(?:^|/)({names})$", image):
                    found.add(kind, match[1], "latest", path, f"{name} of {path}")
    for path in sorted(repository.tree(source)):
        if TEXTS.search(path) and not path.startswith(NOT_MEANT):
            text = repository.text(source, path)
            _in_images(found, source, path, text)
            if path.endswith(".tf"):
                _in_terraform(found, source, path, text)
            elif path.endswith((".yml", ".yaml")):
                _in_values(found, path, text)
    return found


def _in_images(found: Named, source: Path, path: str, text: str) -> None:
    """Images, as NAME:TAG; in a program only as a whole text, since much else looks like that."""
    workflow = repository.workflows(source).get(path, {}) if path.startswith(".github/") else {}
    bare = re.sub(r"(?:^|(?<=\s))#.*$", "", text, flags=re.M)
    for kind, pattern in IMAGE.items():
        for match in pattern.finditer(bare):
            whole = re.search(r"[\"'](?:[\w.-]+/)*$", bare[: match.start()]) and bare[match.end() :][:1] in "\"'"
            if kind != "postgres" and path.endswith(".py") and not whole:
                continue
            for tag in _values(source, workflow, bare, match[2]):
                found.add(kind, match[1], tag, path)


def _values(source: Path, workflow: Mapping[str, Any], text: str, tag: str) -> list[str]:
    """What a tag stands for: itself, or what a matrix, an environment or the file says; if nothing does, the tag."""
    match = re.search(EXPRESSION, tag)
    if not match:
        return [tag]
    expression = match[0]
    name = expression.strip("${} ").partition(":")[0].partition("-")[0]
    if expression.startswith("${{"):
        key = expression.strip("${} ").rpartition(".")[2]
        known = _in_workflow(workflow, key) if re.search(r"\b(?:matrix|env)\.", expression) else []
    else:
        default = re.search(r":?-([\w.-]+)\}$", expression)
        said = re.findall(rf"^\s*(?:export\s+)?{re.escape(name)}\s*[:?]?[=:]\s*[\"']?([\w.-]+)", text, re.M)
        files = (dotenv(source / file).get(name) for file in (".env", ".env.example"))
        known = [default[1]] if default else said or [value for value in files if value]
    return [tag.replace(expression, str(value)) for value in known] or [tag]


def _in_workflow(value: Any, key: str, inside: bool = False) -> list[str]:
    """The values of a key in the matrices and environments of a workflow."""
    found: list[str] = []
    if isinstance(value, dict):
        for name, one in value.items():
            if inside and name == key:
                found += [str(each) for each in (one if isinstance(one, list) else [one])]
            found += _in_workflow(one, key, inside or name in ("matrix", "env"))
    elif isinstance(value, list):
        for one in value:
            found += _in_workflow(one, key, inside)
    return found


def _in_terraform(found: Named, source: Path, path: str, text: str) -> None:
    """Databases and caches that are made by Terraform, whoever offers them."""
    bare = re.sub(r"^\s*(?:#|//).*$", "", text, flags=re.M)
    for block in BLOCK.finditer(bare):
        engine = ENGINE.search(block[0])
        version = VERSION.search(block[0]) or (None if engine else PLAIN_VERSION.search(block[0]))
        word = (engine[1] if engine else block[1]).lower()
        kind = next((kind for kind, names in ENGINES.items() if re.search(rf"(?:^|[_-])(?:{names})", word)), None)
        if kind is None or version is None:
            continue
        for value in _in_variables(source, version[1].strip('"')):
            name = next(name for name in re.findall(r"[\w/-]+", ENGINES[kind].replace("|", " ")) if name in word)
            found.add(kind, name, re.sub(r"^[A-Za-z_]+_(?=\d)", "", value), path)


def _in_variables(source: Path, value: str) -> list[str]:
    """The values of a variable of Terraform; if nothing gives it any, its name."""
    match = re.search(r"\b(?:var|local)\.(\w+)", value)
    if not match:
        return [value]
    paths = [path for path in repository.tree(source) if path.endswith((".tf", ".tfvars"))]
    text = "\n".join(repository.text(source, path) for path in paths)
    said = re.findall(rf"^\s*{match[1]}\s*=\s*\"?([\w.]+)", text, re.M)
    said += re.findall(rf"^variable\s+\"{match[1]}\"\s*\{{[^}}]*?default\s*=\s*\"?([\w.]+)", text, re.M | re.S)
    return said or [value]


def _in_values(found: Named, path: str, text: str) -> None:
    """The images in the values of a Helm chart, and the databases of CloudFormation."""
    if not re.search(r"^\s*-?\s*(?:tag|EngineVersion):", text, re.M):
        return
    try:
        _in_tables(found, path, json.loads(json.dumps(list(yaml.safe_load_all(text)), default=str)), "")
    except (yaml.YAMLError, TypeError, ValueError):
        return


def _in_tables(found: Named, path: str, value: Any, under: str) -> None:
    if isinstance(value, list):
        for one in value:
            _in_tables(found, path, one, under)
    if not isinstance(value, dict):
        return
    given = {KEYS[key.lower()]: str(one) for key, one in value.items() if key.lower() in KEYS and one}
    word = given.get("engine", under).lower().rpartition("/")[2]
    for kind, names in ENGINES.items():
        match = re.fullmatch(rf"(?:{names})", word)
        if match and "version" in given:
            found.add(kind, word, given["version"], path)
    for key, one in value.items():
        _in_tables(found, path, one, under if key == "image" else str(key))
