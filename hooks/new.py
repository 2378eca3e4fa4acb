"""`make new`: a service from this clone of the template, prepared and running.

A thin layer over `copier copy --vcs-ref HEAD`: it refuses what could not end well before anything is written, and does
afterwards what a person would type next.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import yaml

from hooks import interpreters, origin

ROOT = Path(__file__).resolve().parent.parent
UV = ROOT / ".venv" / "bin" / "uv"
# What make, a git hook, an active virtual environment or CI hands down means something else to the service's commands.
OTHERS = "ANSWERS CI DEST GIT_DIR GIT_WORK_TREE MAKEFLAGS MAKELEVEL MAKEOVERRIDES MFLAGS PYTHON START VIRTUAL_ENV"
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in OTHERS.split()}
# Of uv's usual fifty connections at once a proxy may drop one, which costs ten seconds.
ENVIRONMENT.setdefault("UV_CONCURRENT_DOWNLOADS", "16")


class Stop(Exception):
    """What stands in the way, in words for the person at the terminal."""


class _Loader(yaml.SafeLoader):
    """Reads one file of Copier's configuration and leaves out those that it includes."""


_Loader.add_constructor("!include", lambda loader, node: {})


def say(text: str) -> None:
    """Tells what happens, while it happens."""
    print(text, flush=True)


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Returns what a command printed; the person sees it only when the command fails."""
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("make: ***")]
        raise Stop("\n".join(lines[-20:]).strip() or f"{shlex.join(map(str, command))} failed.")
    return done.stdout.strip()


def destination() -> Path:
    """The folder of the new service, which must not hold anything yet."""
    typed = os.environ.get("DEST") or "../my-service"
    dest = Path(typed).expanduser().resolve()
    if dest == ROOT or ROOT in dest.parents:
        raise Stop(f"{typed} lies inside the template; name a folder outside it, as in: make new DEST=../orders")
    if dest.exists() and not dest.is_dir():
        raise Stop(f"{typed} is a file; name a new folder, as in: make new DEST=../orders")
    if dest.is_dir() and any(dest.iterdir()):
        raise Stop(f"{typed} exists and is not empty; name a new folder, as in: make new DEST=../orders")
    return dest


def commit_of_clone() -> str:
    """The commit that is generated from: services keep it, since their updates start there."""
    try:
        if Path(run("git", "rev-parse", "--show-toplevel")).resolve() != ROOT:
            raise Stop
        commit = run("git", "rev-parse", "--verify", "HEAD")
    except FileNotFoundError as error:
        raise Stop("git is missing: install the package git, then run this again.") from error
    except Stop as error:
        hint = "This folder is not a git clone of the template, and updates start from its commits: clone it with git."
        raise Stop(f"{error}\n{hint}".strip()) from error
    if run("git", "status", "--porcelain"):
        say(f"Uncommitted changes in this clone are left out: the service is made from commit {commit[:7]}.")
    return commit


def configuration(commit: str) -> dict[str, Any]:
    """The questions, and the values of the platform team, as Copier will read them from the commit."""
    merged: dict[str, Any] = {}
    for name in ("copier.yml", "profile.yml"):
        for document in yaml.load_all(run("git", "show", f"{commit}:{name}"), _Loader):
            merged |= document or {}
    return merged


def template_source(commit: str, platform: dict[str, Any]) -> str:
    """The address that updates will come from."""
    url = run("git", "config", "--default", "", "--get", "remote.origin.url")
    source = origin.address(url)
    if source is None:
        fallback = str(platform["template_source"])
        source = origin.address(fallback) or fallback
        say(
            f"This clone's origin means nothing on other machines, so updates will come from {source}; "
            f"to change that: git remote {'set-url' if url else 'add'} origin ADDRESS"
        )
    elif not run("git", "for-each-ref", "--contains", commit, "refs/remotes/origin", "refs/tags"):
        say(f"Commit {commit[:7]} is not at origin yet: push it, since the service's updates start from it.")
    return source


def given_answers(questions: dict[str, Any]) -> dict[str, Any]:
    """The answers in the file ANSWERS; Copier would not mind a question's name that is misspelt."""
    name = os.environ.get("ANSWERS")
    given = yaml.safe_load(Path(name).expanduser().read_text("utf-8")) or {} if name else {}
    if not isinstance(given, dict):
        raise Stop(f"{name} must hold one question and its answer a line, as in: python: '3.12'")
    # So that another service's answers file serves as well.
    given = {key: value for key, value in given.items() if not str(key).startswith("_")}
    for key in given.keys() - questions.keys():
        raise Stop(f"{name} answers {key!r}, which is not a question; the questions are {', '.join(questions)}.")
    return given


def usable_python(wanted: str, versions: list[str]) -> dict[str, str]:
    """The default to offer where the platform's version cannot be had: the newest that runs on this machine."""
    if interpreters.find(wanted):
        return {}
    say(f"Fetching Python {wanted}, which is not on this machine")
    if interpreters.fetch(UV, wanted):
        return {}
    newest_first = sorted(versions, key=lambda version: [int(part) for part in version.split(".")], reverse=True)
    found = next((version for version in newest_first if interpreters.find(version)), None)
    if found is None:
        return {}
    say(f"Python {wanted} cannot be fetched: the default is {found}, the newest that runs here")
    return {"python": found}


def generate(dest: Path, source: str, commit: str, given: dict[str, Any], python: dict[str, str]) -> dict[str, Any]:
    """Copies, leaves nothing behind when that fails, and returns the answers."""
    existed = dest.exists()
    asks = sys.stdin.isatty() and sys.stdout.isatty()
    say("A few questions; Return takes what is shown" if asks else "Taking the default answers: no terminal to ask at")
    # Copier keeps a mirror of every address, which this clone must not pose in.
    with TemporaryDirectory(prefix="twelvefold-") as mirrors:
        os.environ.update(origin.read_from(ROOT, source), COPIER_CACHE_DIR=mirrors)
        import copier  # what it uses to run git copies the environment when it is imported

        try:
            options: dict[str, Any] = {"vcs_ref": commit, "defaults": not asks, "quiet": True}
            worker = copier.run_copy(source, dest, given, user_defaults=python, **options)
        except (Exception, KeyboardInterrupt) as error:
            shutil.rmtree(dest, ignore_errors=True)
            if existed:
                dest.mkdir(exist_ok=True)
            stopped = isinstance(error, KeyboardInterrupt)
            raise Stop("\nStopped; nothing was written." if stopped else str(error)) from error
    return dict(worker.answers.combined)


def tool(dest: Path) -> Path:
    """Puts uv where the service's Makefile looks for it; a path that held a space would be two to make."""
    uv = dest / ".tools" / "bin" / "uv"
    uv.parent.mkdir(parents=True, exist_ok=True)
    try:
        uv.hardlink_to(UV)
    except OSError:
        shutil.copy2(UV, uv)
    return uv.relative_to(dest)


def prepare(dest: Path, version: str) -> None:
    """Makes it a repository and installs its packages."""
    say("Installing its packages and PostgreSQL, and locking them in uv.lock")
    run("git", "-c", "init.defaultBranch=main", "init", cwd=dest)
    interpreter = interpreters.find(version)
    # Without one, the service's own command says what is missing.
    known = [f"UV_PYTHON={interpreter}"] if interpreter else []
    run("make", "--no-print-directory", "setup", f"UV={tool(dest)}", *known, cwd=dest)


def compile_ahead(dest: Path, package: str, shape: str) -> None:
    """Compiles what the first start will import, beside the commit and the making of the database."""
    modules = ["release", *(["web.server"] if "web" in shape else []), *(["worker"] if "worker" in shape else [])]
    imports = "; ".join(f"import {package}.{module}" for module in modules)
    command = shlex.join([".venv/bin/python", "-c", imports])
    run("sh", "-c", f"{command} >/dev/null 2>&1 &", cwd=dest)


def commit_all(dest: Path, message: str) -> None:
    """Makes the first commit; without an identity, says how."""
    run("git", "add", "--all", cwd=dest)
    try:
        # A name guessed from the machine's would stay in the history.
        run("git", "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT", cwd=dest)
    except Stop:
        say("git does not know your name yet: git config --global user.name and user.email set it.")
    else:
        try:
            run("git", "commit", "--message", message, cwd=dest)
        except Stop as error:
            say(str(error))
        else:
            return
    say(f"One command remains: git -C {shlex.quote(str(dest))} commit -m '{message}'")


def start(dest: Path, name: str, shape: str) -> NoReturn:
    """Becomes the service's `make dev`, so that Ctrl-C reaches it."""
    address = f"http://127.0.0.1:{os.environ.get('PORT') or 8000}"
    if "web" in shape:
        say(f"Starting it on {address}/docs; Ctrl-C stops it. To store a note, from another terminal:")
        say(f"""  curl -H 'Content-Type: application/json' -d '{{"text": "Hello"}}' {address}/notes""")
    else:
        say("Starting it; Ctrl-C stops it. To store a note, from another terminal in its folder:")
        say(f"  .venv/bin/python -m dev.run --with-database -- {name} admin add-note Hello")
    os.chdir(dest)
    os.execvpe("make", ["make", "--no-print-directory", "dev", "UV=.tools/bin/uv"], ENVIRONMENT)


def main() -> None:
    """Makes a service, step by step."""
    dest = destination()
    commit = commit_of_clone()
    settings = configuration(commit)
    asked = {name: entry for name, entry in settings.items() if not name.startswith("_")}
    questions = {name: entry for name, entry in asked.items() if entry.get("when") is not False}
    given = given_answers(questions)
    platform = settings["standards"]["default"] | (settings["profile"]["default"] or {})
    source = template_source(commit, platform)
    python = {} if "python" in given else usable_python(platform["python"], questions["python"]["choices"])
    answers = generate(dest, source, commit, given, python)
    where = shlex.quote(os.path.relpath(dest))
    say(f"{answers['name']} is in {where}")
    message = f"feat: begin {answers['name']} from the template"
    try:
        prepare(dest, answers["python"])
    except (Stop, KeyboardInterrupt) as error:
        rest = f"cd {where} && make setup && git add --all && git commit -m '{message}'"
        raise Stop(f"{error}\nIt is not installed yet. To go on: {rest}".strip()) from error
    starts = os.environ.get("START") != "0"
    if starts:
        compile_ahead(dest, answers["package"], answers["shape"])
    commit_all(dest, message)
    if starts:
        start(dest, answers["name"], answers["shape"])
    say(f"Ready. To start it: cd {where} && make dev")


if __name__ == "__main__":
    try:
        main()
    except (Stop, OSError, RuntimeError, UnicodeDecodeError, yaml.YAMLError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
