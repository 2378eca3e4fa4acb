"""What a service starts: its Procfile, its compose file, its Dockerfile, its package.json."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..harness import contract, dockerfile
from .reading import Said, Unreadable, Values, at, first_of, is_command, json_of, mapping, text_of, yaml_of

COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
BEFORE_IT = re.compile(r"nginx|traefik|caddy|haproxy|envoy")  # it stands before the service, and is no part of it


@dataclass(frozen=True)
class Dockerfile:
    """What the stage of a Dockerfile says that an image is made of."""

    file: str = "Dockerfile"
    command: str = ""
    entrypoint: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """What a container runs; empty when the Dockerfile does not say."""
        return f"{self.entrypoint} {self.command}".strip()


@dataclass(frozen=True)
class Compose:
    """What a compose file says."""

    file: str
    own: dict[str, Values]
    """The entries that run the service's own code."""
    others: dict[str, str]
    """The images of the other entries, by their names."""
    variables: dict[str, str]
    """What the service's own entries are given."""


def read_dockerfile(path: Path, built: object = ".") -> Dockerfile:
    """Reads the Dockerfile, if there is one; `built` is how a compose file says what to build: a folder, or more."""
    given = {key: str(value) for key, value in mapping(built).items()}
    file = os.path.normpath(f"{given.get('context', built)}/{given.get('dockerfile', 'Dockerfile')}")
    command = entrypoint = ""
    variables: dict[str, str] = {}
    parsed = dockerfile.parse(text_of(path / file))
    line = parsed.line_of(parsed.used(given.get("target", ""))[0]) if parsed.stages else []
    for one in (one for stage in reversed(line) for one in stage.instructions):
        match one.word:
            case "CMD":
                command = _command(one.rest)
            case "ENTRYPOINT":
                entrypoint = _command(one.rest)
            case "ENV":
                variables |= _assignments(one.rest)
    return Dockerfile(file, command, entrypoint, variables)


def read_compose(path: Path) -> Compose:
    """Reads the compose file, if there is one; raises Unreadable."""
    file = first_of(path, COMPOSE)
    found = mapping(yaml_of(path / file).get("services")) if file else {}
    services = {str(name): mapping(entry) for name, entry in found.items()}
    built = {str(entry.get("image")) for entry in services.values() if "build" in entry}

    def is_own(entry: Values) -> bool:
        if built:
            return "build" in entry or str(entry.get("image")) in built - {"None"}
        return bool(entry.get("command")) and not BEFORE_IT.search(str(entry.get("image")))

    own = {name: entry for name, entry in services.items() if is_own(entry)}
    others = {name: _short(entry.get("image")) for name, entry in services.items() if name not in own}
    return Compose(file, own, others, {key: value for entry in own.values() for key, value in _given(entry).items()})


def read_procfile(path: Path) -> dict[str, str]:
    """The process types of the Procfile, if there is one; raises Unreadable."""
    try:
        found = contract.procfile(path)
    except contract.ContractError as error:
        raise Unreadable(str(error)) from None
    for name, command in found.items():
        if not is_command(command):
            raise Unreadable(f"Procfile cannot be read (the quotes of {name} do not match): mend it first.")
    return found


def not_understood(path: Path) -> list[str]:
    """The lines of the Procfile that name no process type, and are neither empty nor comments."""
    lines = text_of(path / "Procfile").lstrip("\ufeff").splitlines()
    known = contract.procfile(path)
    return [line for line in lines if line.strip() and line[0] != "#" and line.partition(":")[0] not in known]


def processes(path: Path, compose: Compose, image: Dockerfile) -> dict[str, Said]:
    """The process types of compose file, Dockerfile or package.json: of the first of these that names any."""
    if found := _composed(path, compose):
        return found
    if image.line:
        return {"web": Said(image.line, image.file)}
    if start := at(json_of(path / "package.json"), "scripts", "start"):
        return {"web": Said("npm start", f"package.json, where it means: {start}")}
    return {}


def build(path: Path) -> Said | None:
    """The command that builds the image."""
    if not (path / "Dockerfile").is_file():
        return None
    if re.search(r"^build:", text_of(path / "Makefile"), re.MULTILINE):
        return Said("make build", "Makefile")
    return Said("docker build .", "Dockerfile")


def _composed(path: Path, compose: Compose) -> dict[str, Said]:
    found = {}
    for name, entry in compose.own.items():
        image = read_dockerfile(path, entry.get("build", "."))
        entrypoint = _command(entry["entrypoint"]) if entry.get("entrypoint") else image.entrypoint
        command = _command(entry["command"]) if entry.get("command") else image.command
        if line := f"{entrypoint} {command}".strip():
            where = compose.file if entry.get("command") or entry.get("entrypoint") else image.file
            found[name] = Said(line, where if name == "web" else f"{where}, for {name} of {compose.file}")
    if "web" in found:
        return found
    # The one with ports, or the only one, is called what it is.
    candidates = [name for name in found if compose.own[name].get("ports")] or list(found)
    return {"web" if [name] == candidates else name: said for name, said in found.items()}


def _command(value: object) -> str:
    """A command as a person types it, from a list, JSON or a line."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return ""
    text = shlex.join(map(str, value)) if isinstance(value, list) else str(value or "").strip().replace("$$", "$")
    return text if is_command(text) else ""


def _assignments(text: str) -> dict[str, str]:
    try:
        words = shlex.split(text)
    except ValueError:
        return {}
    if words and "=" not in words[0]:
        return {words[0]: " ".join(words[1:])}
    return dict(word.split("=", 1) for word in words if "=" in word)


def _short(image: object) -> str:
    """An image's name without its place and its version."""
    return str(image or "").rpartition("/")[2].partition(":")[0].partition("@")[0]


def _given(entry: Values) -> dict[str, str]:
    values = entry.get("environment") or {}
    pairs = values.items() if isinstance(values, Mapping) else (str(one).partition("=")[::2] for one in values)
    named = ((str(name), "" if value is None else str(value)) for name, value in pairs)
    return {name: value for name, value in named if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)}
