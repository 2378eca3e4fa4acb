"""Templates of a few files, and services made from them: enough to see what an update does, and fast."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import copier
import pytest

from twelvefold.update.command import update

from . import copies

ANSWERS_TEMPLATE = "{{ _copier_conf.answers_file }}.jinja"
SETTINGS = "_subdirectory: template\n_envops:\n  undefined: jinja2.StrictUndefined\n"
QUESTION = "\nname:\n  type: str\n  default: orders\n"


def page(topic: str) -> str:
    """A text that git does not take for another one's."""
    return "".join(f"{topic}, line {number}\n" for number in range(1, 13))


def edited(text: str) -> str:
    """A page with a line of the team's."""
    return text.replace(", line 3\n", ", line 3\nThe team's own line.\n")


def mended(text: str) -> str:
    """A page with a line that the template has changed."""
    return text.replace(", line 10\n", ", line 10, mended by the template\n")


PAGE = page("A page")
EDITED, MENDED, BOTH = edited(PAGE), mended(PAGE), mended(edited(PAGE))

# What Copier leaves open when it fails.
HALF_WAY = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

Files = dict[str, str | bytes | None]


def write(folder: Path, files: Files) -> None:
    """Writes files, or removes those that are None."""
    for name, content in files.items():
        path = folder / name
        if content is None:
            path.unlink()
            _prune(path.parent, folder)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def _prune(folder: Path, top: Path) -> None:
    while folder != top and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def release(template: Path, version: str, files: Files, settings: str | None = None) -> None:
    """Lets a template have a release, in which some files are others."""
    if settings is not None:
        write(template, {"copier.yml": SETTINGS + settings})
    write(template / "template", files)
    copies.release(template, version)


def make_template(folder: Path, files: Files, settings: str = QUESTION) -> Path:
    """A template with its release 1.0.0."""
    write(folder / "template", {ANSWERS_TEMPLATE: "{{ _copier_answers|to_nice_yaml }}"})
    release(folder, "1.0.0", files, settings)
    return folder


@dataclass
class Told:
    """What the safe update answered: its exit code and its summary."""

    code: int
    summary: dict[str, Any]

    @property
    def files(self) -> dict[str, Any]:
        files: dict[str, Any] = self.summary["files"]
        return files

    @property
    def conflicts(self) -> list[str]:
        return [conflict["path"] for conflict in self.files["conflicts"]]


def safe_update(service: Path, **options: Any) -> Told:
    """Runs `twelvefold update --yes` in this process."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = update([service], as_json=True, **{"yes": True, **options})
    return Told(code, json.loads(printed.getvalue())[0])


def plain_update(service: Path, **answers: object) -> None:
    """Runs `copier update --defaults`, as it is without this project."""
    copier.run_update(service, data=answers, defaults=True, overwrite=True, quiet=True, unsafe=True)


def twin(service: Path) -> Path:
    """A copy of a service as it lies there, ignored files and git's settings too."""
    copy = service.with_name(f"{service.name}-twin")
    shutil.copytree(service, copy, symlinks=True)
    return copy


def told_without_room(*words: str) -> tuple[int, str]:
    """Runs a command whose output has no room; its exit code, and what it says besides."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "twelvefold", *words],
            env={**os.environ, "PYTHONPATH": str(copies.ROOT / "src")},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    return done.returncode, done.stderr


def interrupt_while_removing(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    """Lets a person press Ctrl-C while a temporary folder is removed."""
    remove = shutil.rmtree

    def interrupted(*arguments: Any, **options: Any) -> None:
        if Path(arguments[0]).name.startswith(prefix):
            os.kill(os.getpid(), signal.SIGINT)
        remove(*arguments, **options)

    monkeypatch.setattr(shutil, "rmtree", interrupted)


def picture(service: Path, *, objects: bool = False) -> dict[str, Any]:
    """All that a team would miss: every file but git's own, the index, the branch, and what is under way."""
    files = (path for path in service.rglob("*") if ".git" not in path.relative_to(service).parts)
    own = (
        name
        for name in ("MERGE_MSG", "CHERRY_PICK_HEAD", "CHERRY_PICK_HEAD.lock", "index.lock", "HEAD.lock")
        if (service / ".git" / name).exists()
    )
    return {
        "files": {path.relative_to(service): _look(path) for path in files},
        "index": copies.git(service, "ls-files", "--stage", "-v"),
        "head": copies.git(service, "rev-parse", "HEAD", "--symbolic-full-name", "HEAD"),
        "status": copies.changed(service),
        "own": sorted(own),
        "objects": sorted((service / ".git/objects").rglob("*")) if objects else None,
    }


def _look(path: Path) -> tuple[str, object]:
    if path.is_symlink():
        return "link", path.readlink()
    return ("folder", None) if path.is_dir() else (oct(path.stat().st_mode & 0o111), path.read_bytes())
