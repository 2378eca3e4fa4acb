"""Programs in the repository that work with the service's resources, and bring packages of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from .repository import tree
from .workspace import Workspace

# Of a script: what it requires, as PEP 723 has it.
REQUIRES = re.compile(r"^# /// script *\n(?:#.*\n)*?# *dependencies *= *\[[\s#]*[^\]\s#]", re.MULTILINE)
# Of a command line: it runs something in an environment of its own.
APART = re.compile(r"\buv(?:x|[)}\"']* run)\b.*--(?:no-project\b|with[= ])", re.IGNORECASE)
COMMANDS = re.compile(r"(?:^|/)(?:[^/]*Makefile|[jJ]ustfile|[^/]*\.(?:sh|mk)|\.github/workflows/[^/]*\.ya?ml)$")
WORD = re.compile(r"[\w./-]+")
LARGEST_BYTES = 500_000


def with_packages_of_their_own(workspace: Workspace) -> list[str]:
    """Scripts that name a resource's variable and require packages, and command lines that run such apart, in words."""
    variables = [resource.url for resource in workspace.contract.resources.values()]
    if not variables:
        return []
    uses = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, variables))})(?!\w)")
    texts = dict(_texts(workspace.source))
    users = {path for path, text in texts.items() if uses.search(text)}
    found = [
        f"{path} uses {uses.findall(texts[path])[0]}, and requires packages itself"
        for path in sorted(users)
        if path.endswith(".py") and REQUIRES.search(texts[path])
    ]
    for path in filter(COMMANDS.search, texts):
        apart = [line.strip() for line in texts[path].splitlines() if APART.search(line)]
        found += [f"{path} has: {line}" for line in apart if uses.search(line) or users & set(WORD.findall(line))]
    return found


def _texts(source: Path) -> Iterable[tuple[str, str]]:
    for path in tree(source):
        file = source / path
        if file.is_file() and not file.is_symlink() and file.stat().st_size <= LARGEST_BYTES:
            yield path, file.read_text(errors="replace")
