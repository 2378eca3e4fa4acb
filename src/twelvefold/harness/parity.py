"""What the files of a repository say about development and production: versions, engines and commands."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import repository, servers
from .contract import Contract
from .dockerfile import parse
from .workspace import Workspace

PYTHON_IMAGE = re.compile(r"(?:^|/)(?:python|pypy)(?::(?:\d+-)?|.*[:-]python-?)(\d+\.\d+)|python(\d\.\d+)")
ANY_PYTHON = re.compile(r"(?:.*/)?python(?::(?:\d+|latest|[a-z][\w-]*|\d+-[a-z][\w-]*))?")
# Files that may name the versions of other languages as well.
SAID_IN = {
    ".python-version": r"(\d+\.\d+)",
    "runtime.txt": r"^python-(\d+\.\d+)",
    ".tool-versions": r"^python +(\d+\.\d+)",
    **dict.fromkeys(("mise.toml", ".mise.toml"), r"^python *= *[\"'](\d+\.\d+)"),
}
INITS = ("tini", "dumb-init", "catatonit")  # they start what they are told, and look after its children
DEV_PROCFILES = ("Procfile.*",)


def pythons(workspace: Workspace) -> dict[str, str]:
    """The versions of Python that the repository names, such as 3.13, by where."""
    source = workspace.source
    found = {}
    for path, said in SAID_IN.items():
        if match := re.search(said, repository.text(source, path), re.M):
            found[path] = match[1]
    for path, text in repository.dockerfiles(source).items():
        before: set[str] = set()  # what is called like an image may be a stage
        for number, stage in enumerate(parse(text).stages):
            if match := PYTHON_IMAGE.search(stage.base):
                found[f"{path}, stage {stage.name or number}"] = match[1] or match[2]
            elif stage.base.lower() not in before and ANY_PYTHON.fullmatch(stage.base.partition("@")[0]):
                found[f"{path}, stage {stage.name or number}"] = "any"
            before.add(stage.name.lower())
    for path, workflow in repository.workflows(source).items():
        for where, value in _named(workflow, ("python-version", "UV_PYTHON")):
            for version in re.findall(r"\b3\.\d+\b", value):
                found[f"{path}, {where} {version}"] = version
    for path in repository.matching(source, (".gitlab-ci.yml", ".devcontainer/*", "tox.ini", "Pipfile")):
        for one, other in PYTHON_IMAGE.findall(repository.text(source, path)):
            found[f"{path} {one or other}"] = one or other
    return found


def _named(value: Any, names: tuple[str, ...], where: str = "") -> Iterator[tuple[str, str]]:
    """The values of some keys, wherever they stand in a document."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key in names:
                yield where or str(key), json.dumps(one)
            yield from _named(one, names, str(key))
    elif isinstance(value, list):
        for one in value:
            yield from _named(one, names, where)


# Commands


def other_commands(workspace: Workspace) -> list[str]:
    """Where the repository starts a process type by another command than production does, a sentence each."""
    contract, source = workspace.contract, workspace.source
    problems = []
    for name, (where, words) in _commands(workspace):
        wanted = shlex.split(contract.processes[name])
        if words and not _same(words, wanted):
            problems.append(f"{where} starts {name} by `{shlex.join(words)}`, production by `{shlex.join(wanted)}`")
    own = [servers.plain(one) for one in contract.processes.values()]
    for where, words in servers.commands(source):
        if not any(_same(words, wanted) for wanted in own):
            problems.append(f"{where} starts the server `{shlex.join(words)}`, which is no process type")
    for path, text in repository.dockerfiles(source).items():
        file = parse(text)
        entry, command = file.command() if file.stages else ([], [])
        words = _unwrapped(source, [*entry, *command])
        if command and not any(_same(words, shlex.split(one)) for one in contract.processes.values()):
            problems.append(f"{path} starts `{shlex.join(words)}`, which is no process type")
    return problems


def _commands(workspace: Workspace) -> Iterator[tuple[str, tuple[str, list[str]]]]:
    """The commands of process types in compose files, and in the files of development: with type and place."""
    source, contract = workspace.source, workspace.contract
    entry, command = _of_image(source)
    for path, services in repository.compose_files(source).items():
        for name, service in services.items():
            if name in contract.processes:
                words = _words(service.get("entrypoint", entry)) + _words(
                    service.get("command", [] if "entrypoint" in service else command)
                )
                if service.get("entrypoint") or service.get("command"):
                    yield name, (path, words)
    for path in repository.matching(source, DEV_PROCFILES):
        for name, line in procfile_of(source / path).items():
            if name in contract.processes:
                yield name, (path, shlex.split(line))
    yield from _of_package(source, contract)


def procfile_of(file: Path) -> dict[str, str]:
    """The process types of another Procfile."""
    found = (re.fullmatch(r"([A-Za-z0-9_-]+):\s*(\S.*)", line) for line in file.read_text("utf-8").splitlines())
    return {match[1]: match[2].strip() for match in found if match}


def _of_image(source: Path) -> tuple[list[str], list[str]]:
    text = repository.dockerfiles(source).get("Dockerfile", "")
    file = parse(text)
    return file.command() if file.stages else ([], [])


def _unwrapped(source: Path, words: list[str]) -> list[str]:
    """A command without an init before it, and without a script that ends in it."""
    while words:
        program = Path(words[0]).name
        script = repository.matching(source, (program,)) if program.endswith(".sh") else []
        if program not in INITS and not any('exec "$@"' in repository.text(source, path) for path in script):
            break
        words = words[1:]
        while words and words[0].startswith("-"):
            words = words[1:]
    return words


def _of_package(source: Path, contract: Contract) -> Iterator[tuple[str, tuple[str, list[str]]]]:
    try:
        scripts = json.loads(repository.text(source, "package.json") or "{}").get("scripts") or {}
    except (ValueError, AttributeError):
        return
    if "dev" in scripts and contract.web and contract.web.process in contract.processes:
        yield contract.web.process, ("package.json, dev,", shlex.split(str(scripts["dev"])))


def _words(command: Any) -> list[str]:
    if isinstance(command, list):
        return [str(word) for word in command]
    try:
        return shlex.split(str(command or ""))
    except ValueError:
        return str(command).split()


def _same(words: list[str], wanted: list[str]) -> bool:
    """Whether two commands are the same, but for what a variable or a port's number stands for."""
    if words[:2] in (["sh", "-c"], ["bash", "-c"], ["/bin/sh", "-c"]) and len(words) > 2:
        words = _words(words[2])
    plain = [[re.sub(r"\$\{?\w+(?:[^}\s]*\})?|\b\d{4,5}\b", "*", word) for word in one] for one in (words, wanted)]
    return plain[0] == plain[1]
