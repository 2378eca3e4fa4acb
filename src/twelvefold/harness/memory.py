"""Finds answers that come from somebody's memory and are no longer true."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import psycopg

from .claim import NotRun, Violation, expect
from .deploy import Deploy, Made
from .http import Response
from .ledger import Ledger, change
from .processes import Process

AT_ONCE = 8  # so many readers get at all connections that a process has
READS = 3
THINGS = 5
PAUSE_SECONDS = 0.2
MOMENT_SECONDS = 0.5
PRECONDITIONS = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}


def seconds_until(ask: Callable[[], object], right: object, seconds: float) -> float:
    """Asks until the answer is right; returns the age of the last question whose answer was not.

    Raises Violation when a question that was asked later than `seconds` gets another answer.
    """
    began, last = time.monotonic(), 0.0
    while True:
        age = time.monotonic() - began
        if (seen := ask()) == right:
            return last
        if age >= seconds:
            told = f"{seconds:g} s after a change" if seconds else "at once after a change"
            raise Violation(f"expected {_shown(right)} {told}, saw {_shown(seen)}")
        last = age
        time.sleep(min(PAUSE_SECONDS, max(0.0, seconds - age)))


def start_with_cache(deploy: Deploy) -> list[Process]:
    """Starts two web processes on one cache, if there can be one; they are not waited for."""
    resource = deploy.contract.resource("cache")
    with suppress(NotRun):
        if resource:
            cache = deploy.with_cache()
            return [
                deploy.start(deploy.web.process, ready=False, prefix=(), **{resource.url: cache.url}) for _ in range(2)
            ]
    return []


class Reader:
    """One process, which is asked again and again, while two things change behind its back."""

    def __init__(self, deploy: Deploy, web: Process, age: float) -> None:
        self.oldest = 0.0
        self._changed = 0.0
        self._deploy, self._web, self._age = deploy, web, age
        self._ledger = Ledger(deploy)
        self._preconditions: dict[str, str] = {}

    def warm_up(self) -> None:
        """Creates the things and reads them, over every connection that the process has to its database."""
        for _ in range(2):
            self._ledger.create(self._web)
        self._ledger.learn_to_list(self._web)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in range(READS):
                for _ in pool.map(lambda _: self._ledger.check(self._web), range(AT_ONCE)):
                    pass
        self._learn_preconditions()
        if self._ledger.lists:
            method, _, path = str(self._deploy.thing.list).partition(" ")
            self._expect_not_kept(path, self._web.ask(method, path))

    def change(self) -> None:
        """Changes both in the database."""
        self._ledger.there = [change(self._deploy, made) for made in self._ledger.there]
        self._changed = time.monotonic()

    def expect_fresh(self) -> None:
        """They are read as they are, alone, in the list, and by a client that has an older answer already."""
        for made in self._ledger.there:
            self._see(partial(self._ledger.marker, self._web, made), made.marker)
        # One of its threads or children knows it now; each other may be as old as is allowed.
        time.sleep(max(0.0, self._changed + self._age - time.monotonic()))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(lambda _: self._ledger.check(self._web, "after a change"), range(AT_ONCE)):
                pass
        if self._ledger.lists:
            self._see(self._listed, {made.marker for made in self._ledger.there})
        self._expect_modified(self._ledger.there[-1])
        self._learn_preconditions()

    def expect_gone_and_back(self, table: str) -> None:
        """A row that is deleted is not read, and read again when it is back."""
        made = self._ledger.there[0]
        with suppress(psycopg.IntegrityError, psycopg.errors.GeneratedAlways):  # others need the row
            with self._deploy.db.without(table, made.marker):
                self._see(partial(self._ledger.marker, self._web, made), None)
            self._see(partial(self._ledger.marker, self._web, made), made.marker)

    def _listed(self) -> set[str]:
        text = self._ledger.listed(self._web)
        return {made.marker for made in self._ledger.there if made.marker in text}

    def _see(self, ask: Callable[[], object], right: object) -> None:
        self.oldest = max(self.oldest, seconds_until(ask, right, self._age))

    def _learn_preconditions(self) -> None:
        response = self._deploy.read(self._web, self._ledger.there[-1])
        self._expect_not_kept(self._deploy.thing.read.partition(" ")[2], response)
        headers = response.headers
        self._preconditions = {asked: headers[told] for told, asked in PRECONDITIONS.items() if told in headers}

    def _expect_not_kept(self, path: str, response: Response) -> None:
        """A client, or what is between, may not keep an answer for longer than the service itself."""
        limit, seen = self._deploy.thing.stale_seconds, response.fresh_seconds
        expect(seen <= limit, f"an answer at {path} to be kept for {limit:g} s at most", f"{seen:g} s allowed")

    def _expect_modified(self, made: Made) -> None:
        response = self._deploy.read(self._web, made, headers=self._preconditions)
        expect(response.status == 200, "200 for a client whose copy is no longer true", response.status)


def oldest_through_cache(deploy: Deploy, first: Process, second: Process) -> float:
    """How many seconds after a change an answer was as before, at most.

    The first process has read all things. The second reads one after another for the first time, later and later: if it
    remembers what it gets from the cache, then that is older than it thinks. Raises Violation for an answer that was
    never true.
    """
    ledger, seconds, oldest = Ledger(deploy), deploy.thing.stale_seconds, 0.0
    old = [ledger.create(first) for _ in range(THINGS)]
    for _ in range(READS):
        ledger.check(first)
    new, began = [change(deploy, made) for made in old], time.monotonic()
    while (now := time.monotonic() - began) < seconds + MOMENT_SECONDS:
        for number, (before, after) in enumerate(zip(old, new, strict=True)):
            for web in (first, second) if now >= number * seconds / THINGS else (first,):
                age = time.monotonic() - began
                seen = ledger.marker(web, after)
                expect(seen in (before.marker, after.marker), "the old or the new answer", seen or "404")
                oldest = age if seen == before.marker else oldest
        time.sleep(PAUSE_SECONDS)
    return oldest


def _shown(seen: object) -> str:
    return "404" if seen is None else str(seen)
