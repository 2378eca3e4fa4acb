"""The scripts of a repository, and the targets of its Makefile: what they run, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from . import repository

MAKEFILES = ("Makefile", "GNUmakefile", "makefile")
# Where a command begins: not `shellcheck deploy.sh`.
BEGINS = r"(?:^|[;&|(])\s*(?:(?:if|then|do|else|exec|sudo|time|\w+=\S*)\s+)*"
SCRIPT = re.compile(rf"{BEGINS}(?:(?:\S*/)?(?:sh|bash|dash|zsh|source|\.)\s+(?:-\S+\s+)*)?[\"']?(?:\./)?(\w[\w./-]*)")
MAKE = re.compile(rf"{BEGINS}(?:make|\$\(MAKE\))\s+([^;&|)]*)")
TARGET = re.compile(r"^([\w./ -]+?)\s*::?(?!=)([^=\n]*)$")


def called(source: Path, line: str) -> Iterator[str]:
    """The texts of the scripts of the repository that a command line runs, and the recipes that it has make run."""
    for path in SCRIPT.findall(line):
        text = repository.text(source, path)
        if path.endswith((".sh", ".bash")) or text.startswith("#!"):
            yield text
    for words in MAKE.findall(line):
        recipes = targets(source)
        for word in words.split():
            if word in recipes:
                yield recipes[word]


def targets(source: Path, *, whole: bool = True) -> dict[str, str]:
    """What make runs for each target, with that of the targets that it needs before if it is wanted as a whole."""
    needs: dict[str, list[str]] = {}
    own: dict[str, list[str]] = {}
    current: list[str] = []
    text = "\n".join(repository.text(source, path) for path in MAKEFILES)
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.startswith("\t"):
            for name in current:
                own[name].append(line.lstrip("\t@-+ "))
        elif match := TARGET.match(line.partition("#")[0].rstrip()):
            current = match[1].split()
            for name in current:
                needs.setdefault(name, []).extend(match[2].split())
                own.setdefault(name, [])

    def recipe(name: str, known: tuple[str, ...] = ()) -> list[str]:
        before = [
            line for one in needs[name] if one in needs and one not in known for line in recipe(one, (*known, name))
        ]
        return before + own[name]

    return {name: "\n".join(recipe(name) if whole else lines) for name, lines in own.items()}
