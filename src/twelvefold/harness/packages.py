"""The packages of a service: which it declares, which are installed, and which its own code asks for."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from . import artifact, own_code
from .claim import NotRun, Violation
from .inside import twelvefold_imports
from .own_code import Module
from .repository import text
from .tools import tool_environment
from .workspace import Workspace

LOADERS = {"import_module", "__import__", "resolve_name", "import_string", "import_object", "load_object", "locate"}
HOOK = """import importlib.util
spec = importlib.util.spec_from_file_location("twelvefold_imports", {file!r})
hook = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hook)
hook.start({output!r}, {roots!r})
"""


@dataclass(frozen=True)
class Import:
    """A module that own code asks for."""

    name: str
    place: str
    """As file:line, or a file."""
    guarded: bool = False
    """Whether the code can do without it."""


class Environment:
    """What is installed."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        places = [str(site) for site in own_code.site_packages(workspace)]
        if not places:
            raise NotRun("only the packages of Python code can be read")
        self.distributions = {normal(one.metadata["Name"]): one for one in distributions(path=places)}
        self.own = artifact.own_distribution(workspace)

    @cached_property
    def owners(self) -> dict[str, str]:
        """Which distribution has brought a module, by the module's full name."""
        found = {}
        for name, one in self.distributions.items():
            for file in one.files or ():
                if file.suffix in (".py", ".so", ".pyd", ".pyc") and "dist-info" not in file.parts[0]:
                    parts = [*file.parts[:-1], file.name.split(".")[0]]
                    found[".".join(parts).removesuffix(".__init__")] = name
        return found

    @cached_property
    def standard(self) -> set[str]:
        """The modules of the standard library of its Python."""
        asked = "import sys; print(*sys.stdlib_module_names, *sys.builtin_module_names)"
        python = self.workspace.environment / "bin" / "python"
        done = subprocess.run([python, "-I", "-c", asked], capture_output=True, text=True, timeout=30, check=True)
        return set(done.stdout.split())

    @cached_property
    def version(self) -> str:
        """The version of its Python, such as 3.13.0."""
        python = self.workspace.environment / "bin" / "python"
        done = subprocess.run([python, "-I", "-V"], capture_output=True, text=True, timeout=30, check=True)
        return done.stdout.split()[-1]

    def owner(self, module: str) -> str | None:
        """The distribution that has brought a module; None where none has."""
        parts = module.split(".")
        for end in range(len(parts), 0, -1):
            if found := self.owners.get(".".join(parts[:end])):
                return found
        return None

    def programs(self) -> dict[str, str]:
        """Which distribution has brought a program."""
        return {
            entry.name: name
            for name, one in self.distributions.items()
            for entry in one.entry_points
            if entry.group in ("console_scripts", "gui_scripts")
        }

    def closed_over(self, declared: Iterable[Requirement]) -> set[str]:
        """The declared distributions, with those that the extras stand for which they are declared with."""
        found: set[str] = set()
        open_ = list(declared)
        while open_:
            requirement = open_.pop()
            name = normal(requirement.name)
            found.add(name)
            distribution = self.distributions.get(name)
            for one in (distribution.requires if distribution else None) or ():
                added = Requirement(one)
                if any(self.applies(added, extra) for extra in requirement.extras) and not self.applies(added):
                    open_.append(added)
        return found

    def applies(self, requirement: Requirement, extra: str = "") -> bool:
        """Whether a requirement is meant for this Python, with an extra."""
        own = {"python_version": ".".join(self.version.split(".")[:2]), "python_full_version": self.version}
        return requirement.marker is None or requirement.marker.evaluate({**own, "extra": extra})


def normal(name: str) -> str:
    """A distribution's name as it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(environment: Environment) -> list[Requirement]:
    """What the service says that it needs: the package itself, or its pyproject.toml, or its requirements.txt."""
    source = environment.workspace.source
    if environment.own is not None:
        lines: list[str] = list(environment.own.requires or ())
    elif (source / "requirements.txt").exists():
        lines = list(requirement_lines(source, "requirements.txt"))
    else:
        project = tomllib.loads(text(source, "pyproject.toml")).get("project", {})
        lines = list(project.get("dependencies", ()))
    found = [one for line in lines if (one := _requirement(line))]
    return [one for one in found if environment.applies(one)]


def requirement_lines(source: Path, file: str) -> Iterator[str]:
    """The requirements in a file, and in those that it names; without their hashes."""
    for line in re.sub(r"\\\n", " ", text(source, file)).splitlines():
        words = re.sub(r"(^|\s)#.*", "", line).strip()
        if other := re.match(r"(?:-r|--requirement)[\s=]*(\S+)", words):
            yield from requirement_lines(source, (Path(file).parent / other[1]).as_posix())
        elif words and not words.startswith("-"):
            yield re.sub(r"\s--hash=\S+", "", words).strip()


def _requirement(line: str) -> Requirement | None:
    try:
        return Requirement(line)
    except InvalidRequirement:
        return None


# What own code asks for


def written(module: Module) -> Iterator[Import]:
    """What the code says, executed or not; but for what only types need."""
    try:
        tree = ast.parse(module.text)
    except SyntaxError:
        return
    yield from _imports(tree, module.name, guarded=False)


def _imports(node: ast.AST, file: str, *, guarded: bool) -> Iterator[Import]:
    if isinstance(node, ast.If) and re.search(r"\bTYPE_CHECKING\b", ast.unparse(node.test)):
        children: Iterable[ast.AST] = node.orelse
        yield from (one for child in children for one in _imports(child, file, guarded=guarded))
        return
    place = f"{file}:{getattr(node, 'lineno', 0)}"
    if isinstance(node, ast.Import):
        yield from (Import(one.name, place, guarded) for one in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield from (Import(f"{node.module}.{one.name}", place, guarded) for one in node.names)
    elif isinstance(node, ast.Call) and node.args and _last_name(node.func) in LOADERS:
        first = node.args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str) and not first.value.startswith("."):
            yield Import(first.value.replace(":", "."), place, guarded)
    if isinstance(node, (ast.Try, ast.TryStar)):
        caught = " ".join(ast.unparse(one.type) if one.type else "Exception" for one in node.handlers)
        inner = guarded or bool(re.search(r"ImportError|ModuleNotFoundError|\bException\b", caught))
        yield from (one for child in node.body for one in _imports(child, file, guarded=inner))
        rest = [*node.handlers, *node.orelse, *node.finalbody]
        yield from (one for child in rest for one in _imports(child, file, guarded=inner))
        return
    yield from (one for child in ast.iter_child_nodes(node) for one in _imports(child, file, guarded=guarded))


def _last_name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


class Watched:
    """Lets processes write down what they import. `variables` is what they are given for that."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._workspace = workspace
        self._output = folder / "imports.jsonl"
        roots = [str(root) for root in own_code.roots(workspace)]
        hook = HOOK.format(file=twelvefold_imports.__file__, output=str(self._output), roots=roots)
        (folder / "sitecustomize.py").write_text(hook)
        self.variables = {"PYTHONPATH": str(folder), "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def imports(self) -> list[Import]:
        """What own code has imported so far."""
        lines = self._output.read_text().splitlines() if self._output.exists() else []
        events = [json.loads(line) for line in lines]
        return [
            Import(event["name"], own_code.name_of(self._workspace, event["by"]), guarded=True)
            for event in events
            if "name" in event
        ]

    def processes(self) -> int:
        """How many processes have been watched."""
        lines = self._output.read_text().splitlines() if self._output.exists() else []
        return sum("watching" in json.loads(line) for line in lines)


def undeclared(environment: Environment, imports: Iterable[Import]) -> list[str]:
    """What own code asks for, and the service does not declare, a sentence each."""
    known = environment.closed_over(declared(environment))
    own = _own_modules(environment)
    problems: dict[str, str] = {}
    for one in imports:
        top = one.name.split(".")[0]
        if top in environment.standard or top in own:
            continue
        owner = environment.owner(one.name)
        if owner is None and not one.guarded:
            problems.setdefault(top, f"{one.place} imports {top}, which is not installed")
        elif owner is not None and owner not in known and owner != _own_name(environment):
            problems.setdefault(owner, f"{one.place} imports {one.name} of {owner}, which is not declared")
    return sorted(problems.values())


def _own_modules(environment: Environment) -> set[str]:
    """The modules of the service itself: those that it is installed with, or that lie in the repository."""
    if environment.own is not None:
        return {module.split(".")[0] for module, owner in environment.owners.items() if owner == _own_name(environment)}
    workspace = environment.workspace
    roots = [workspace.source, *(workspace.source / folder for folder in workspace.contract.code.folders)]
    return {path.stem for root in roots for path in root.glob("*.py")} | {
        path.parent.name for root in roots for path in root.glob("*/__init__.py")
    }


def _own_name(environment: Environment) -> str:
    return normal(environment.own.metadata["Name"]) if environment.own is not None else ""


def undeclared_programs(environment: Environment) -> list[str]:
    """The programs of process types that come with a package which the service does not declare."""
    known = environment.closed_over(declared(environment)) | {_own_name(environment)}
    programs = environment.programs()
    problems = []
    for process, command in environment.workspace.contract.processes.items():
        for word in command.split():
            owner = programs.get(word)
            if owner and owner not in known:
                problems.append(f"{process} is started by {word} of {owner}, which is not declared")
    return problems


# Installing again


def install_again(workspace: Workspace, environment: Path) -> str:
    """Installs the packages once more, by the lock, into an empty environment; returns what went wrong."""
    if not (workspace.source / "uv.lock").exists():
        into = ["--quiet", "--python", str(environment / "bin" / "python")]
        made = _uv(workspace, "venv", "--quiet", "--python", str(_interpreter(workspace)), str(environment))
        return made[1] or _uv(workspace, "pip", "install", *into, "--requirement", "requirements.txt")[1]
    given = {"UV_PROJECT_ENVIRONMENT": str(environment)}
    return _uv(workspace, "sync", "--quiet", "--locked", "--no-dev", "--no-install-project", variables=given)[1]


def exported(workspace: Workspace) -> list[str]:
    """The requirements that uv.lock holds for the service without its development, one a line."""
    words = ("--quiet", "--frozen", "--no-dev", "--no-hashes", "--no-emit-project", "--no-header", "--no-annotate")
    listed, trouble = _uv(workspace, "export", *words)
    if trouble:
        raise Violation(f"uv.lock cannot be read: {trouble}")
    return [line.strip() for line in listed.splitlines() if line.strip() and not line.startswith(("#", "-", "."))]


def _interpreter(workspace: Workspace) -> Path:
    return (workspace.environment / "bin" / "python").resolve()


def _uv(workspace: Workspace, *words: str, variables: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Runs uv, from its cache if that is enough; returns what it printed, and what went wrong."""
    for offline in (["--offline"], []):
        done = subprocess.run(
            ["uv", *words, *offline],
            cwd=workspace.source,
            env=tool_environment(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        if not done.returncode:
            return done.stdout, ""
    return "", done.stderr.strip() or f"uv {words[0]} ended with {done.returncode}"


def versions(environment: Path) -> dict[str, str]:
    """The version of each distribution in an environment, by its name."""
    places = [str(site) for site in environment.glob("lib/python3*/site-packages")]
    return {normal(one.metadata["Name"]): one.version for one in distributions(path=places)}
