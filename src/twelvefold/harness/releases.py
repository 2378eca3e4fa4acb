"""Rehearses releases: what is built, released, run and rolled back, with a stand-in in the place of the engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import repository
from .claim import expect
from .contract import Release
from .rehearsal import Rehearsal, Rehearsed
from .tools import git

REQUIRED = re.compile(r"\$\{(\w+):?\?")
SLOW = 1_000_000  # microseconds
STARTS = {"up", "run", "start", "restart", "create", "scale", "watch"}
Line = dict[str, Any]


@dataclass
class Rollout:
    """One environment to which a service is released; `variables` are its configuration."""

    rehearsal: Rehearsal
    how: Release
    build: str
    variables: dict[str, str]
    _seen: bytes = b""
    _calls: int = 0
    _changes: int = field(default=0)

    def do(self, command: str) -> Rehearsed:
        """Runs a command of the service's; raises Violation when it changes what was recorded before."""
        self._calls = len(self.rehearsal.calls())
        done = self.rehearsal.run(command, self.variables)
        self.check_record(command)
        return done

    def check_record(self, command: str) -> None:
        """Raises Violation unless the record is what it was, with or without new lines."""
        now = self._file.read_bytes() if self._file.exists() else b""
        expect(now.startswith(self._seen), f"{self.how.record} only to grow", f"`{command}` change what was in it")
        self._seen = now

    def change(self) -> None:
        """Commits something, so that the next build makes another image."""
        self._changes += 1
        (self.rehearsal.project / "CHANGE").write_text(f"{self._changes}\n")
        git(self.rehearsal.project, "add", "CHANGE")
        git(self.rehearsal.project, "commit", "--quiet", "--no-verify", "--message", f"Change {self._changes}")

    def built(self) -> str:
        """Builds; returns the image's digest."""
        self.rehearsal.succeed(self.build, self.variables)
        return str(self.rehearsal.calls("build")[-1]["digest"])

    def released(self) -> Line:
        """Makes a release; returns its line. Raises Violation unless it is one new line."""
        before = len(self.lines())
        done = self.do(self.how.make)
        expect(done.code == 0, f"`{self.how.make}` to succeed", f"{done.code}: {done.tail}")
        new = self.lines()[before:]
        expect(len(new) == 1, f"one more line in {self.how.record} after `{self.how.make}`", len(new))
        return new[0]

    def released_at_once(self, number: int) -> list[Line]:
        """Makes so many releases at the same time; returns their lines, however many there are.

        What is written to the record takes a while, so that each has read it before another has written to it, unless
        they wait for each other.
        """
        before, slowly = len(self.lines()), _slow_writes(self._file)
        with ThreadPoolExecutor(number) as pool:
            runs = [pool.submit(self.rehearsal.run, self.how.make, self.variables, slowly) for _ in range(number)]
        failed = [one.result() for one in runs if one.result().code]
        self.check_record(self.how.make)
        expect(not failed, f"{number} times `{self.how.make}` at once to succeed", failed and failed[0].tail)
        return self.lines()[before:]

    def lines(self) -> list[Line]:
        """The releases in the record: its lines that have an `id`."""
        found = []
        for line in self._seen.decode(errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            expect(isinstance(entry, dict), f"one JSON object a line in {self.how.record}", line)
            if "id" in entry:
                found.append(entry)
        return found

    def run(self, name: str) -> Rehearsed:
        """Runs a release, or tries to; without a name, as somebody does who gives none."""
        words = self.how.run.split()
        command = " ".join(word for word in words if name or "{release}" not in word)
        return self.do(command.replace("{release}", name))

    def started(self) -> set[str]:
        """The digests of the service's images that were started by the last command."""
        found: set[str] = set()
        for call in self.rehearsal.calls()[self._calls :]:
            if call["kind"] == "compose" and call["command"] in STARTS:
                found |= {digest for digest in call["digests"].values() if digest}
            elif call["kind"] == "run":
                found.add(str(call["digest"]))
        return found

    @property
    def _file(self) -> Path:
        return self.rehearsal.project / self.how.record


def configuration(project: Path, secret: str) -> dict[str, str]:
    """A value for each variable that the compose files cannot do without."""
    texts = (repository.text(project, path) for path in repository.compose_files(project))
    return {name: secret for text in texts for name in REQUIRED.findall(text)}


def _slow_writes(file: Path) -> tuple[str, ...]:
    """What stands before a command line so that its writes to a file take long; nothing where that cannot be done."""
    strace = shutil.which("strace")
    prefix = (strace or "", "-f", "-qq", "-o", "/dev/null", "-P", str(file), "-e", f"inject=write:delay_enter={SLOW}")
    usable = strace and subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    return prefix if usable else ()
