"""The lock of a service, and whether what installs its packages installs by it."""

from __future__ import annotations

import os
import re
import shlex
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from . import repository
from .dockerfile import parse
from .packages import Environment, exported, normal, requirement_lines
from .rehearsal import Rehearsal
from .workspace import Workspace

ON = re.compile(r"1|true|yes|on", re.I)
ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.S)
ANEW = {"--upgrade", "-U", "--upgrade-package", "-P", "--no-locked", "--no-frozen", "--resolution"}
# What each other package manager's own way of installing by its lock is.
BY_LOCK = {
    "npm": ("install", "i", "add"),
    "yarn": ("install", "add"),
    "pnpm": ("install", "i", "add"),
    "poetry": ("update", "lock", "add"),
    "pdm": ("update", "lock", "add"),
    "pipenv": ("update", "lock", "install"),
}
FROZEN = ("--frozen-lockfile", "--immutable", "--deploy", "--ignore-pipfile")
UV = '#!/bin/sh\necho "${UV_LOCKED:-}|${UV_FROZEN:-}|$*" >>"$(dirname "$0")/uv.calls"\n'


def in_repository(workspace: Workspace) -> tuple[int, list[str]]:
    """How many packages are locked, and what is wrong with the lock, a sentence each."""
    committed = repository.tree(workspace.source)
    if "uv.lock" in committed:
        return _in_uv_lock(workspace.source)
    if "pyproject.toml" in committed and "requirements.txt" not in committed:
        return 0, ["there is no uv.lock in the commit"]
    if "requirements.txt" in committed:
        lines = list(requirement_lines(workspace.source, "requirements.txt"))
        return len(lines), [f"requirements.txt does not pin {line}" for line in lines if not _is_pinned(line)]
    return 0, []


def _in_uv_lock(source: Path) -> tuple[int, list[str]]:
    try:
        packages: list[dict[str, Any]] = tomllib.loads(repository.text(source, "uv.lock")).get("package", [])
    except tomllib.TOMLDecodeError as error:
        return 0, [f"uv.lock is no TOML: {error}"]
    problems = []
    for package in packages:
        origin, name = package.get("source", {}), package.get("name")
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        if "registry" in origin or "url" in origin:
            if not files or not all(re.fullmatch(r"\w+:[0-9a-f]{32,}", str(file.get("hash", ""))) for file in files):
                problems.append(f"uv.lock has no hash for {name}")
            if "registry" in origin and not package.get("version"):
                problems.append(f"uv.lock has no version for {name}")
        elif "git" in origin and not re.search(r"#[0-9a-f]{40}$", str(origin["git"])):
            problems.append(f"uv.lock has no commit for {name}")
    return len(packages), problems


def _is_pinned(line: str) -> bool:
    return bool(re.match(r"[\w.\[\],-]+\s*===?\s*[\w.+!-]+\s*(;|$)", line)) or "#sha256=" in line


def locked_set(environment: Environment) -> dict[str, str]:
    """The versions that the lock has for this machine, by name; but for the service itself."""
    source = environment.workspace.source
    if (source / "uv.lock").exists():
        lines: Iterable[str] = exported(environment.workspace)
    else:
        lines = requirement_lines(source, "requirements.txt")
    found = {}
    for requirement in map(Requirement, lines):
        if environment.applies(requirement):
            found[normal(requirement.name)] = next((one.version for one in requirement.specifier), "any")
    return found


def different(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """What differs between two sets of versions."""
    names = sorted(name for name in {**one, **other} if one.get(name) != other.get(name))
    return [f"{name} {one.get(name, 'absent')} against {other.get(name, 'absent')}" for name in names]


# Commands that install

PIPED = re.compile(r"\b(?:curl|wget)\b[^|;&\n]*\|\s*(?:sudo\s+)?(?:ba|da|z)?sh\b")


@dataclass(frozen=True)
class Command:
    """One command of a script, with the variables that it is given."""

    words: tuple[str, ...]
    variables: Mapping[str, str]

    def says(self, *options: str) -> bool:
        """Whether one of the options is among its words."""
        return any(word.partition("=")[0] in options for word in self.words)


def in_image(source: Path) -> list[str]:
    """The commands of Dockerfiles that install otherwise than by the lock, a sentence each."""
    problems = []
    for path, content in repository.dockerfiles(source).items():
        for stage in parse(content).stages:
            variables: dict[str, str] = {}
            for one in stage.instructions:
                if one.word in ("ENV", "ARG"):
                    variables |= _assignments(one.rest)
                if one.word in ("RUN", "CMD", "ENTRYPOINT"):
                    script = shlex.join(one.words) if one.rest.lstrip().startswith("[") else one.text
                    found = (problem for command in commands(script, variables) if (problem := judged(command, source)))
                    problems += [f"{path}: {problem}" for problem in found]
                    problems += [
                        f"{path}: `{piped}` installs what a server has today" for piped in PIPED.findall(script)
                    ]
    for path, services in repository.compose_files(source).items():
        for name, service in services.items():
            words = service.get("command") or ""
            script = shlex.join(map(str, words)) if isinstance(words, list) else str(words)
            found = (problem for command in commands(script, {}) if (problem := judged(command, source)))
            problems += [f"{name} of {path}: {problem}" for problem in found]
    return problems


def in_workflows(source: Path) -> list[str]:
    """The same for what workflows run."""
    problems = []
    for path, workflow in repository.workflows(source).items():
        common = workflow.get("env") or {}
        for job in (workflow.get("jobs") or {}).values():
            steps = (job.get("steps") or []) if isinstance(job, dict) else []
            for step in steps:
                given = {**common, **(job.get("env") or {}), **(step.get("env") or {})}
                variables = {str(name): str(value) for name, value in given.items()}
                found = commands(str(step.get("run", "")), variables)
                problems += [f"{path}: {problem}" for one in found if (problem := judged(one, source))]
    return problems


def in_setup(command: str, rehearsal: Rehearsal, source: Path) -> list[str]:
    """What a command asks of uv when it runs in CI, and that is not by the lock, a sentence each."""
    programs = rehearsal.programs()
    (programs / "uv").write_text(UV)
    (programs / "uv").chmod(stat.S_IRWXU)
    rehearsal.succeed(command, {"CI": "true"})
    problems = []
    calls = programs / "uv.calls"
    for line in calls.read_text().splitlines() if calls.exists() else []:
        locked, frozen, words = line.split("|", 2)
        told = Command(("uv", *words.split()), {"UV_LOCKED": locked, "UV_FROZEN": frozen})
        if problem := judged(told, source):
            problems.append(f"`{command}` in CI: {problem}")
    return problems


def commands(script: str, variables: Mapping[str, str]) -> Iterator[Command]:
    """The simple commands of a shell script."""
    for_all = dict(variables)
    joined = re.sub(r"(^|\s)#[^\n]*", r"\1", re.sub(r"\\\n", " ", script))
    for part in re.split(r"&&|\|\||[;|\n]", re.sub(r"^(--\S+\s+)*", "", joined.strip())):
        try:
            words = shlex.split(part)
        except ValueError:
            words = part.split()
        own = dict(for_all)
        if words[:1] == ["export"]:
            given = (match for word in words[1:] if (match := ASSIGNMENT.fullmatch(word)))
            for_all |= {match[1]: match[2] for match in given}
            continue
        while words and ((match := ASSIGNMENT.fullmatch(words[0])) or words[0] in ("env", "exec", "sudo", "time", "!")):
            own |= {match[1]: match[2]} if match else {}
            words = words[1:]
        if len(words) > 2 and words[0] in ("sh", "bash") and words[1] in ("-c", "-ec", "-exc", "-lc"):
            yield from commands(words[2], own)
        elif words:
            yield Command(tuple(words), own)


def judged(command: Command, source: Path) -> str:
    """What is wrong with a command that installs packages; nothing with any other."""
    program, *rest = command.words
    name = os.path.basename(program)
    if re.fullmatch(r"python[\d.]*", name) and rest[:2] == ["-m", "pip"]:
        name, rest = "pip", rest[2:]
    verb = next((word for word in rest if not word.startswith("-")), "")
    told = " ".join(command.words)
    if (name == "uv" and verb == "pip") or re.fullmatch(r"pip[\d.]*", name):
        return _judged_pip(told, rest, source) if "install" in rest or "sync" in rest else ""
    if (name == "pipx" and verb == "install") or (name == "uv" and rest[:2] == ["tool", "install"]):
        return "" if re.search(r"[\w\]](?:==|@)\S", told) else f"`{told}` does not say which version"
    if name == "uv":
        return _judged_uv(told, verb, command)
    if name in BY_LOCK and verb in BY_LOCK[name] and not command.says(*FROZEN):
        return f"`{told}` does not install by a lock"
    return ""


def _judged_uv(told: str, verb: str, command: Command) -> str:
    by_lock = command.says("--locked", "--frozen") or any(
        ON.fullmatch(command.variables.get(name, "")) for name in ("UV_LOCKED", "UV_FROZEN")
    )
    if verb in ("sync", "export") and (not by_lock or command.says(*ANEW)):
        return f"`{told}` may resolve anew: say --locked"
    if verb == "run" and not by_lock and not command.says("--no-sync", "--no-project"):
        return f"`{told}` may resolve anew: say --locked"
    if verb in ("add", "lock", "remove") and not by_lock and not command.says("--check"):
        return f"`{told}` changes the lock"
    return ""


def _judged_pip(told: str, words: list[str], source: Path) -> str:
    """Only what is pinned may be installed: by files in which everything is, or by name with a version."""
    rest = words[words.index("install" if "install" in words else "sync") + 1 :]
    files: list[str] = []
    named: list[str] = []
    while rest:
        word = rest.pop(0)
        if match := re.match(r"(?:-r|--requirements?)(?:=|$)?(.*)", word):
            files.append(match[1] or (rest.pop(0) if rest else ""))
        elif word in (
            "--python",
            "--target",
            "--prefix",
            "-c",
            "--constraint",
            "--index-url",
            "-i",
            "-e",
            "--editable",
        ):
            value = rest.pop(0) if rest else ""
            named += [value] if word in ("-e", "--editable") else []
        elif not word.startswith("-"):
            named.append(word)
    loose = [one for one in named if "==" not in one and not ("--no-deps" in words and re.search(r"[./]", one))]
    for file in files:
        lines = list(requirement_lines(source, file.removeprefix("/app/").removeprefix("./")))
        loose += [line for line in lines if not _is_pinned(line)]
        if not lines and file.endswith(".toml"):
            loose.append(file)
    return f"`{told}` installs {', '.join(loose[:3])} in whatever version there is" if loose else ""


def _assignments(text: str) -> dict[str, str]:
    try:
        words = shlex.split(text)
    except ValueError:
        return {}
    if words and "=" not in words[0] and len(words) > 1:
        return {words[0]: " ".join(words[1:])}
    return dict(word.split("=", 1) for word in words if "=" in word)
