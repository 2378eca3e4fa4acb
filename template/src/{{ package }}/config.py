"""`config`: what the service can be told, what it has been told, and the files that follow from the code."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import HttpUrl, SecretStr
from pydantic.fields import FieldInfo

from . import identity
from .settings import Settings, Unit, load, origin

MASK = "********"
WORDS: dict[Any, str] = {
    bool: "`true` or `false`",
    int: "whole number",
    float: "number",
    SecretStr: "secret",
    HttpUrl: "URL",
    Path: "folder",
}


class Derived(NamedTuple):
    """A file that is made from the code and never edited."""

    path: str
    render: Callable[[], str]


def run(action: str, *, write: bool = False) -> int:
    """Does what `config ACTION` asks; returns the exit code."""
    if action == "check":
        load()
        sys.stdout.write("The configuration is usable.\n")
    elif action == "show":
        sys.stdout.write(effective(load()))
    elif write:
        Path(DERIVED[action].path).write_text(DERIVED[action].render())
    else:
        sys.stdout.write(DERIVED[action].render())
    return 0


def effective(settings: Settings) -> str:
    """Every variable with its value and its origin."""
    rows = [(name.upper(), _shown(getattr(settings, name)), origin(name).name) for name in Settings.model_fields]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "".join(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {source}\n" for name, value, source in rows)


def env_example() -> str:
    """The variables as an example of an environment file: the required ones to fill in, the others at their default."""
    blocks = []
    for name, field in Settings.model_fields.items():
        line = f"{name.upper()}={_default(field)}"
        blocks.append(f"# {field.description}\n{line if field.is_required() else f'# {line}'}\n")
    return (
        f"# The configuration of {identity.SERVICE}, made by `{identity.SERVICE} config env-example`.\n"
        "# Copy it to .env for development; `make dev` reads that file, the service itself never does.\n\n"
        + "\n".join(blocks)
    )


def reference() -> str:
    """The variables as a page for people."""
    rows = "".join(
        f"| `{name.upper()}` | {field.description} | {_accepted(field)} | {_default_cell(field)} |\n"
        for name, field in Settings.model_fields.items()
    )
    return (
        "# Configuration\n\n"
        f"Made by `{identity.SERVICE} config docs`; the source is `settings.py`.\n\n"
        "Each variable may instead be given as a file: `NAME_FILE` holds its path, or it is called `NAME` and lies in\n"
        "the folder `SECRETS_DIR`. A secret given by file is read again at each new connection, so it can be changed\n"
        "without a restart; everything else is read once. An empty variable counts as not given.\n\n"
        "Libraries know variables of their own, such as the PostgreSQL driver's `PGOPTIONS` and `PGSSLROOTCERT`:\n"
        "leave them unset where they are not meant.\n\n"
        "| Variable | Meaning | Value | Default |\n| --- | --- | --- | --- |\n" + rows
    )


def openapi() -> str:
    """The contract of the HTTP process type."""
    from .web.app import create_app

    placeholder = Settings.model_construct(max_body_bytes=1, feature_api_docs=True)
    return json.dumps(create_app(placeholder).openapi(), indent=2, ensure_ascii=False) + "\n"


DERIVED = {
    "env-example": Derived(".env.example", env_example),
    "docs": Derived("docs/configuration.md", reference),
    "openapi": Derived("openapi.json", openapi),
}


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return MASK
    return "" if value is None else str(value)


def _default(field: FieldInfo) -> str:
    default = None if field.is_required() else field.get_default()
    if default is None:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def _default_cell(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return f"`{default}`" if (default := _default(field)) else "not set"


def _accepted(field: FieldInfo) -> str:
    """What a value looks like, with its unit."""
    kinds = [kind for kind in get_args(field.annotation) if kind is not NoneType] or [field.annotation]
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in kinds)
    unit = next((f" of {note.name}" for note in field.metadata if isinstance(note, Unit)), "")
    return WORDS.get(kinds[0], "text") + unit
