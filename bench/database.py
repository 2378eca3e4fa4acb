"""A session with the database of a service, held by a program that has the service's packages."""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.02

Rows = list[list[Any]]


class Session(AbstractContextManager["Session"]):
    """Runs statements, each committed at once unless one of them is BEGIN."""

    def __init__(self, argv: Sequence[str | Path], env: Mapping[str, str]) -> None:
        self._popen = subprocess.Popen(
            argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", start_new_session=True
        )

    def __exit__(self, *_: object) -> None:
        """Ends it; what was not committed is undone."""
        try:
            self._popen.communicate(timeout=10)
        finally:
            self._popen.kill()
            self._popen.wait()

    def __call__(self, statement: str, *values: object) -> Rows:
        """Runs a statement; returns its rows, of what JSON can hold or its text.

        Raises RuntimeError when the database refuses it.
        """
        assert self._popen.stdin
        assert self._popen.stdout
        self._popen.stdin.write(json.dumps([statement, values]) + "\n")
        self._popen.stdin.flush()
        answer = json.loads(self._popen.stdout.readline() or '{"error": "the session has ended"}')
        if "error" in answer:
            raise RuntimeError(answer["error"])
        rows: Rows = answer["rows"]
        return rows

    def one(self, statement: str, *values: object) -> Any:
        """Runs a statement that has one value."""
        return self(statement, *values)[0][0]

    def until(self, statement: str, *values: object, seconds: float) -> None:
        """Runs a statement again and again until its one value is true.

        Raises TimeoutError when that takes longer than it may.
        """
        deadline = time.monotonic() + seconds
        while not self.one(statement, *values):
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {seconds:g} s still not so: {' '.join(statement.split())}")
            time.sleep(POLL_SECONDS)
