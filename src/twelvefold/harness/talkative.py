"""The variables that may have a service keep its log elsewhere as well, and values that it takes for them."""

from __future__ import annotations

import re
from pathlib import Path

from .beginnings import wait_until_begun
from .claim import NotRun
from .config import declared, named
from .deploy import Deploy
from .workspace import Workspace

OF_LOGS = re.compile(r"^(?!OTEL_)(?:.*_)?(?:ACCESS)?(?:LOG(?!IN|O)|TRAC|AUDIT|DEBUG)")
A_FOLDER = re.compile(r"DIR|FOLDER")


def variables(workspace: Workspace) -> list[str]:
    """The declared variables that are not required and whose names speak of logs."""
    try:
        names = declared(workspace)
    except NotRun:
        return []
    config = workspace.contract.config
    suffix = config.file_suffix or "/"
    files = {name for name in names if name.endswith(suffix) and name.removesuffix(suffix) in names}
    return sorted(name for name in names - files - set(config.required) if OF_LOGS.search(name))


def accepted(deploy: Deploy, process: str, places: dict[str, Path]) -> dict[str, str]:
    """For each of these variables a value with which the process type starts: a place, or a word that says yes."""
    for name, place in places.items():
        if A_FOLDER.search(name):
            place.mkdir()
    paths = {name: str(place) for name, place in places.items()}
    trials = [dict.fromkeys(places, "true"), dict.fromkeys(places, "debug"), paths] if places else []
    started = [deploy.start(process, ready=False, **trial) for trial in trials]
    found: dict[str, str] = {}
    for trial, one in zip(trials, started, strict=True):
        wait_until_begun(deploy, one)
        runs = one.alive
        one.kill()
        refused = set() if runs else named(one.output, frozenset(places), deploy.contract.config.file_suffix)
        if runs or refused:
            found |= {name: value for name, value in trial.items() if name not in refused}
    return found


def kept(places: dict[str, Path]) -> list[str]:
    """The files that are there since a variable names their place, in words."""
    below = {name: [place, *place.rglob("*")] for name, place in places.items()}
    return [f"the file {file}, as {name} says" for name, files in below.items() for file in files if file.is_file()]
