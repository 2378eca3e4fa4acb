"""`twelvefold eject`: the experiments become a part of the service, which then needs the template no more."""

from __future__ import annotations

import re
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from .prove import suite_version

FOLDER = "twelvefold"
SOURCE = re.compile(r"^(?:# .*\n)?(?:SOURCE = .*\n)?TWELVEFOLD \?=.*$", re.MULTILINE)
UPDATE = re.compile(r"^update: .*\n(?:\t.*\n)+\n?|(?<= )update (?=clean$)", re.MULTILINE)
OF_THE_TEMPLATE = (".copier-answers.yml", ".github/workflows/update.yml", "docs/ownership.md", "drift.toml")
PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "twelvefold"
version = "{version}"
description = "The experiments that prove the twelve factors, taken out of their template"
requires-python = ">=3.11"
dependencies = [
{dependencies}
]

[project.scripts]
twelvefold = "twelvefold.__main__:command"

[tool.hatch.build.targets.wheel]
packages = ["src/twelvefold"]

# It has the style of the project that it comes from.
[tool.ruff]
exclude = ["*"]
"""


def eject(project: Path) -> int:
    """Copies this command into the folder `twelvefold` of a service, and has `make prove` take it from there.

    What only the template's updates need goes. Returns the exit code: 0, or 2 when nothing was done.
    """
    target, makefile = project / FOLDER, project / "Makefile"
    if target.exists():
        sys.stderr.write(f"{target} exists already: move it away first.\n")
        return 2
    if not makefile.is_file() or not SOURCE.search(makefile.read_text("utf-8", errors="replace")):
        sys.stderr.write(f"{makefile} has no line that begins with TWELVEFOLD ?=: is this a service of the template?\n")
        return 2
    try:
        package = distribution("twelvefold")
    except PackageNotFoundError:
        sys.stderr.write("Run it as an installed command, as `uvx --from ... twelvefold eject`.\n")
        return 2
    shutil.copytree(Path(__file__).parent, target / "src" / "twelvefold", ignore=shutil.ignore_patterns("__pycache__"))
    for file in package.files or []:
        if file.name == "LICENSE":
            shutil.copyfile(file.locate(), target / file.name)
    dependencies = "\n".join(f'  "{one}",' for one in package.requires or [])
    (target / "pyproject.toml").write_text(PROJECT.format(version=suite_version(), dependencies=dependencies))
    text = SOURCE.sub(f"# Where the experiments are.\nTWELVEFOLD ?= ./{FOLDER}", makefile.read_text("utf-8"))
    makefile.write_text(UPDATE.sub("", text), "utf-8")
    for name in OF_THE_TEMPLATE:
        (project / name).unlink(missing_ok=True)
    sys.stdout.write(
        f"The experiments are in {target}, and `make prove` takes them from there. What only updates of the template\n"
        "needed is gone. Take `make update` out of README.md and .github/renovate.json, and commit.\n"
    )
    return 0
