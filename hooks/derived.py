"""Makes the template's derived files from what generated services themselves say.

A service is born with them, so they must stand in the template; here they are made, never written by hand. One service
of each kind is asked, and a line that not all of them say gets the condition that tells them apart.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from difflib import SequenceMatcher
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import copier

ROOT = Path(__file__).parents[1]
# A name that stands nowhere by chance, so that each place where it stands is the service's name.
NAME = "zzyzx-service"
DERIVED = {"env-example": ".env.example", "docs": "docs/configuration.md", "openapi": "openapi.json"}

SHAPES = ("web-worker-clock", "web", "worker-clock")
KINDS: list[dict[str, Any]] = [{"shape": shape, "cache": cache} for shape in SHAPES for cache in (True, False)]
CONDITIONS: dict[str, Callable[[dict[str, Any]], bool]] = {
    '"web" in shape': lambda kind: "web" in kind["shape"],
    '"worker" in shape': lambda kind: "worker" in kind["shape"],
    "cache": lambda kind: kind["cache"],
    '"web" not in shape': lambda kind: "web" not in kind["shape"],
    '"worker" not in shape': lambda kind: "worker" not in kind["shape"],
}


class Line(NamedTuple):
    """A line, and the numbers of the kinds of service that say it."""

    text: str
    kinds: set[int]


def main() -> int:
    """Writes the derived files into the template; returns the exit code."""
    said: dict[str, dict[int, list[str]]] = {path: {} for path in DERIVED.values()}
    for number, kind in enumerate(KINDS):
        for path, text in _ask(kind).items():
            said[path][number] = _split(path, text)
    for path, texts in said.items():
        Path(ROOT, "template", f"{path}.jinja").write_text(_with_conditions(_merged(texts), set(texts)))
    return 0


def _ask(kind: dict[str, Any]) -> dict[str, str]:
    """The derived files of a service of this kind."""
    with tempfile.TemporaryDirectory() as folder:
        copier.run_copy(str(ROOT), folder, data={"name": NAME, **kind}, defaults=True, vcs_ref="HEAD", quiet=True)
        python = [] if len(sys.argv) == 1 else ["--python", sys.argv[1]]
        subprocess.run(["uv", "sync", "--quiet", "--no-dev", *python], cwd=folder, check=True)
        program = Path(folder, ".venv", "bin", NAME)
        texts = {}
        for action, path in DERIVED.items():
            if action != "openapi" or "web" in kind["shape"]:
                run = subprocess.run(
                    [program, "config", action], cwd=folder, check=True, capture_output=True, text=True
                )
                texts[path] = re.sub(rf"\b{NAME}\b", "{{ name }}", run.stdout)
        return texts


def _split(path: str, text: str) -> list[str]:
    """The lines; of the example of an environment its paragraphs, each with the empty line before it."""
    return re.split(r"\n(?=\n)", text.removesuffix("\n")) if path == ".env.example" else text.splitlines()


def _merged(texts: dict[int, list[str]]) -> list[Line]:
    """All lines of all texts, in an order that fits each of them."""
    merged: list[Line] = []
    for number, lines in texts.items():
        matcher = SequenceMatcher(None, [line.text for line in merged], lines, autojunk=False)
        result: list[Line] = []
        for _, begin, end, begin_new, end_new in matcher.get_opcodes():
            same = lines[begin_new:end_new] == [line.text for line in merged[begin:end]]
            result += [Line(line.text, line.kinds | {number}) if same else line for line in merged[begin:end]]
            result += [] if same else [Line(text, {number}) for text in lines[begin_new:end_new]]
        merged = result
    return merged


def _with_conditions(lines: list[Line], everybody: set[int]) -> str:
    text = ""
    for kinds, group in groupby(lines, key=lambda line: line.kinds):
        block = "".join(f"{line.text}\n" for line in group)
        if kinds == everybody:
            text += block
        else:
            text += f"{{%- if {_condition(kinds, everybody)} %}}\n{block}{{%- endif %}}\n"
    return text


def _condition(kinds: set[int], everybody: set[int]) -> str:
    for condition, holds in CONDITIONS.items():
        if {number for number in everybody if holds(KINDS[number])} == kinds:
            return condition
    raise ValueError(f"no condition tells these kinds of service apart: {[KINDS[number] for number in kinds]}")


if __name__ == "__main__":
    sys.exit(main())
