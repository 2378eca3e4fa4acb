"""What a run leaves behind: the page that is committed, and a folder with the evidence."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import badge, evidence, page
from .results import Run
from .sabotages import Sabotages, load, proven


def write_page(run: Run, path: Path, sabotages: Sabotages | None = None) -> bool:
    """Writes TWELVE_FACTOR.md; returns whether it changed. A run of some claims never changes it."""
    old = _page(path)
    if not run.complete or _says_more(old, run):
        return False
    text = page.render(run, load() if sabotages is None else sabotages)
    if text == old:
        return False
    _write(path, text)
    return True


def check_page(run: Run, path: Path, sabotages: Sabotages | None = None) -> str | None:
    """What is wrong with TWELVE_FACTOR.md, if it is there: that it was edited, or says something else than this run."""
    text = _page(path)
    if not path.exists() or _says_more(text, run):
        return None
    stale = page.stale(text, run, load() if sabotages is None else sabotages) if run.complete else None
    return page.verify(text) or stale


def write_evidence(run: Run, folder: Path, sabotages: Sabotages | None = None) -> None:
    """Writes `twelve-factor.json`, `junit.xml`, `badge.json`, `badge.svg` and the logs into the run's folder."""
    sabotages = load() if sabotages is None else sabotages
    shown = proven(run, sabotages)
    _make(folder)
    for old in _logs_of_the_run_before(folder):
        (folder / old).unlink(missing_ok=True)
    for result in shown.results:
        if name := evidence.log_name(result):
            _write(folder / name, result.log)
    _write(folder / "junit.xml", evidence.junit(shown))
    _write(folder / "badge.json", _json(badge.endpoint(shown)))
    _write(folder / "badge.svg", badge.svg(shown))
    _write(folder / "twelve-factor.json", _json(evidence.document(shown, sabotages)))


def _make(folder: Path) -> None:
    """Makes the folder for the evidence; git ignores a new one, since what a service has logged is none of its code."""
    if not folder.exists():
        folder.mkdir(parents=True)
        _write(folder / ".gitignore", "*\n")
    (folder / "logs").mkdir(exist_ok=True)


def _logs_of_the_run_before(folder: Path) -> list[str]:
    """The logs that the evidence in a folder names; whatever else lies there is somebody else's."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        found = json.loads((folder / "twelve-factor.json").read_text("utf-8"))
        named = [claim.get("log") for factor in found["factors"] for claim in factor["claims"]]
        return [name for name in named if isinstance(name, str) and re.fullmatch(r"logs/[^/]+", name)]
    return []


def _page(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _says_more(text: str, run: Run) -> bool:
    """Whether the page is of processes and the run of an image: containers show less, so the page is left alone."""
    return run.driver == "image" and bool(text) and not page.of_image(text)


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _write(path: Path, text: str) -> None:
    """Writes the file as a whole or not at all. What is no text, in what a process wrote, is written as an escape."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        half.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
