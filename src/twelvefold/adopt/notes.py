"""What somebody should look at after a service was adopted."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from itertools import takewhile
from pathlib import Path

import yaml

from ..draft import QUESTION
from ..harness.contract import FILE as FACTORS
from ..update.service import Service
from ..update.template import address
from ..update.trees import Scratch, Tree
from .comparison import Both
from .summary import shortened

LITTLE = 0.5

WORKFLOWS = re.compile(r"\.github/workflows/[^/]+\.ya?ml")
APART = re.compile(r"&&|\|\||;")
TARGET_NAME = re.compile(r"[a-z][a-z-]*")
UV_VERSION = re.compile(r"^FROM .*:[0-9.]+.*UV_DIGEST", re.MULTILINE)  # as the workflows read it
TARGET = re.compile(r"^([A-Za-z][\w -]*?) *:(?!=)", re.MULTILINE)


def notes(service: Service, result: Tree, added: set[str], kept: list[Both], work: Scratch) -> list[str]:
    """What the files that were added need, and what later updates need; `kept` are files that both have."""
    found = (
        _about_factors(service, result, added, work),
        _about_targets(service, result, added, work),
        _about_uv(service, result, added, work),
        _about_place(service, added),
        _about_kept(kept),
        _about_updates(service, result, work),
    )
    return [note for note in found if note]


def _about_factors(service: Service, result: Tree, added: set[str], work: Scratch) -> str:
    path = f"{service.repository.prefix}{FACTORS}"
    if path not in added:
        return ""
    asked = sum(line.startswith(QUESTION) for line in _text(result, path, work).splitlines())
    questions = f"its {asked} questions (lines that begin with {QUESTION.strip()!r})"
    return f"{FACTORS} is drafted from the service: answer {questions}, then twelvefold prove."


def _about_targets(service: Service, result: Tree, added: set[str], work: Scratch) -> str:
    """Workflows call targets that the Makefile of a team may not have."""
    prefix = service.repository.prefix
    called = {target for text in _workflows(service, result, added, work) for target in _called_targets(text)}
    missing = sorted(called - _targets(result, f"{prefix}Makefile", work))
    if not missing:
        return ""
    calls = f"The new workflows call make {' '.join(missing)}"
    return f"{calls}, which your Makefile has not: add them, or edit the workflows."


def _about_uv(service: Service, result: Tree, added: set[str], work: Scratch) -> str:
    """Workflows read which uv they need from the standard's Dockerfile, and a team may have another one."""
    read = any("UV_DIGEST" in text for text in _workflows(service, result, added, work))
    if not read or UV_VERSION.search(_text(result, f"{service.repository.prefix}Dockerfile", work)):
        return ""
    return (
        "The new workflows read the version of uv from the standard's Dockerfile, which you have not: take it too, or "
        "write the version into their steps setup-uv in the place of the step before."
    )


def _about_place(service: Service, added: set[str]) -> str:
    """GitHub looks for its files at the top of a repository alone."""
    prefix = service.repository.prefix
    if not prefix or not any(path.startswith(f"{prefix}.github/") for path in added):
        return ""
    return (
        f"GitHub reads no workflow in {prefix}.github, which is not at the top of the repository: move those that you "
        "want there, with working-directory, or delete them; updates then leave them alone."
    )


def _workflows(service: Service, result: Tree, added: set[str], work: Scratch) -> list[str]:
    """What the workflows hold that were added."""
    names = [path for path in sorted(added) if WORKFLOWS.fullmatch(path.removeprefix(service.repository.prefix))]
    return [_text(result, path, work) for path in names]


def _called_targets(workflow: str) -> set[str]:
    """The targets of the workflow's commands that begin with make; what other commands and comments say is prose."""
    try:
        scripts = _scripts(yaml.safe_load(workflow))
    except yaml.YAMLError:
        return set()
    commands = [part.split() for script in scripts for line in script.splitlines() for part in APART.split(line)]
    makes = [words[1:] for words in commands if words[:1] == ["make"]]
    return {target for words in makes for target in takewhile(TARGET_NAME.fullmatch, words)}


def _scripts(node: object) -> list[str]:
    """What stands under `run`, at whatever depth."""
    if isinstance(node, list):
        return [script for one in node for script in _scripts(one)]
    if not isinstance(node, dict):
        return []
    inside = [script for one in node.values() for script in _scripts(one)]
    return [*inside, *([node["run"]] if isinstance(node.get("run"), str) else [])]


def _about_kept(kept: list[Both]) -> str:
    """A file that has next to nothing of the standard's can only conflict when that changes."""
    others = [one.path for one in kept if _likeness(one) < LITTLE]
    if not others:
        return ""
    lines = "a line such as" if len(others) == 1 else "lines such as"
    return (
        f"Kept, and hardly like the standard's: {shortened(others)}. In .gitattributes, {lines} "
        f"'{others[0]} merge=ours' would let updates leave them alone, where they else conflict."
    )


def _likeness(both: Both) -> float:
    """From 0, where no line is the same, to 1."""
    return SequenceMatcher(None, both.ours.splitlines(), both.standard.splitlines(), autojunk=False).ratio()


def _about_updates(service: Service, result: Tree, work: Scratch) -> str:
    if Path(address(service.source)).expanduser().is_dir():
        return (
            f"Updates will be read from {service.source}, a folder that other machines have not: "
            "better take it back, and adopt from the template's address."
        )
    if "update" not in _targets(result, f"{service.repository.prefix}Makefile", work):
        return "Later versions come by twelvefold update."
    return ""


def _targets(result: Tree, path: str, work: Scratch) -> set[str]:
    return {target for names in TARGET.findall(_text(result, path, work)) for target in names.split()}


def _text(result: Tree, path: str, work: Scratch) -> str:
    return work.content(result[path]).decode("utf-8", "replace") if path in result else ""
