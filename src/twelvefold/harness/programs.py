"""Which programs a process executes or looks for, and which its code could."""

from __future__ import annotations

import ast
import itertools
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import repository
from .dockerfile import Dockerfile, parse
from .own_code import Module
from .siblings import NAMED
from .tracing import Call, Trace
from .variants import takes_code
from .workspace import Workspace

LOOKS = ("execve", "execveat", "access", "faccessat", "faccessat2", "stat", "newfstatat", "statx")
SYSTEM_PROGRAMS = re.compile(r"^/(?:usr/)?(?:local/)?s?bin/([^/]+)$")
# Python's own `platform` asks the system's `file` about the interpreter, when a library that is imported wants to know
# whether that has 32 bits. It is as content without, and no service can keep its libraries from it.
ABOUT_ITSELF = re.compile(r'\["file", "-b", "[^"]*/python[\d.]*"\]')
STARTERS = re.compile(
    r"^(system|popen|exec[lv]p?e?|spawn[lv]p?e?|posix_spawnp?|startfile|create_subprocess_(exec|shell)|"
    r"subprocess_(exec|shell)|which|getoutput|getstatusoutput|check_output|check_call|Popen)$"
)
OF_SUBPROCESS = {"run", "call"}
# Packages that are there to start other programs.
WRAPPERS = {
    "sh",
    "plumbum",
    "pexpect",
    "sarge",
    "delegator",
    "invoke",
    "fabric",
    "git",
    "pytesseract",
    "pdfkit",
    "ffmpeg",
}
LOADERS = {"CDLL", "PyDLL", "LoadLibrary", "dlopen"}
OF_THE_C_LIBRARY = re.compile(r"lib(c|m|dl|pthread|rt)\.so(\.\d+)?")
SHELLS = {"sh", "bash", "dash", "ash", "zsh", "env"}
# After these a command follows; after the others nothing that is executed.
BEFORE_COMMANDS = {"exec", "!", "if", "then", "elif", "else", "while", "until", "do", "{", "time", "command"}
BUILT_IN = set(
    "exit true false test [ [[ set cd echo : fi done } export unset local readonly return shift trap wait read printf"
    " umask ulimit kill type for case esac eval . source break continue pwd getopts declare hash".split()
)
# What is wherever a shell is.
WITH_A_SHELL = set(
    "sleep cat mkdir chmod chown ln rm cp mv touch id date dirname basename seq printenv whoami xargs find realpath"
    " readlink stat tee env ls head tail tr cut wc sort sed grep hostname nproc".split()
)
# Those that start the one that is meant.
STARTERS_OF_OTHERS = {"tini", "dumb-init", "catatonit", "gosu", "su-exec", "setpriv", "uv", "poetry", "pipenv", "pdm"}


class Allowed:
    """What a process may execute: the programs that came with the environment, and the service's runtime."""

    def __init__(self, workspace: Workspace, runtime: Path | None = None) -> None:
        self._folders = [workspace.environment / "bin", *([runtime] if runtime else [])]
        own = [program.resolve() for folder in self._folders for program in folder.glob("*") if program.is_symlink()]
        self._paths = {str(one) for one in own}
        self._names = {one.name for one in own}

    def path(self, path: str) -> bool:
        """Whether this file may be executed."""
        place = Path(path)
        here = place.parent in self._folders and place.exists()
        return here or path in self._paths or os.path.realpath(path) in self._paths

    def name(self, name: str) -> bool:
        """Whether a program of this name may be looked for."""
        here = any((folder / name).exists() for folder in self._folders)
        return here or name in self._names or name.startswith("py")


def runtime(workspace: Workspace, folder: Path) -> Path:
    """A folder with the programs by whose names processes are started, where no environment has brought them.

    A shell is never among them: what it starts is anything.
    """
    folder.mkdir()
    for process in workspace.contract.processes:
        name = shlex.split(workspace.contract.processes[process])[0]
        program = shutil.which(name, path=workspace.search_path) or shutil.which(name)
        own = (workspace.environment / "bin" / name).exists()
        if program and not own and "/" not in name and name not in SHELLS and not (folder / name).exists():
            (folder / name).symlink_to(program)
    return folder


def foreign(trace: Trace, allowed: Allowed, nothing: Path) -> list[str]:
    """The programs of others that were executed, or looked for in the empty folder that is first on the PATH."""
    calls = trace.calls()
    found: dict[str, None] = {}
    for call in calls:
        path = _path(call)
        name = Path(path).name
        if call.name.startswith("execve") and ABOUT_ITSELF.search(call.text):
            continue
        if call.name.startswith("execve"):
            if path and not allowed.path(path):
                found[f"{name} ({path})" if Path(path).parent != nothing else name] = None
        elif (Path(path).parent == nothing or SYSTEM_PROGRAMS.match(path)) and not allowed.name(name):
            found[f"{name} (looked for)"] = None
    return list(found)


def _path(call: Call) -> str:
    match = NAMED.search(call.text)
    return os.path.normpath(match[1]) if match and match[1] else ""


# What the code says


def written(module: Module) -> Iterator[str]:
    """Where own code starts or looks for programs that are not its own interpreter, a sentence each."""
    try:
        tree = ast.parse(module.text)
    except SyntaxError:
        return
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    starting = [call for call in calls if _starts(call)]
    for call in starting:
        if not _is_interpreter(call):
            yield f"{module.name}:{call.lineno} {ast.unparse(call)[:80]}"
    for node in ast.walk(tree):
        for name in _imported(node):
            top = name.split(".")[0]
            if top in WRAPPERS or (top in ("subprocess", "pty") and not starting):
                yield f"{module.name}:{getattr(node, 'lineno', 0)} takes {top}"
    for call in calls:
        constants = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if _name(call.func) in ("getattr", "attrgetter") and any(map(STARTERS.match, constants)):
            yield f"{module.name}:{call.lineno} {ast.unparse(call)[:80]}"


def libraries(module: Module, environment: Path) -> Iterator[str]:
    """Where own code loads a library of the system's by its name, a sentence each; Python itself brings C's."""
    with suppress(SyntaxError):
        for call in (node for node in ast.walk(ast.parse(module.text)) if isinstance(node, ast.Call)):
            first = call.args[0] if call.args and _name(call.func) in LOADERS else None
            name = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
            own = name and next(environment.rglob(Path(name).name), None)
            if name and not own and not OF_THE_C_LIBRARY.fullmatch(Path(name).name):
                yield f"{module.name}:{call.lineno} {ast.unparse(call)[:80]}"


def _starts(call: ast.Call) -> bool:
    name = _name(call.func)
    if name in OF_SUBPROCESS:
        return isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in ("subprocess", "sp")
    return bool(STARTERS.match(name))


def _is_interpreter(call: ast.Call) -> bool:
    first = call.args[0] if call.args else None
    if isinstance(first, (ast.List, ast.Tuple)) and first.elts:
        first = first.elts[0]
    return first is not None and ast.unparse(first) == "sys.executable"


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [str(node.module)]
    if isinstance(node, ast.Call) and node.args and _name(node.func) in ("import_module", "__import__"):
        first = node.args[0]
        return [str(first.value)] if isinstance(first, ast.Constant) else []
    return []


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


# What the image and its platform start beside the processes


def health_checks(workspace: Workspace) -> dict[str, list[str]]:
    """The programs that Dockerfiles and compose files start in the service's containers to see whether they live."""
    found: dict[str, list[str]] = {}
    for path, text in repository.dockerfiles(workspace.source).items():
        for one in (one for stage in parse(text).stages for one in stage.all("HEALTHCHECK")):
            command = re.sub(r"^(?:--\S+\s+)*(?:CMD\s+|NONE$)", "", one.rest)
            found[f"the health check of {path}"] = _programs(_listed(command))
    for where, service in _own_services(workspace).items():
        test = (service.get("healthcheck") or {}).get("test")
        words = test[1:] if isinstance(test, list) and test[:1] == ["CMD"] else test
        if isinstance(words, list) and words[:1] == ["CMD-SHELL"]:
            words = " ".join(map(str, words[1:]))
        found[f"the health check of {where}"] = _programs(words) if words not in (None, ["NONE"]) else []
    return found


def entry_points(workspace: Workspace) -> dict[str, list[str]]:
    """The programs by which Dockerfiles and compose files start the service's containers, and those in their scripts.

    Not those that are there wherever a shell is, nor an init that the Dockerfile brings along.
    """
    found: dict[str, list[str]] = {}
    files = {path: parse(text) for path, text in repository.dockerfiles(workspace.source).items()}
    files = {path: file for path, file in files.items() if file.stages and takes_code(workspace, file)}
    for path, file in files.items():
        found[f"the start of {path}"] = _started(workspace, file, *file.command())
    for where, service in _own_services(workspace).items():
        build = service.get("build") or {}
        path = os.path.normpath(f"{build.get('context', '.')}/{build.get('dockerfile') or 'Dockerfile'}")
        if file_ := files.get(path):
            entry, command = file_.command(str(build.get("target") or ""))
            if (given := service.get("entrypoint")) is not None:
                entry, command = _words(given), []
            if (given := service.get("command")) is not None:
                command = _words(given)
            found[f"the start of {where}"] = _started(workspace, file_, entry, command)
    return found


def _own_services(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """The services of compose files that are the service's own processes."""
    return {
        f"{name} in {path}": service
        for path, services in repository.compose_files(workspace.source).items()
        for name, service in services.items()
        if "build" in service or name in workspace.contract.processes
    }


def _words(command: Any) -> list[str]:
    try:
        return [str(word) for word in command] if isinstance(command, list) else shlex.split(str(command))
    except ValueError:
        return str(command).split()


def _started(workspace: Workspace, file: Dockerfile, entry: list[str], command: list[str]) -> list[str]:
    """The programs of the system's that a container executes by its entry point and command."""
    words = [*entry, *command]
    while words and Path(words[0]).name in STARTERS_OF_OTHERS and _brings(file, Path(words[0]).name):
        words = list(itertools.dropwhile(lambda word: word.startswith("-") or word == "run", words[1:]))
    script = _script(workspace, file, words[0]) if words else ""
    if script is not None:
        found = _programs(_commands(script))
    else:
        found = _programs(" ".join(words) if {"&&", "||", ";", "|"} & {*words} else words)
    named = {name for name in found if "/" not in name or SYSTEM_PROGRAMS.match(name)}
    named -= {*re.findall(r"^\s*(?:function\s+)?(\w+)\s*\(\)", script or "", re.M)}
    plain = (name for name in found if name in named and re.fullmatch(r"[\w./+-]+", name))
    return [name for name in dict.fromkeys(plain) if Path(name).name not in SHELLS | WITH_A_SHELL]


def _brings(file: Dockerfile, name: str) -> bool:
    """Whether a Dockerfile puts a program into the image."""
    texts = (one.text for stage in file.stages for one in stage.all("RUN", "COPY", "ADD"))
    return any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) for text in texts)


def _script(workspace: Workspace, file: Dockerfile, program: str) -> str | None:
    """The text of a shell script that is in the Dockerfile or in the repository; None where it is none of these."""
    name = Path(program).name
    sources = [name]
    for one in (one for stage in file.stages for one in stage.all("COPY", "ADD")):
        *first, last = one.words or [""]
        if Path(last).name == name and one.body:
            return one.body
        sources += [Path(source).name for source in first if Path(last).name == name]
    for path in repository.tree(workspace.source):
        if Path(path).name in sources:
            text = repository.text(workspace.source, path)
            if re.match(r"#!\s*\S*(?:/|\s)(?:ba|da|a|z)?sh\b", text) or (path.endswith(".sh") and text[:2] != "#!"):
                return text
    return None


def _commands(script: str) -> str:
    """A shell script without what only looks like a command: comments, patterns, texts of several lines, functions."""
    text = re.sub(r"\\\n", " ", script)
    text = re.sub(r"(?m)^\s*#.*$|\s#\s.*$", "", text)
    text = re.sub(r"(?ms)(<<-?\s*[\"']?(\w+)[\"']?[^\n]*\n).*?^\s*\2$", r"\1", text)
    text = re.sub(r"\"[^\"]*\"|'[^']*'", lambda quoted: '""' if "\n" in quoted[0] else quoted[0], text)
    text = re.sub(r"(?m)^\s*(?:function\s+)?\w+\s*\(\)", "", text)
    return re.sub(r"(?m)(?:^|;;)[^\S\n]*\(?[\w*?.\"'|\[\]/: -]+\)(?=\s|$)", "\n", text)


def _listed(command: str) -> Any:
    match = re.fullmatch(r"\s*\[(.*)\]\s*", command, re.S)
    return [part.strip().strip('"') for part in match[1].split(",")] if match else command


def _programs(command: Any) -> list[str]:
    """The first word of each command, of a list or of a line for a shell."""
    if isinstance(command, list):
        words = [str(word) for word in command]
        return _programs(words[2]) if words[:1] in (["sh"], ["bash"], ["/bin/sh"]) and len(words) > 2 else words[:1]
    found = []
    for part in re.split(r"&&|\|\||[;|\n]|\$\(|`", str(command)):
        try:
            words = shlex.split(part.strip(" ()\"'"))
        except ValueError:
            words = part.split()
        while words and ("=" in words[0].split("/")[0] or words[0] in BEFORE_COMMANDS | BUILT_IN):
            words = [] if words[0] in BUILT_IN else words[1:]
        found += words[:1]
    return found
