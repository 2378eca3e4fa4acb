"""What of the configuration gets into a build: into its commands, its package or its image."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import zipfile
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import config, repository
from .contract import Contract
from .dockerfile import Stage, parse
from .tools import PreparationError, run
from .workspace import Workspace

VARIABLE = re.compile(r"^\s*#?\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=", re.MULTILINE)
# A file of settings, but for one that only shows which there are.
SETTINGS = re.compile(r"(^|/)[\w-]*\.env(\.(?!example|sample|template|dist)[\w-]+)?$")
# What concerns the build itself, whatever a service calls its own variables.
OF_TOOLS = {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "PYTHONPATH"}
SCHEMES = {"postgres": "postgresql", "other": "http"}


def variables(contract: Contract, source: Path) -> set[str]:
    """The names of all variables that the service is configured by."""
    example = repository.text(source, contract.config.example) if contract.config.example else ""
    urls = {resource.url for resource in contract.resources.values()}
    return {*VARIABLE.findall(example), *contract.config.required, *urls} - OF_TOOLS


def values(contract: Contract, names: set[str], port: int) -> dict[str, str]:
    """A value for each variable; what is a URL leads to a port of this machine."""
    kinds = {one.url: (one.schemes or [SCHEMES.get(one.kind, "redis")])[0] for one in contract.resources.values()}
    secret = config.canary()
    place = f"app:{secret}@127.0.0.1:{port}/app"
    given = {name: f"{kinds[name]}://{place}" if name in kinds else secret for name in names}
    return given | {
        name: f"http://{place}" for name in names if name not in kinds and name.endswith(("_URL", "_ENDPOINT"))
    }


def in_files(source: Path, names: set[str]) -> list[str]:
    """Where Dockerfiles and compose files give a build what belongs to a deploy, a sentence each."""
    found = []
    for path, text in repository.dockerfiles(source).items():
        file = parse(text)
        found += [f"{path}: ARG {name}" for name in file.arguments if name in names]
        for stage in file.stages:
            found += [f"{path}: {problem}" for problem in _in_stage(stage, names)]
    for path, services in repository.compose_files(source).items():
        for name, service in services.items():
            arguments = (service.get("build") or {}).get("args") or {}
            found += [f"{path}: {one} is an argument of the build of {name}" for one in arguments if one in names]
    return found


def _in_stage(stage: Stage, names: set[str]) -> list[str]:
    found = []
    for one in stage.all("ENV", "ARG"):
        given = re.findall(r"(?:^|\s)([A-Za-z_]\w*)(?==|\s|$)", re.sub(r'"[^"]*"|=\S*', "=", f"{one.rest} "))
        found += [f"{one.word} {name}" for name in given[: None if "=" in one.rest else 1] if name in names]
    for one in stage.all("RUN", "COPY", "ADD"):
        words = set(re.findall(r"\w+", one.text)) & (names - {"HOST", "PORT"})
        words |= {name for name in names if re.search(rf"\$\{{?{name}\b|\b{name}=", one.text)}
        found += [f"{one.word} uses {name}" for name in sorted(words)]
        found += [f"{one.word} {word}" for word in one.words[:-1] if one.word != "RUN" and SETTINGS.search(word)]
    return found


def in_image(workspace: Workspace, names: set[str]) -> list[str]:
    """The variables of a deploy that the image has with it, a sentence each; none where there is no image."""
    if workspace.driver != "image":
        return []
    command = ["docker", "image", "inspect", "--format", "{{json .Config.Env}}", workspace.image]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    given = json.loads(done.stdout) if done.returncode == 0 else []
    return [f"the image has {one.partition('=')[0]}" for one in given or [] if one.partition("=")[0] in names]


class Wheel:
    """The service's package, built with these variables; `trouble` says why it could not be built."""

    def __init__(self, project: Path, folder: Path, given: Mapping[str, str]) -> None:
        self.trouble = ""
        try:
            run(["uv", "build", "--quiet", "--wheel", "--out-dir", str(folder)], project, given)
        except PreparationError as error:
            self.trouble = "\n".join(str(error).splitlines()[-5:])
        self.files: dict[str, int] = {}
        for wheel in folder.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                self.files |= {one.filename: one.CRC for one in archive.infolist()}

    def different(self, other: Wheel) -> set[str]:
        """The files that the other one has not, or has otherwise."""
        return {name for name, _ in self.files.items() ^ other.files.items()}


def of_builds(calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All that an engine was given to build images of, by name."""
    found: dict[str, Any] = {}
    for number, call in enumerate(calls, 1):
        names = [f"argument {name}" for name in call["arguments"]]
        found |= dict(zip(names, call["arguments"].values(), strict=True))
        found |= dict(call["files"])
        found |= {f"build {number}: {key}": call[key] for key in ("dockerfile", "target", "contexts", "words")}
        found |= {f"build {number}: label {name}": value for name, value in call["labels"].items()}
    return found


def telling(secret: str, text: str) -> list[str]:
    """The ways in which a text tells a secret: as it is, or in a form that whoever guesses it can make too."""
    data = secret.encode()
    forms = {"itself": secret, "base64": b64encode(data).decode(), "hex": data.hex()}
    forms |= {kind: hashlib.new(kind, data).hexdigest() for kind in ("md5", "sha1", "sha256", "sha512")}
    return [name for name, form in forms.items() if form in text]
