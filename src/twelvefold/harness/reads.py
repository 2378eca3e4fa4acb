"""Where Python code asks the environment: as it is written, and as it happens while it runs."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .contract import VARIABLE
from .inside.twelvefold_reads import EVERYTHING
from .own_code import Module, name_of
from .workspace import Workspace

ENVIRONMENT = {"environ", "environb", "getenv", "getenvb"}
OF_ANYTHING = {"environb", "getenv", "getenvb", "expandvars"}  # no other object has such an attribute
MODULES_WITH_IT = {"os", "posix", "nt"}
# Libraries that read the configuration at the wish of the code that imports them.
READERS = "decouple dotenv dynaconf environ environs everett goodconf prettyconf pydantic_settings starlette.config"
OPTIONS = {"envvar", "auto_envvar_prefix", "env_var", "env_prefix", "env_file"}  # by which libraries are told to read
NAME = re.compile(r"[A-Z][A-Z0-9_]{2,}")
PROC = re.compile(r"/proc/.*environ")


@dataclass(frozen=True, order=True)
class Read:
    """A place that asks the environment."""

    place: str
    """As file:line."""
    name: str
    """The variable; empty where the code does not tell."""
    how: str
    """The code itself, or who asked for it."""

    @property
    def file(self) -> str:
        """The file of the place."""
        return self.place.rpartition(":")[0]

    def __str__(self) -> str:
        return f"{self.place} reads {self.name or 'the environment'} ({self.how})"


def written(module: Module) -> list[Read]:
    """What the code says, executed or not; also by roundabout ways."""
    try:
        tree = ast.parse(module.text)
    except SyntaxError:
        return []
    return sorted(set(_Reader(module.name, tree).reads()))


class _Reader:
    """Looks through one file."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self._name = name
        self._tree = tree
        self._parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        self._modules = set(MODULES_WITH_IT)  # names under which the module is known here
        self._names: set[str] = set()  # names under which what it holds is known here
        self._constants: dict[str, str] = {}
        for node in ast.walk(tree):
            self._learn(node)

    def _learn(self, node: ast.AST) -> None:
        """Follows other names, as in `import os as o` and `e = os.environ`."""
        if isinstance(node, ast.Import):
            self._modules |= {one.asname for one in node.names if one.name in MODULES_WITH_IT and one.asname}
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES_WITH_IT:
            self._names |= {one.asname or one.name for one in node.names if one.name in ENVIRONMENT}
        elif isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in node.targets):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if self._is_module(node.value):
                self._modules |= set(names)
            elif isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                self._constants |= dict.fromkeys(names, node.value.value)

    def _is_module(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self._modules
        if isinstance(node, ast.Attribute):  # pathlib.os
            return node.attr in MODULES_WITH_IT
        if isinstance(node, ast.Subscript):  # sys.modules["os"]
            return isinstance(node.slice, ast.Constant) and node.slice.value in MODULES_WITH_IT
        if isinstance(node, ast.Call):  # __import__("os"), import_module("o" + "s")
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            return name in ("__import__", "import_module") or any(
                isinstance(one, ast.Constant) and one.value in MODULES_WITH_IT for one in node.args
            )
        return False

    def reads(self) -> Iterator[Read]:
        """Every place."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Import):
                yield from self._readers(node, [one.name for one in node.names])
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield from self._imported(node)
            elif isinstance(node, ast.Attribute) and self._asks(node):
                yield self._read(node, ast.unparse(node))
            elif isinstance(node, ast.Name) and node.id in self._names and isinstance(node.ctx, ast.Load):
                if not self._only_tells(node):
                    yield self._read(node, node.id)
            elif isinstance(node, ast.Call):
                yield from self._called(node)
            elif isinstance(node, ast.Constant) and self._is_file(node):
                yield self._read(node, repr(node.value))

    def _asks(self, node: ast.Attribute) -> bool:
        if node.attr == "__dict__" and self._is_module(node.value):
            return True
        known = node.attr in OF_ANYTHING or (node.attr in ENVIRONMENT and self._is_module(node.value))
        return known and not self._only_tells(node)

    def _only_tells(self, node: ast.AST) -> bool:
        """Whether the code sets a variable for a library, and takes nothing from it."""
        parent = self._parents.get(node)
        if isinstance(parent, ast.Subscript):
            return isinstance(parent.ctx, (ast.Store, ast.Del))
        if isinstance(parent, ast.Attribute) and parent.attr in ("setdefault", "update", "pop"):
            call = self._parents.get(parent)
            return isinstance(self._parents.get(call) if call else None, ast.Expr)
        return False

    def _is_file(self, node: ast.Constant) -> bool:
        """Whether it names the file in which the kernel shows the environment."""
        parent = self._parents.get(node)
        if not isinstance(node.value, str) or isinstance(parent, ast.Expr):  # a docstring
            return False
        return bool(PROC.search(node.value)) or (
            node.value in ("environ", "/environ") and isinstance(parent, ast.BinOp)
        )

    def _called(self, node: ast.Call) -> Iterator[Read]:
        function = node.func.id if isinstance(node.func, ast.Name) else ""
        if function in ("getattr", "vars", "hasattr", "attrgetter") and self._names_it(node.args):
            yield self._read(node, ast.unparse(node))
        if function in ("eval", "exec", "compile") and any(
            word in _text(one) for one in node.args for word in ENVIRONMENT
        ):
            yield self._read(node, ast.unparse(node))
        for keyword in node.keywords:
            if keyword.arg in OPTIONS and not (isinstance(keyword.value, ast.Constant) and not keyword.value.value):
                yield Read(f"{self._name}:{node.lineno}", _text(keyword.value), f"{keyword.arg}=")

    def _names_it(self, arguments: list[ast.expr]) -> bool:
        return any(_text(one) in ENVIRONMENT for one in arguments) or any(map(self._is_module, arguments[:1]))

    def _readers(self, node: ast.stmt, names: Iterable[str]) -> Iterator[Read]:
        for name in names:
            if any(name == reader or name.startswith(f"{reader}.") for reader in READERS.split()):
                yield Read(f"{self._name}:{node.lineno}", "", f"imports {name}")

    def _imported(self, node: ast.ImportFrom) -> Iterator[Read]:
        module = node.module or ""
        yield from self._readers(node, {module, *(f"{module}.{one.name}" for one in node.names)})
        if module in MODULES_WITH_IT and any(one.name == "*" for one in node.names):
            yield Read(f"{self._name}:{node.lineno}", "", f"takes all from {module}")

    def _read(self, node: ast.expr, how: str) -> Read:
        return Read(f"{self._name}:{node.lineno}", self._asked_for(node), how)

    def _asked_for(self, node: ast.expr) -> str:
        """The variable's name, where it stands in the code as a constant."""
        asked: ast.AST | None = self._parents.get(node)
        if isinstance(asked, ast.Attribute):
            asked = self._parents.get(asked)
        if isinstance(asked, ast.Subscript):
            return self._constant(asked.slice)
        if isinstance(asked, ast.Call) and asked.args:
            return self._constant(asked.args[0])
        if isinstance(asked, ast.Compare):
            return self._constant(asked.left)
        return ""

    def _constant(self, node: ast.expr) -> str:
        return self._constants.get(node.id, "") if isinstance(node, ast.Name) else _text(node)


def _text(node: ast.expr) -> str:
    value = node.value if isinstance(node, ast.Constant) else ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value) if isinstance(value, str) else ""


def in_commands(commands: Mapping[str, str]) -> list[Read]:
    """The variables that the command lines of process types name, as a shell reads them."""
    found = [(name, match) for name, command in commands.items() for match in VARIABLE.finditer(command)]
    return [Read(f"process type {name}:1", match["name"] or match["bare"], match[0]) for name, match in found]


def names_in(module: Module) -> set[str]:
    """Whatever in the code could be the name of a variable: texts, and the fields of classes."""
    try:
        tree = ast.parse(module.text)
    except SyntaxError:
        return set()
    words: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words |= {node.value, *re.findall(r"\$\{?(\w+)", node.value)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            words.add(node.target.id.upper())
    return {word for word in words if NAME.fullmatch(word)}


@dataclass(frozen=True)
class Seen:
    """What was read while programs ran."""

    own: list[Read]
    """By the service's own code, or by a library at its wish."""
    libraries: set[str]
    """The variables that libraries look for by themselves."""
    programs: int
    """How many programs were watched."""


def happened(workspace: Workspace, output: Path, mentioned: Iterable[str]) -> Seen:
    """What the probe has written down; `mentioned` are the names that stand in the service's own code."""
    lines = output.read_text("utf-8").splitlines() if output.exists() else []
    events = [json.loads(line) for line in lines]
    asked = [event for event in events if "name" in event]
    walks = {event["by"] for event in asked if event["name"] == EVERYTHING}
    # Who looks through all of them also takes each.
    asked = [event for event in asked if event["name"] == EVERYTHING or event["by"] not in walks]
    wished = set(mentioned)
    own, libraries = set(), set()
    for event in asked:
        name = "" if event["name"] == EVERYTHING else event["name"]
        if event["own"] and (event["by"] == event["own"] or name in wished or (not name and _is_reader(event["by"]))):
            file, _, line = event["own"].rpartition(":")
            asker = "" if event["by"] == event["own"] else f" through {_short(event['by'])}"
            own.add(Read(f"{name_of(workspace, file)}:{line}", name, f"seen while it ran{asker}"))
        elif name:
            libraries.add(name)
    return Seen(sorted(own), libraries, len(events) - sum("name" in event for event in events))


def _is_reader(place: str) -> bool:
    return any(f"/{reader.replace('.', '/')}" in place for reader in READERS.split())


def _short(place: str) -> str:
    return place.rpartition("/site-packages/")[2] or place
