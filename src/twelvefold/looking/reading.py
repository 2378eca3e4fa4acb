"""Reading the files of a service: they are somebody else's, and may be broken."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

Values = Mapping[str, Any]


class Unreadable(Exception):
    """A file that cannot be read as what it claims to be: a text that says which, and how to mend it."""


class Said(NamedTuple):
    """Something that was found, and where."""

    value: str
    where: str


class _Yaml(yaml.SafeLoader):
    """Reads a value under a tag that YAML does not know, such as compose's `!reset` and `!override`, as it stands."""


def _as_it_stands(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return None if node.value == "null" else node.value


_Yaml.add_multi_constructor("!", _as_it_stands)


def first_of(path: Path, names: Iterable[str]) -> str:
    """The first of these files that a folder has; an empty text if it has none."""
    return next((name for name in names if (path / name).is_file()), "")


def text_of(file: Path) -> str:
    """What a file holds; an empty text if there is none."""
    return file.read_text("utf-8", "replace") if file.is_file() else ""


def yaml_of(file: Path) -> Values:
    """What a YAML or JSON file holds; nothing if there is none. Raises Unreadable, as the next two do."""
    return _read(file, lambda text: yaml.load(text, _Yaml), yaml.YAMLError)


def json_of(file: Path) -> Values:
    """What a JSON file holds; nothing if there is none."""
    return _read(file, json.loads, json.JSONDecodeError)


def toml_of(file: Path) -> Values:
    """What a TOML file holds; nothing if there is none."""
    return _read(file, tomllib.loads, tomllib.TOMLDecodeError)


def _read(file: Path, parse: Callable[[str], Any], trouble: type[Exception]) -> Values:
    if not file.is_file():
        return {}
    try:
        return mapping(parse(file.read_text("utf-8-sig")))
    except (trouble, ValueError, RecursionError) as error:  # a ValueError: no text, no such date
        raise Unreadable(f"{file.name} cannot be read ({' '.join(str(error).split())}): mend it first.") from None


def mapping(value: Any) -> Values:
    """A value if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def at(value: Any, *keys: str) -> Any:
    """What lies at a path of keys, or None."""
    for key in keys:
        value = mapping(value).get(key)
    return value


def is_command(text: str) -> bool:
    """Whether a text is a command line."""
    try:
        return bool(shlex.split(text))
    except ValueError:
        return False
