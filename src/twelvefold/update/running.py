"""Runs the commands of a template, of which nothing goes on once this one has ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


def run_to_its_end(
    command: str | Sequence[str],
    folder: Path,
    env: Mapping[str, str],
    *,
    stderr: int = subprocess.PIPE,
    seconds: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a command, a text by the shell. Whatever ends this before, such as Ctrl-C, ends all that it has started.

    Raises OSError when it cannot be started, and subprocess.TimeoutExpired.
    """
    with subprocess.Popen(
        command,
        shell=isinstance(command, str),
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=seconds)
        except BaseException:
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)
