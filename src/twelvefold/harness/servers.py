"""The web servers that a repository has people start: by make, a script, a task runner or an editor."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import repository, scripts
from .scripts import BEGINS

SHELL = ("*.sh", "*.bash", "justfile", "Justfile", "Taskfile.y*ml")
EDITORS = re.compile(r"(?:^|/)(?:\.vscode/(?:launch|tasks)\.json|\.?devcontainer\.json)$")
RUNNER = (
    r"(?:(?:\S*/)?(?:uv|poetry|pipenv|pdm|hatch|rye|\$\(\w+\))\s+run\s+(?:--?\S+\s+)*)?"
    r"(?:(?:\S*/)?python[\d.]*\s+(?:-m\s+)?)?"
)
SERVER = (
    r"(?:uvicorn|gunicorn|hypercorn|granian|daphne|waitress-serve|uwsgi|nodemon)(?=\s+(?!--?(?:version|help)\b)[\w$./-])"
    r"|flask\s+(?:-\S+\s+(?:[\w.:]+\s+)?)*run\b|fastapi\s+(?:dev|run)\b|(?:\./)?manage\.py\s+runserver\b"
)
SERVES = re.compile(rf"{BEGINS}[@-]*{RUNNER}(?:\S*/)?((?:{SERVER})[^;&|<>\n]*)")
TASKS = re.compile(r"scripts|tasks")  # how tables of pyproject.toml end that hold commands
NAMES = ("name", "label", "detail", "description", "help")


def commands(source: Path) -> Iterator[tuple[str, list[str]]]:
    """Where a server is started, and by which words."""
    known = _of_production(source)
    for target, recipe in scripts.targets(source, whole=False).items():
        if not re.search(rf"\bmake {re.escape(target)}\b", known):
            yield from _in_lines(f"make {target}", recipe)
    for path in repository.matching(source, SHELL):
        if path.rpartition("/")[2] not in known:
            yield from _in_lines(path, repository.text(source, path))
    yield from _in_lines("pyproject.toml", "\n".join(_tasks(_toml(repository.text(source, "pyproject.toml")))))
    for path in filter(EDITORS.search, repository.tree(source)):
        yield from _in_lines(path, "\n".join(_said(_with_comments(repository.text(source, path)))))


def plain(command: str) -> list[str]:
    """The words of a command, without the program that runs it in an environment."""
    text = re.sub(r"\$\((\w+)\)|\$\$", lambda match: f"${match[1] or ''}", command.strip())
    text = re.sub(rf"^{RUNNER}", "", text)
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return text.split()


def _in_lines(where: str, text: str) -> Iterator[tuple[str, list[str]]]:
    for line in re.sub(r"\\\n", " ", text).splitlines():
        for command in SERVES.findall(line.strip()):
            yield where, plain(command)


def _of_production(source: Path) -> str:
    """What names the scripts by which production starts, or whose programs are seen: a server of theirs is known."""
    texts = [repository.text(source, "Procfile"), repository.text(source, "factors.toml")]
    texts += repository.dockerfiles(source).values()
    return "\n".join(texts + [repository.text(source, path) for path in repository.compose_files(source)])


def _said(value: Any) -> Iterator[str]:
    """The commands in the settings of an editor: texts, and modules or programs with their arguments."""
    if isinstance(value, dict):
        given = value.get("args") or []
        words = given if isinstance(given, list) else [given]
        for key in ("module", "program", "command", "cmd"):
            if isinstance(value.get(key), str):
                yield " ".join([value[key].rpartition("}/")[2], *map(str, words)])
        for key, one in value.items():
            yield from _said(one) if key not in ("module", "program", "command", "cmd", "args", *NAMES) else ()
    elif isinstance(value, list):
        for one in value:
            yield from _said(one)
    elif isinstance(value, str):
        yield value


def _tasks(value: Any) -> Iterator[str]:
    """The commands in the tables of task runners, such as [tool.poe.tasks]."""
    for key, one in value.items() if isinstance(value, dict) else ():
        yield from _said(one) if TASKS.search(key) else _tasks(one)


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def _with_comments(text: str) -> Any:
    """JSON as editors take it: with comments, and commas at the end."""
    bare = re.sub(r"^\s*//.*$|\s//\s.*$|/\*.*?\*/", "", text, flags=re.M)
    try:
        return json.loads(re.sub(r",(\s*[}\]])", r"\1", bare))
    except ValueError:
        return {}
