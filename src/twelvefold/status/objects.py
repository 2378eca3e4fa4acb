"""Reads from repositories by one git process that many threads use: starting one for each service takes longer."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from ..update.git import LEADING_AWAY, SETTINGS, GitError


class Objects:
    """The objects in several folders; those that come later are found too."""

    def __init__(self, repository: Path, folders: Iterable[Path]) -> None:
        alternates = repository / "objects/info/alternates"
        alternates.parent.mkdir()
        alternates.write_bytes(b"".join(os.fsencode(folder) + b"\n" for folder in folders))
        self._lock = threading.Lock()
        environment = {name: value for name, value in os.environ.items() if name not in LEADING_AWAY}
        self._git = subprocess.Popen(
            ["git", *SETTINGS, "cat-file", "--batch-command"],
            cwd=repository,
            env={**environment, "GIT_DIR": str(repository)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the command, which then ends this one
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self._git.kill()
        self._git.communicate()

    def contents(self, names: Iterable[str]) -> list[bytes | None]:
        """What files and commits hold, None for one that is not there or is a folder."""
        return [content for _, content in self._ask("contents", names)]

    def names(self, names: Iterable[str]) -> list[str | None]:
        """The full names of objects, None for one that is not there."""
        return [name for name, _ in self._ask("info", names)]

    def _ask(self, command: str, names: Iterable[str]) -> list[tuple[str | None, bytes | None]]:
        """Asks for all at once: the questions are shorter than what a pipe holds."""
        wanted = [f"{command} {name}\n" for name in names]
        assert self._git.stdin is not None, "it is a pipe"
        with self._lock:
            self._git.stdin.write("".join(wanted).encode("utf-8", "surrogateescape"))
            self._git.stdin.flush()
            return [self._answer(command == "contents") for _ in wanted]

    def _answer(self, with_content: bool) -> tuple[str | None, bytes | None]:
        assert self._git.stdout is not None, "it is a pipe"
        line = self._git.stdout.readline()
        if not line:
            raise GitError("git cat-file has ended")
        if line.endswith((b" missing\n", b" ambiguous\n")):
            return None, None
        name, kind, size = line.split()
        content = self._git.stdout.read(int(size) + 1)[:-1] if with_content else None
        return name.decode(), None if kind == b"tree" else content
