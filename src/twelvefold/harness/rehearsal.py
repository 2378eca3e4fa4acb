"""Rehearses a build or a release: the service's own commands, with a stand-in in the place of the container engine."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import standin
from .claim import NotRun, Violation
from .tools import tool_environment

ENGINES = ("docker", "podman", "buildah", "nerdctl", "docker-compose", "podman-compose")
SECONDS = 60


@dataclass(frozen=True)
class Rehearsed:
    """How a command ended."""

    code: int
    output: str
    pid: int

    @property
    def tail(self) -> str:
        """The last that it wrote."""
        return "\n".join(self.output.strip().splitlines()[-5:])


@dataclass(frozen=True)
class Rehearsal:
    """A folder in which the stand-in keeps what it was asked for; `project` is where commands run."""

    folder: Path
    project: Path

    def run(self, command: str, variables: Mapping[str, str] | None = None, prefix: Sequence[str] = ()) -> Rehearsed:
        """Runs a command line of the service's, as a person does in a shell."""
        environment = tool_environment({"TERM": "dumb", **(variables or {})})
        environment["PATH"] = os.pathsep.join((str(self.programs()), environment["PATH"]))
        process = self._start([*prefix, *shlex.split(command)], environment)
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise Violation(f"expected `{command}` to end within {SECONDS} s, saw it run on") from None
            raise
        return Rehearsed(process.returncode, output, process.pid)

    def _start(self, words: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(
                words,
                cwd=self.project,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise NotRun(f"`{' '.join(words)}` needs {error.filename}, which is not on this machine") from None

    def succeed(
        self, command: str, variables: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
    ) -> Rehearsed:
        """Runs a command that has to succeed; raises Violation, or NotRun when a tool is missing on this machine."""
        done = self.run(command, variables, prefix)
        if done.code:
            if "not found" in done.tail and not self.calls():
                raise NotRun(f"`{command}` needs a tool that is not on this machine: {done.tail}")
            raise Violation(f"expected `{command}` to succeed, saw it end with {done.code}: {done.tail}")
        return done

    def calls(self, *kinds: str) -> list[dict[str, Any]]:
        """What the stand-in was asked for so far: all, or some kinds."""
        file = self.folder / "calls.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [call for call in map(json.loads, lines) if not kinds or call["kind"] in kinds]

    def programs(self) -> Path:
        """The folder with the stand-in under the names of all engines, first on the PATH of what is run."""
        programs = self.folder / "bin"
        if not programs.exists():
            programs.mkdir(parents=True)
            for name in ENGINES:
                words = shlex.join([sys.executable, "-I", standin.__file__, str(self.folder), name])
                (programs / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
                (programs / name).chmod(0o755)
        return programs
