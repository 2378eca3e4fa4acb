"""Reads each kind of file that a service has as what it is, and fails when it is not that."""

import ast
import json
import re
import shlex
import subprocess
import tomllib
import warnings
from collections.abc import Callable
from pathlib import PurePosixPath

import yaml

# fmt: off
DOCKERFILE_INSTRUCTIONS = {
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "SHELL",
    "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
}
# fmt: on
OWNER = r"@[\w-]+(/[\w.-]+)?"


def read(name: str, text: str) -> object:
    """Returns what a file says, as far as its kind has a structure; raises for a text that is not of that kind."""
    return _reader(PurePosixPath(name))(text)


def _reader(path: PurePosixPath) -> Callable[[str], object]:
    if by_name := BY_NAME.get(path.name):
        return by_name
    if by_suffix := BY_SUFFIX.get(path.suffix):
        return by_suffix
    raise AssertionError(f"{path}: say in {__name__} how a file of this kind is read")


def _yaml(text: str) -> list[object]:
    return list(yaml.safe_load_all(text))


def _python(text: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an invalid escape in a string, for one
        ast.parse(text)
    return text


def _makefile(text: str) -> str:
    told = subprocess.run(
        ["make", "--dry-run", "--file", "-", "help"], input=text, capture_output=True, encoding="utf-8", check=False
    )
    assert (told.returncode, told.stderr) == (0, ""), text
    return text


def _dockerfile(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    instructions = [line.strip() for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]
    assert {line.split()[0] for line in instructions} <= DOCKERFILE_INSTRUCTIONS
    assert instructions[0].startswith(("ARG ", "FROM "))
    return [shlex.split(line) for line in instructions]


def _procfile(text: str) -> dict[str, list[str]]:
    lines = [line.partition(": ") for line in text.splitlines()]
    assert all(re.fullmatch("[a-z]+", name) and command for name, _, command in lines), text
    return {name: shlex.split(command) for name, _, command in lines}


def _codeowners(text: str) -> dict[str, list[str]]:
    rules = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    assert all(owners and all(re.fullmatch(OWNER, owner) for owner in owners) for _, *owners in rules), text
    return {pattern: owners for pattern, *owners in rules}


def _variables(text: str) -> dict[str, str]:
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))


def _python_version(text: str) -> str:
    assert re.fullmatch(r"3\.\d+\n", text), text
    return text.strip()


def _text(text: str) -> str:
    assert "\0" not in text
    return text


BY_NAME: dict[str, Callable[[str], object]] = {
    ".dockerignore": _text,
    ".editorconfig": _text,
    ".env.example": _variables,
    ".gitignore": _text,
    ".python-version": _python_version,
    "CODEOWNERS": _codeowners,
    "Dockerfile": _dockerfile,
    "LICENSE": _text,
    "Makefile": _makefile,
    "Procfile": _procfile,
    "py.typed": _text,
    "uv.lock": tomllib.loads,
}
BY_SUFFIX: dict[str, Callable[[str], object]] = {
    ".json": json.loads,
    ".mako": _text,
    ".md": _text,
    ".py": _python,
    ".sql": _text,
    ".toml": tomllib.loads,
    ".yaml": _yaml,
    ".yml": _yaml,
}
