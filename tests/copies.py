"""Copies of the template, and services made from it: what a person does with copier, git and make, as functions."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import copier
import yaml
from copier._template import filter_config, load_template_config

from hooks.releases import tag_missing

from .interpreters import newest_of, real_interpreter

ROOT = Path(__file__).resolve().parent.parent
ANSWERS_FILE = ".copier-answers.yml"
FIRST_RELEASE = "0.1.0"

# What a service's commands may see of the environment in which the tests run. CI, MAKEFLAGS, VIRTUAL_ENV or PORT would
# change what they do.
INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "MYPY_CACHE_DIR", "NO_PROXY", "PATH", "TERM", "TMPDIR", "TZ", "USER")
INHERITED_PREFIXES = ("ALL_PROXY", "GIT_CONFIG", "HTTPS_PROXY", "HTTP_PROXY", "PIP_", "REQUESTS_CA", "SSL_CERT", "XDG_")
INHERITED_OF_UV = ("UV_CACHE_DIR", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_LINK_MODE", "UV_OFFLINE", "UV_SYSTEM_CERTS")


def run(
    *command: str | Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    text: str | None = None,
    timeout: float = 600,
) -> str:
    """Runs a command to its end and returns what it printed; fails with all of that when it fails."""
    process = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
    told = f"{' '.join(map(str, command))} ended with {process.returncode} in {cwd}:\n{process.stdout}"
    assert process.returncode == 0, told
    return process.stdout


def git(repository: Path, *arguments: str | Path) -> str:
    return run("git", *arguments, cwd=repository)


def commit(repository: Path, subject: str) -> None:
    """Commits all that lies in the folder, which becomes a repository if it is none."""
    if not (repository / ".git").exists():
        git(repository, "init", "--quiet")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", subject)


def release(template: Path, version: str) -> None:
    """Makes a release of the template as it lies there, with its tag."""
    commit(template, f"release: {version}")
    assert [made.tag for made in tag_missing(template)] == [f"v{version}"]


def clone_work_tree(destination: Path, version: str = FIRST_RELEASE) -> Path:
    """Makes a release of the template as it lies here, not only as committed, of whatever lies in the destination."""
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, listed):
        source, target = ROOT / name, destination / name
        if source.is_file():  # a file that is deleted and not committed is listed too
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        else:
            target.unlink(missing_ok=True)
    release(destination, version)
    return destination


def generate(template: Path, service: Path, **answers: object) -> Path:
    """Makes a service from the newest release, as `copier copy --defaults` does for a person who trusts nobody."""
    copier.run_copy(str(template), service, data=dict(answers), defaults=True, quiet=True)
    return service


def generate_committed(template: Path, service: Path, **answers: object) -> Path:
    generate(template, service, **answers)
    commit(service, "Begin the service")
    return service


def update(service: Path, **answers: object) -> None:
    """Takes the newest release, as `copier update --defaults` does for a person who trusts nobody."""
    copier.run_update(service, data=dict(answers), defaults=True, overwrite=True, quiet=True)


def copier_command(
    *arguments: str | Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs Copier as a process of its own, as a person does; the process calls `before` first."""
    return subprocess.run(
        [sys.executable, "-m", "copier", *map(str, arguments)],
        cwd=cwd,
        env=env,
        preexec_fn=before,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def rendered(service: Path) -> list[str]:
    """The files of a service, but for what git ignores or keeps for itself; sorted, with `/` between the parts."""
    listed = git(service, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return sorted({name for name in listed if name and (service / name).is_file()})


def contents(service: Path) -> dict[str, str]:
    """The text of each file of a service, by name."""
    return {name: (service / name).read_text("utf-8") for name in rendered(service)}


def answers(service: Path) -> dict[str, Any]:
    """What a service was asked, and the template's version and address."""
    recorded: dict[str, Any] = yaml.safe_load((service / ANSWERS_FILE).read_text("utf-8"))
    return recorded


def changed(service: Path) -> list[str]:
    """What `git status` says, one file a line: nothing when the tree is as committed."""
    return git(service, "status", "--porcelain", "--untracked-files=all").splitlines()


def service_environment(interpreter: Path | None) -> dict[str, str]:
    """The environment in which a service's commands run: this one's tools, none of its settings."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in INHERITED or name.upper().startswith(INHERITED_PREFIXES) or name.startswith(INHERITED_OF_UV)
    }
    tools = Path(sys.executable).parent
    if (tools / "uv").exists():  # uv was installed beside pytest, which may have been started by its path
        environment["PATH"] = f"{tools}{os.pathsep}{environment['PATH']}"
    if interpreter:
        environment["UV_PYTHON"] = str(interpreter)
    return environment


def make(service: Path, *targets: str, env: Mapping[str, str] | None = None, timeout: float = 600) -> str:
    """Runs targets of a service's Makefile with an interpreter that fits its `.python-version`."""
    interpreter = real_interpreter((service / ".python-version").read_text().strip())
    assert interpreter, f"no interpreter for {service}: ask real_interpreter first"
    return run("make", *targets, cwd=service, env=service_environment(interpreter) | dict(env or {}), timeout=timeout)


def run_starting_tests(service: Path) -> str:
    """Runs those of a service's own tests that start every process type, where all of them would take too long."""
    environment = service_environment(real_interpreter((service / ".python-version").read_text().strip()))
    starting = "tests/test_processes.py::test_a_process_starts_gets_ready_and_ends_when_told_to"
    return run("uv", "run", "pytest", "tests/test_settings.py", starting, cwd=service, env=environment)


def running_below(folder: Path) -> list[str]:
    """The command lines of processes that work in a folder or name it; empty where there is no /proc."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
            directory = (process / "cwd").readlink()
        except OSError:
            continue  # it has ended, or belongs to somebody else
        if f"{folder}/" in f"{command}/" or directory.is_relative_to(folder):
            found.append(f"{process.name} {command}")
    return found


def ownership(service: Path) -> dict[str, list[str]]:
    """The classes of files in a service's own table, each with its patterns; a folder ends with a slash."""
    rows = re.findall(r"^\| (\w+) \| (.+?) \|", (service / "docs/ownership.md").read_text(), re.MULTILINE)
    return {owner: re.findall(r"`([^`]+)`", files) for owner, files in rows if owner != "Class"}


def belongs(name: str, pattern: str) -> bool:
    return name.startswith(pattern) if pattern.endswith("/") else name == pattern


def owner_of(name: str, owned: dict[str, list[str]]) -> str:
    """The class of a file; standard is what no other class names."""
    named = [owner for owner, patterns in owned.items() for pattern in patterns if belongs(name, pattern)]
    assert len(named) <= 1, f"{name} is {named}"
    return named[0] if named else "standard"


@cache
def configuration() -> dict[str, Any]:
    """Copier's settings of this template, without their underscore."""
    settings: dict[str, Any] = filter_config(load_template_config(ROOT / "copier.yml"))[0]
    return settings


@cache
def questions() -> dict[str, dict[str, Any]]:
    """All questions of this template, hidden ones too, in order."""
    asked: dict[str, dict[str, Any]] = filter_config(load_template_config(ROOT / "copier.yml"))[1]
    return asked


def recorded() -> dict[str, dict[str, Any]]:
    """The questions whose answers a service keeps."""
    return {name: question for name, question in questions().items() if question.get("when") is not False}


def asked() -> dict[str, dict[str, Any]]:
    """The questions that a person is asked, all of them or only who wants to change more."""
    return {name: question for name, question in recorded().items() if question.get("ask") is not False}


def choices() -> dict[str, list[Any]]:
    """Each question that is answered by a choice, with its values."""
    offered: dict[str, list[Any]] = {}
    for name, question in asked().items():
        listed = question.get("choices")
        if question.get("type") == "bool":
            offered[name] = [False, True]
        elif isinstance(listed, dict):
            offered[name] = list(listed.values())
        elif listed is not None:
            assert isinstance(listed, list), f"{name}: the choices must be written out"
            offered[name] = list(listed)
    return offered


def default_python() -> str:
    """The platform's Python where this machine has it, else the newest one offered that it has."""
    preferred: str = questions()["standards"]["default"]["python"]
    if real_interpreter(preferred):
        return preferred
    newest = newest_of(choices()["python"])
    assert newest, f"none of {choices()['python']} is on this machine"
    return newest
