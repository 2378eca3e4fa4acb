"""The releases of one environment: what `make release`, `run`, `rollback` and `admin` do.

A release is an image and a configuration. `releases.jsonl` lists them, and when each was run; it is only ever appended
to. It holds no value of the configuration, but a hash under a key that stays in this folder.

The machine of a deploy may have docker, git, make and Python alone, so nothing else is imported.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dev.stack import READY_SECONDS, UNTIL_READY, RefusedError, Stack, image, keep, stack

USAGE = "usage: python3 -m dev.ledger release IMAGE | run RELEASE | rollback | admin ARGUMENTS ...\n"
LEDGER, KEY = Path("releases.jsonl"), Path(".release-key")
KEY_BYTES = 32
LISTED = 5
UNREADABLE = ValueError, TypeError, KeyError


class Release(NamedTuple):
    """An image, by its digest, and a configuration, by its hash."""

    id: str
    commit: str
    artifact: str
    configuration: str
    time: str


class Ledger:
    """The file of releases and runs, while no other process can append to it."""

    def __init__(self, file: int) -> None:
        self._file = file
        self.releases: list[Release] = []
        self.started: list[str] = []
        self.ready: set[str] = set()
        text = LEDGER.read_text(errors="replace")
        # No name is given twice, not even that of a line that was cut off.
        self.highest = max(map(int, re.findall(r'"id": "v(\d+)"', text)), default=0)
        for number, line in enumerate(text.splitlines(), 1):
            try:
                self._take(json.loads(line))
            except UNREADABLE:
                sys.stderr.write(f"{LEDGER}, line {number}: cut off or damaged, so it does not count.\n")

    def _take(self, record: dict[str, str]) -> None:
        if "run" not in record:
            self.releases.append(Release(*(record[field] for field in Release._fields)))
        elif record["state"] == "ready":
            self.ready.add(record["run"])
        else:
            self.started.append(record["run"])

    def append(self, **record: str) -> None:
        """Adds a line, which is on the disk when this returns."""
        size = os.fstat(self._file).st_size
        cut_off = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"
        data = b"\n" * cut_off + json.dumps(record).encode() + b"\n"
        while data:
            data = data[os.write(self._file, data) :]
        os.fsync(self._file)

    def find(self, name: str) -> Release:
        """The release of this name."""
        for release in self.releases:
            if release.id == name:
                return release
        if not self.releases:
            raise RefusedError("Nothing is released here yet: make build release.")
        problem = f"There is no release {name}." if name else "Say which release to run, as in make run RELEASE=v1."
        raise RefusedError("\n".join((f"{problem} The last ones:", *map(self._line, self.releases[-LISTED:]))))

    def current(self) -> Release:
        """The release that was started last, whether or not it became ready."""
        if not self.started:
            raise RefusedError("No release was run here yet: make run RELEASE=v1.")
        return self.find(self.started[-1])

    def previous(self) -> Release:
        """The newest of the releases before the current one that have been ready."""
        current = self.current()
        for release in reversed(self.releases[: self.releases.index(current)]):
            if release.id in self.ready:
                return release
        raise RefusedError(f"{current.id} runs, and no release before it has run here.")

    def _line(self, release: Release) -> str:
        last = "  started last" if self.started[-1:] == [release.id] else ""
        return f"  {release.id}  {release.time}  commit {release.commit[:12]}  {release.artifact}{last}"


@contextmanager
def ledger() -> Iterator[Ledger]:
    """Opens the ledger; another process that wants it waits."""
    file = os.open(LEDGER, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write("Waiting for another make release, run or rollback to end.\n")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield Ledger(file)
    finally:
        os.close(file)


def ensure_key() -> None:
    """Makes the key, unless it is there."""
    if not KEY.exists() or KEY.stat().st_size != KEY_BYTES:
        KEY.touch(0o600)
        KEY.chmod(0o600)
        KEY.write_bytes(secrets.token_bytes(KEY_BYTES))


def fingerprint(configuration: object) -> str:
    """A hash of the configuration, which tells nothing about it to those who have not the key."""
    text = json.dumps(configuration, sort_keys=True, separators=(",", ":"))
    return f"hmac-sha256:{hmac.new(KEY.read_bytes(), text.encode(), 'sha256').hexdigest()}"


def release(reference: str) -> None:
    """Migrates the database with an image, then records it with the configuration of now."""
    artifact, commit = image(reference, "make build makes one, and IMAGE=NAME@sha256:... fetches one")
    with stack(artifact, commit) as services:
        with ledger():
            ensure_key()
            configuration = fingerprint(services.configuration)
        options = ("--rm", "--no-deps", "--no-TTY", "--interactive=false")
        if services.attach(services.needed, *UNTIL_READY) or services.compose("run", *options, "release"):
            raise RefusedError(f"The release phase of {reference} failed, so there is no new release.")
    keep(artifact)
    with ledger() as book:
        made = Release(f"v{book.highest + 1}", commit, artifact, configuration, _now())
        book.append(**made._asdict())
    sys.stdout.write(f"{made.id} is {artifact}, of commit {commit}. Next: make run RELEASE={made.id}\n")


@contextmanager
def prepared(chosen: Release) -> Iterator[Stack]:
    """The services of a release whose image is here, and whose configuration is the one that is here now."""
    again = f"make a new release, make release IMAGE={chosen.artifact}"
    image(chosen.artifact, f"Without its image {chosen.id} cannot run")
    with stack(chosen.artifact, chosen.commit) as services:
        if not KEY.exists():
            raise RefusedError(f"{KEY} is gone, so no configuration can be compared with that of {chosen.id}: {again}.")
        if fingerprint(services.configuration) != chosen.configuration:
            raise RefusedError(f"The configuration is not that of {chosen.id}: set it as it was, or {again}.")
        yield services


def run(book: Ledger, chosen: Release) -> None:
    """Runs the process types of a release, in place of those of any other one."""
    with prepared(chosen) as services:
        services.attach(services.backing)  # and goes on: a process can start before its database
        book.append(run=chosen.id, state="starting", time=_now())
        if services.start():
            why = "docker compose logs says why, and make rollback runs the release before it"
            raise RefusedError(f"{chosen.id} was not ready within {READY_SECONDS} s: {why}.")
        book.append(run=chosen.id, state="ready", time=_now())
    sys.stdout.write(f"{chosen.id} runs: {chosen.artifact}, of commit {chosen.commit}\n")


def admin(arguments: list[str]) -> int:
    """Runs a one-off in the release that runs; returns its exit code."""
    with ledger() as book:
        current = book.current()
    with prepared(current) as services:
        return services.compose("run", "--rm", "--no-deps", "admin", *arguments)


def main(arguments: list[str]) -> int:
    """Does what the command line says; returns the exit code."""
    try:
        match arguments:
            case ["release", reference]:
                release(reference)
            case ["run", name]:
                with ledger() as book:
                    run(book, book.find(name))
            case ["rollback"]:
                with ledger() as book:
                    run(book, book.previous())
            case ["admin", *words]:
                return admin(words)
            case _:
                sys.stderr.write(USAGE)
                return 2
    except RefusedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{error.filename or LEDGER}: {error.strerror}.\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
