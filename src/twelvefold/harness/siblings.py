"""Whether a service needs code that lies beside its repository."""

from __future__ import annotations

import ast
import fnmatch
import os
import posixpath
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import own_code, repository, tracing
from .artifact import Build
from .claim import expect
from .deploy import Deploy
from .dockerfile import parse
from .processes import Process
from .repository import LINK, SUBMODULE
from .tracing import Call, Trace
from .workspace import Workspace

LOOKS = ("open", "openat", "stat", "newfstatat", "statx", "access", "faccessat", "faccessat2", "chdir", "execve")
OPENS = ("open", "openat")
END_SECONDS = 5
NAMED = re.compile(r'"((?:[^"\\]|\\.)*)"')
CODE = re.compile(r"\.(py|pyc|pth|so(\.[\d.]+)?|js|mjs|cjs|rb|jar|egg|zip|whl)$")
SYSTEM = ("/usr/", "/lib/", "/lib64/", "/etc/", "/opt/venv/", "/nix/", "/snap/")
# Files that say what a build or a process takes, and where comments begin.
SPEAK_OF_PLACES = (
    *("requirements*.txt", "constraints*.txt", "requirements/*.txt", "setup.cfg", "setup.py", "Pipfile", "Procfile*"),
    *("Makefile", "GNUmakefile", "*.mk", "*.sh", "package.json", "go.mod", "Cargo.toml", "Gemfile", "justfile"),
)
UPWARDS = re.compile(r"(?:^|[\s\"'=:@,(\[])(?:file:(?://)?)?((?:\./)*\.\./[^\s\"',)\];:]*|\.\.(?=[\s\"',)\]]|$))")
ABSOLUTE = re.compile(r"(?:^\s*(?:-e|--editable)\s+|file:(?://)?|[\w.\[\]-]+\s+@\s+)(/[\w.~-][^\s\"',;]*)", re.M)

SEARCHED = re.compile(r"\bPYTHONPATH\s*[:?]?=\s*[\"']?((?:/|~|\$\{?HOME)[^\s\"']*)")
CODE_ELSEWHERE = re.compile(r"(/\w|~|\.\./)[^*]*\.(py|so|pth)")


def in_files(source: Path) -> list[str]:
    """What in the repository names a place outside of it, a sentence each."""
    return [*_in_commit(source), *_in_pyproject(source), *_in_lock(source), *_in_build_files(source), *_in_code(source)]


def _in_commit(source: Path) -> Iterator[str]:
    for path, entry in repository.tree(source).items():
        if entry.mode == SUBMODULE:
            yield f"{path} is another repository, which a clone alone does not have"
        if entry.mode == LINK:
            target = os.readlink(source / path)
            if _leaves(path, target):
                yield f"{path} is a link to {target}"


def _in_pyproject(source: Path) -> Iterator[str]:
    for path in repository.matching(source, ("pyproject.toml", "uv.toml")):
        for where, value in _strings(_toml(source / path)):
            place = value.removeprefix("file://")
            path_like = where.rpartition(".")[2] in ("path", "editable", "directory", "url", "find-links", "members")
            upwards = [found for found in UPWARDS.findall(value) if _leaves(path, found)]
            if upwards or ABSOLUTE.search(value) or (path_like and place.startswith(("/", "~"))):
                yield f"{path}: {where} is {value}"


def _in_lock(source: Path) -> Iterator[str]:
    for path in repository.matching(source, ("uv.lock",)):
        for package in _toml(source / path).get("package", []):
            origin = package.get("source", {})
            places = [str(origin.get(kind, "")) for kind in ("editable", "directory", "path", "virtual", "url")]
            for place in places:
                if _leaves(path, place.removeprefix("file://")) and "://" not in place.removeprefix("file://"):
                    yield f"{path} takes {package.get('name')} from {place}"


def _in_build_files(source: Path) -> Iterator[str]:
    for path in repository.matching(source, SPEAK_OF_PLACES):
        lines = re.sub(r"(^|\s)#.*", "", repository.text(source, path), flags=re.M)
        found = [place for place in UPWARDS.findall(lines) if _leaves(path, place)]
        found += ABSOLUTE.findall(lines) + SEARCHED.findall(lines)
        yield from (f"{path} names {place}" for place in dict.fromkeys(found))
    for path, text in repository.dockerfiles(source).items():
        copied = [place for stage in parse(text).stages for place in stage.copied()]
        yield from (f"{path} takes {place}" for place in copied if place.split("/")[0] == "..")
    for path, services in repository.compose_files(source).items():
        for where, value in _strings(services):
            place = value.partition(":")[0] if ".volumes" in where else value
            upwards = re.match(r"\.\.(/|$)", place) and _leaves(path, place)
            if upwards or (where.endswith(("build.context", "extends.file")) and place.startswith(("/", "~"))):
                yield f"{path}: {where} is {value}"


def _in_code(source: Path) -> Iterator[str]:
    """Code that makes Python look for modules elsewhere."""
    for path in sorted(source.rglob("*.py")):
        name = path.relative_to(source).as_posix()
        if own_code.NOT_ITS_OWN.search(name) or own_code.TESTS.search(name):
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE_ELSEWHERE.fullmatch(node.value):
                yield f"{name} line {node.lineno} names the code {node.value}"
            if place := _search_place(node):
                words = ast.unparse(place)
                climbs = re.findall(r"parents\[(\d+)\]", words)
                up = max([int(one) for one in climbs] + [words.count(".parent") - 1 + words.count("dirname(") - 1])
                if re.search(r"['\"](\.\.|/|~)|\.\./|environ|getenv|expanduser|Path\.home", words) or up > name.count(
                    "/"
                ):
                    yield f"{name} line {place.lineno} lets Python look for modules in {words}"


def _search_place(node: ast.AST) -> ast.expr | None:
    """The expression of a place where Python is told to look for modules."""
    if isinstance(node, ast.Call) and node.args:
        called = ast.unparse(node.func)
        if re.search(
            r"\bsys\.path\.(append|insert|extend)$|\baddsitedir$|\bspec_from_file_location$|\brun_path$", called
        ):
            return node.args[-1] if "sys.path" in called or "spec_" in called else node.args[0]
    if isinstance(node, (ast.Assign, ast.AugAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(re.match(r"sys\.path\b", ast.unparse(target)) for target in targets):
            return node.value
    return None


def _leaves(file: str, place: str) -> bool:
    """Whether a path in a file of the repository leads out of it."""
    if place.startswith(("/", "~")):
        return True
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), place)).split("/")[0] == ".."


def _strings(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a document, with where it stands."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _strings(one, f"{where}.{key}".lstrip("."))
            if "../" in str(key):
                yield where, str(key)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one, where)


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8", "replace"))
    except tomllib.TOMLDecodeError:
        return {}


# What programs look at


def looked_at(trace: Trace, clone: Path) -> list[str]:
    """What beside a clone, in the folder that holds nothing else, somebody has looked for."""
    found = {path for path in paths(trace, clone) if path.startswith(f"{clone.parent}/")}
    return sorted(path for path in found if path != str(clone) and not path.startswith(f"{clone}/"))


def foreign_code(trace: Trace, workspace: Workspace, folder: Path) -> list[str]:
    """The code that a process has opened, and that came neither with the service nor with its packages or system.

    `folder` is the deploy's, below which each process has a copy of a service that is no package.
    """
    own = [str(root) for root in (workspace.environment, workspace.source, folder, *interpreters(workspace))]
    found = {
        path
        for path in paths(trace, workspace.source, failed=False)
        if CODE.search(path) and not path.startswith(SYSTEM) and not any(path.startswith(f"{root}/") for root in own)
    }
    return sorted(found)


def started_and_ended(deploy: Deploy, calls: Sequence[str]) -> list[tuple[Process, Trace]]:
    """Starts each process type under a trace of these calls, and ends it as soon as it is ready.

    Raises NotRun where nothing can be traced, and Violation where one does not start.
    """
    started = []
    for name in deploy.contract.processes:
        trace = tracing.prepare(deploy, calls)
        started.append((deploy.start(name, ready=False, prefix=trace.prefix), trace))
    for process, trace in started:
        if process.type == "release":
            expect(process.wait(tracing.TRACED_SECONDS) == 0, "release to exit 0", process.tail())
        else:
            deploy.wait_until_ready(process, tracing.TRACED_SECONDS)
            process.end(END_SECONDS)
        trace.wait(process.pid)
    return started


def interpreters(workspace: Workspace) -> list[Path]:
    """Where the interpreter lies that the environment was made with."""
    return [program.resolve().parents[1] for program in (workspace.environment / "bin").glob("python*")]


def paths(trace: Trace, folder: Path, *, failed: bool = True) -> Iterator[str]:
    """Every path that was named to the kernel, whole."""
    for call in trace.calls():
        if (match := NAMED.search(call.text)) and (failed or not call.failed):
            yield os.path.normpath(os.path.join(_base(call, folder), match[1]))


def _base(call: Call, folder: Path) -> str:
    """The folder that a call's path is relative to."""
    match = re.match(r"[\w-]+<([^>]+)>", call.text)
    return match[1] if match else str(folder)


def absent(build: Build) -> list[str]:
    """What the Dockerfile takes from the context, and the context does not have."""
    found = []
    for stage in parse(build.dockerfile, dict(build.call["arguments"])).used(build.target):
        for place in stage.copied():
            pattern = posixpath.normpath(place.removeprefix("/"))
            known = pattern == "." or "$" in pattern or "://" in place or place.startswith("git@")
            if not known and not any(_within(path, pattern) for path in build.files):
                found.append(place)
    return found


def _within(path: str, pattern: str) -> bool:
    parts = path.split("/")
    return any(fnmatch.fnmatch("/".join(parts[:end]), pattern) for end in range(1, len(parts) + 1))
