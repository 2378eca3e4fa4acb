"""What a service's code speaks of: its packages, the variables that it reads, the addresses that it serves."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SETTINGS = ("settings.py", "config.py", "configuration.py", "config.js", "config.ts", "config.mjs")

CODE = {".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".go", ".java", ".kt", ".php", ".rs", ".ex"}
NOT_ITS_OWN = {"node_modules", "venv", "env", "vendor", "dist", "build", "target", "site-packages"}
NOT_RUNNING = {"test", "tests", "spec", "migrations", "docs", "conftest.py", "setup.py", "tests.py", "noxfile.py"}
MOST_FILES, MOST_BYTES = 2000, 200_000  # a look, not a study

READ = re.compile(
    r"""(?:\benviron(?:\.get)?|\b[gG]etenv|\bprocess\.env|\bENV(?:\.fetch)?)\s*[.(\[]\s*["']?([A-Z][A-Z0-9_]+)\b"""
)
WRITTEN = re.compile(r"""\benviron\[\s*["'](\w+)["']\s*\]\s*=(?!=)""")
DEMANDED = re.compile(r"""\benviron\[\s*["']([A-Z][A-Z0-9_]+)["']\s*\](?!\s*=[^=])""")
# With a slash on one side, for it may be joined to a prefix; a plain word would be found everywhere.
ADDRESS = re.compile(
    r"""["'`](/(?:[\w-]+/)*(?:healthz?|healthcheck|livez?|readyz?|liveness|readiness|status|ping|metrics|openapi\.json)/?"""
    r"""|(?:healthz?|healthcheck|livez?|readyz?|liveness|readiness|metrics)/)["'`]"""
)


@dataclass
class Variable:
    """An environment variable that the code reads."""

    name: str
    files: list[str] = field(default_factory=list)
    """Where it is read."""
    demanded: bool = False
    """Whether the code fails without it, at least in one place."""


def sources(path: Path) -> dict[str, str]:
    """The texts of what runs in the service, by the names of their files: no tests, packages or hidden folders."""
    found: dict[str, str] = {}
    for file in _files(path):
        if len(found) == MOST_FILES:
            break
        if file.name.isprintable() and not file.is_symlink() and file.stat().st_size <= MOST_BYTES:
            found[file.relative_to(path).as_posix()] = file.read_text("utf-8", "replace")
    return found


def packages(names: Iterable[str]) -> list[str]:
    """Folders with an __init__.py, and single modules, at the top of the project or of src/."""
    found = set()
    for name in names:
        match name.removeprefix("src/").split("/"):
            case [package, "__init__.py"]:
                found.add(package)
            case [module] if module.endswith(".py") and module.removesuffix(".py").isidentifier():
                found.add(module.removesuffix(".py"))
    return sorted(found - {"manage", "__init__"})


def folders(names: Iterable[str]) -> list[str]:
    """Where the code lies, below the project."""
    names = [name for name in names if name != "manage.py"]
    if any(name.startswith("src/") for name in names):
        return ["src"]
    if any("/" not in name for name in names):
        return ["."]
    return sorted({name.partition("/")[0] for name in names})


def settings(names: Iterable[str]) -> list[str]:
    """Files whose name says that they read the environment."""
    return [name for name in names if name.rpartition("/")[2] in SETTINGS]


def variables(texts: Mapping[str, str]) -> dict[str, Variable]:
    """The variables that the code reads by their name."""
    found: dict[str, Variable] = {}
    for file, text in texts.items():
        written, demanded = set(WRITTEN.findall(text)), set(DEMANDED.findall(text))
        for name in sorted(set(READ.findall(text)) - (written - demanded)):
            variable = found.setdefault(name, Variable(name))
            variable.files.append(file)
            variable.demanded |= name in demanded
    return dict(sorted(found.items()))


def addresses(texts: Mapping[str, str]) -> dict[str, str]:
    """The paths of health checks and the like, each with the file that names it."""
    found: dict[str, str] = {}
    for file, text in texts.items():
        for address in ADDRESS.findall(text):
            found.setdefault(address if address.startswith("/") else f"/{address}", file)
    return found


def _files(path: Path) -> Iterator[Path]:
    for root, below, files in os.walk(path):
        below[:] = sorted(name for name in below if name not in NOT_ITS_OWN | NOT_RUNNING and not name.startswith("."))
        for name in sorted(files):
            file = Path(root, name)
            if file.suffix in CODE and name not in NOT_RUNNING and not name.startswith("test_"):
                yield file
