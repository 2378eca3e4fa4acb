"""What a client has created and deleted, to be compared with what the service answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from . import api, http, pages
from .claim import HarnessError, Violation, expect
from .deploy import Deploy, Made, unique_marker
from .pages import Pages
from .processes import Process

LISTED_AT_MOST = 10  # so few are on the first page of any list, which may be all that can be asked for
LONGEST = 10_000
SHOWN = 60
PATIENCE_SECONDS = 10.0
MOMENT_SECONDS = 0.5
PAUSE_SECONDS = 0.1


@dataclass
class Ledger:
    """Things that exist, and things that do not any more."""

    deploy: Deploy
    there: list[Made] = field(default_factory=list)
    gone: list[Made] = field(default_factory=list)
    slowest: float = 0.0
    """Seconds of the slowest answer."""
    lists: bool = False
    """Whether the list shows what was just created: it may be in another order."""
    pages: Pages | None = None
    """How the list goes on after its first page, if that is known."""
    length: int = 0
    """How long a text may be, if that was tried."""

    def create(self, web: Process, when: str = "", length: int = 0) -> Made:
        """Creates a thing, which must be in the database as soon as it is confirmed; a long one in whichever form."""
        began = time.monotonic()
        try:
            made = self.deploy.create(web, unique_marker(length) if length else "", timeout=PATIENCE_SECONDS)
        except http.NO_ANSWER as error:
            raise Violation(f"expected an answer to {_at(self.deploy.thing.create, when)}, saw {error!r}") from None
        except Violation as error:
            raise Violation(_at(str(error), when)) from None
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.there.append(made)
        if not length:
            self.is_kept(made, when)
        return made

    def learn_length(self, web: Process) -> None:
        """Creates one thing with as long a text as there may be: it counts, and its length, if it can be read whole."""
        text = unique_marker(usual_length(self.deploy, web))
        with suppress(Violation, *http.NO_ANSWER):  # not every service takes so much
            made = self.deploy.create(web, text, timeout=PATIENCE_SECONDS)
            if self.deploy.marker_of(web, made, timeout=PATIENCE_SECONDS) == text:
                self.length = len(text)
                self.there.append(made)

    def is_kept(self, made: Made, when: str = "") -> None:
        """The database has a thing, with what was sent."""
        table = self.deploy.thing.table
        if self.deploy.database and table:
            kept = self.deploy.db.holding(table, made.marker)
            expect(kept == 1, _at(f"one row in {table} for a thing that was confirmed", when), kept)

    def document(self, web: Process, made: Made) -> Any:
        """All that the service tells of a thing."""
        try:
            return self.deploy.read(web, made, timeout=PATIENCE_SECONDS).json()
        except http.NO_ANSWER as error:
            raise Violation(f"expected an answer to {self.deploy.thing.read}, saw {error!r}") from None
        except ValueError:
            return None  # whether it is JSON is looked at with the marker

    def marker(self, web: Process, made: Made, when: str = "") -> str | None:
        """What the service answers where the marker is; None when it knows no such thing. Raises Violation."""
        began = time.monotonic()
        try:
            return self.deploy.marker_of(web, made, timeout=PATIENCE_SECONDS)
        except http.NO_ANSWER as error:
            raise Violation(f"expected an answer to {_at(self.deploy.thing.read, when)}, saw {error!r}") from None
        except Violation as error:
            raise Violation(_at(str(error), when)) from None
        finally:
            self.slowest = max(self.slowest, time.monotonic() - began)

    def check(self, web: Process, when: str = "") -> None:
        """Every thing reads as it was sent, and no other one is there."""
        for made in self.there:
            seen = self.marker(web, made, when)
            what = f"{_told(made.marker)} to be read from {web.type}"
            expect(seen == made.marker, _at(what, when), "404" if seen is None else _told(seen))
        for made in self.gone:
            expect(self.marker(web, made, when) is None, _at("404 for a thing that was deleted", when), made.marker)

    def delete(self, web: Process, made: Made, when: str = "") -> None:
        """Deletes a thing."""
        try:
            status = self.deploy.delete(web, made).status
        except http.NO_ANSWER as error:
            raise Violation(f"expected an answer to {_at('a deletion', when)}, saw {error!r}") from None
        expect(200 <= status < 300, _at("a deletion to succeed", when), status)
        self.there.remove(made)
        self.gone.append(made)

    def listed(self, *webs: Process) -> str:
        """The text of the list: all pages if it is known how, each from another of these processes in turn."""

        def ask(path: str, number: int) -> http.Response:
            return self._listed(webs[number % len(webs)], path, number)

        if self.pages:
            return "\n".join(self.pages.read(ask, len(self.there)))
        return ask(str(self.deploy.thing.list).partition(" ")[2], 0).text

    def _listed(self, web: Process, path: str, before: int) -> http.Response:
        try:
            response = web.get(path)
        except http.NO_ANSWER as error:
            raise Violation(f"expected an answer to GET {path}, saw {error!r}") from None
        behind = before and self.pages and self.pages.numbered and 400 <= response.status < 500
        asked = f"GET {path}" + (f", page {before + 1}, from any process" if before else "")
        expect(response.status == 200 or behind, f"200 from {asked}", f"{response.status} {response.text[:300]}")
        return response

    def look_around(self, web: Process) -> None:
        """Reads everything, and the list if there is one."""
        self.check(web)
        if self.deploy.thing.list:
            self.listed(web)

    def learn_to_list(self, web: Process) -> None:
        """Finds out whether the list shows what has just been created, and where it goes on; two things are enough."""
        path = self.deploy.thing.list
        self.lists = bool(path) and self.there[-1].head in self.listed(web)
        if self.lists and str(path).startswith("GET "):
            with http.answered(f"web at {path}"):
                self.pages = pages.learn(self.deploy, web, [made.head for made in self.there])

    @property
    def read_as(self) -> str:
        """How much of the list is read."""
        return "not read" if not self.lists else "each page from another process" if self.pages else "its first page"

    def check_list(self, web: Process, when: str = "", others: Sequence[Process] = ()) -> None:
        """The list shows what is there, and nothing that was deleted; pages that follow come from others as well."""
        if self.lists:
            text = self.listed(web, *others)
            shown = self.there if self.pages else self.there[-LISTED_AT_MOST:]
            missing = [made.head for made in shown if made.head not in text]
            expect(not missing, _at(f"what was created to be listed by {web.type}", when), f"nothing of {missing}")
            left = [made.head for made in self.gone if made.head in text]
            expect(not left, _at(f"what was deleted not to be listed by {web.type}", when), left)


def usual_length(deploy: Deploy, web: Process) -> int:
    """How long the longest text is with which clients come: what the OpenAPI document allows, within reason."""
    document = api.known(deploy, web)
    operation = document.operation(deploy.thing.create) if document else None
    if document is None or operation is None:
        return LONGEST
    content = document.followed(operation.details.get("requestBody", {})).get("content", {})
    fields = document.followed(content.get("application/json", {}).get("schema", {})).get("properties", {})
    names = [name for name, value in deploy.thing.body.items() if value == "{marker}"]
    lengths = [document.followed(fields.get(name, {})).get("maxLength", LONGEST) for name in names]
    return int(min([LONGEST, *lengths]))


def allowed_age(deploy: Deploy) -> float:
    """How many seconds old an answer may be: where there is a place for a cache and none attached, it is fresh."""
    resource = deploy.contract.resource("cache")
    return 0 if resource and deploy.cache is None else deploy.thing.stale_seconds


class Staleness:
    """Two things that a client has read, and that are deleted and changed then; for how long answers are as before.

    Meanwhile they are out of the ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._deleted, self._changed = ledger.there[:2]
        self._new = self._changed
        self._began = time.monotonic()

    def delete(self, web: Process) -> None:
        """Deletes the first over HTTP."""
        self._ledger.delete(web, self._deleted)
        self._ledger.gone.remove(self._deleted)

    def change(self) -> None:
        """Changes the second in the database, where factors.toml says how."""
        self._ledger.there.remove(self._changed)
        self._new = change(self._ledger.deploy, self._changed)
        self._began = time.monotonic()

    def expect_over(self, webs: Sequence[Process], seconds: float, when: str) -> None:
        """So many seconds after the deletion and the change no answer may be as before."""
        time.sleep(max(0.0, self._began + seconds - time.monotonic()))
        for web in webs:
            for made, right in ((self._deleted, None), (self._changed, self._new.marker)):
                seen = self._ledger.marker(web, made, when)
                expect(seen == right, f"{right or '404'} {seconds:g} s after a change, {when}", seen)

    def oldest(self, webs: Sequence[Process], seconds: float) -> float:
        """For how long, of these seconds and a moment more, an answer was as before; from then on all must be new."""
        began, last = time.monotonic(), 0.0
        while (age := time.monotonic() - began) < seconds + MOMENT_SECONDS:
            seen = {(self._ledger.marker(web, one), one.id) for web in webs for one in (self._deleted, self._changed)}
            if seen != {(None, self._deleted.id), (self._new.marker, self._changed.id)}:
                last = age
            time.sleep(PAUSE_SECONDS)
        self._ledger.gone.append(self._deleted)
        self._ledger.there.append(self._new)
        return last


def change(deploy: Deploy, made: Made) -> Made:
    """Changes a thing behind the service's back, where factors.toml says how; returns what it is now."""
    if not deploy.thing.change:
        return made
    new = replace(made, marker=unique_marker())
    deploy.db.rows(deploy.thing.change, {"id": made.id, "marker": new.marker})
    if table := deploy.thing.table:
        changed = deploy.db.holding(table, new.marker)
        if changed != 1:
            raise HarnessError(f"[thing] change in factors.toml changed {changed} rows, not one")
    return new


def _told(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"


def _at(text: str, when: str) -> str:
    return f"{text} {when}" if when else text
