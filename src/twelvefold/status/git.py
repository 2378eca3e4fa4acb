"""Asks git servers, side by side, and waits for none of them for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ..update.git import LEADING_AWAY, SETTINGS, GitError

# Nobody is there to answer: a server that asks for a password, or ssh for a key's, has an error at once.
ASKS_NOBODY = {
    "GCM_INTERACTIVE": "never",
    "GIT_ASKPASS": "",
    "GIT_TERMINAL_PROMPT": "0",
    "SSH_ASKPASS_REQUIRE": "never",
    "LC_ALL": "C",  # what git says is read
}


class TooSlow(GitError):
    """A server did not answer in time."""


class Servers:
    """Runs git commands that speak with servers; `stop` ends all of them, from another thread."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._environment = {name: value for name, value in os.environ.items() if name not in LEADING_AWAY}
        self._running: set[int] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def ask(self, folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """What a git command prints. Raises GitError when it fails, TooSlow when it takes too long."""
        process = self._start(folder, arguments, env or {})
        try:
            output, errors = process.communicate(timeout=self.seconds)
        except subprocess.TimeoutExpired:
            raise TooSlow(f"no answer within {self.seconds:g} s") from None
        finally:
            self._end(process)
        if process.returncode:
            raise GitError(os.fsdecode(errors).strip() or f"git {arguments[0]} ended with {process.returncode}")
        return os.fsdecode(output)

    def stop(self) -> None:
        """Ends what runs, and starts nothing more."""
        with self._lock:
            self._stopped = True
            for group in self._running:
                _kill(group)

    def _start(self, folder: Path, arguments: tuple[str, ...], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise GitError("stopped")
            process = subprocess.Popen(
                ["git", *SETTINGS, *arguments],
                cwd=folder,
                env={**self._environment, **ASKS_NOBODY, **env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # without a terminal to ask at, and to be ended as a whole
            )
            self._running.add(process.pid)
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Ends a command that still runs, with all that it has started, so that nothing holds its output open."""
        with self._lock:
            self._running.discard(process.pid)
            ended = process.returncode is not None
            if not ended:
                _kill(process.pid)
        if not ended:
            process.communicate()


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
