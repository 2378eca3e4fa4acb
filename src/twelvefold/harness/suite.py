"""One small suite of what a client does, to be played on the service with each kind of cache."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from . import caches
from .caches import Cache
from .claim import expect
from .deploy import Deploy, Made
from .ledger import Ledger, change
from .processes import Process, eventually


@dataclass
class Suite:
    """The service with one kind of cache."""

    scheme: str
    cache: Cache
    web: Process
    ledger: Ledger
    variables: dict[str, str]
    """What attaches the cache."""
    seen: list[str] = field(default_factory=list)
    """What became of it, in words that are the same for each kind."""

    @property
    def age(self) -> float:
        """How old an answer may be, in seconds."""
        return self.ledger.deploy.thing.stale_seconds

    def create_and_read(self) -> None:
        """Creates some things, and reads them until they come from the cache."""
        for _ in range(4):
            self.ledger.create(self.web, self._when)
        for _ in range(2):
            self.ledger.check(self.web, self._when)
        self.seen.append(f"{'hits' if self.cache.hits() else 'no hit'} in the cache")

    def change(self) -> None:
        """Changes a thing behind the service's back."""
        self.ledger.there[0] = change(self.ledger.deploy, self.ledger.there[0])

    def wait_for_change(self) -> None:
        """Waits until it is read as it is."""
        changed = self.ledger.there[0]
        fresh = f"the thing that was changed to be read {self._when}"
        eventually(lambda: self.ledger.marker(self.web, changed) == changed.marker, fresh, self.age)

    def delete(self) -> None:
        """Deletes a thing that is in the cache, if the service can."""
        if self.ledger.deploy.thing.delete:
            made = self.ledger.there[1]
            self.ledger.marker(self.web, made)
            self.ledger.delete(self.web, made, self._when)
            self._wait_until_gone("deleted", made)

    def purged(self, made: Made) -> None:
        """Sees that a thing has gone with its person."""
        self.ledger.there.remove(made)
        self.ledger.gone.append(made)
        self._wait_until_gone("purged", made)

    def _wait_until_gone(self, how: str, made: Made) -> None:
        gone = f"404 for what was {how} {self._when}"
        seconds = eventually(lambda: self.ledger.marker(self.web, made) is None, gone, self.age)
        self.seen.append(f"{how}: gone {'at once' if seconds <= self.age / 2 else 'with its time'}")

    @property
    def _when(self) -> str:
        return f"with {self.scheme}"


def begin(deploy: Deploy, scheme: str) -> Suite:
    """Starts a cache and web for a scheme; raises NotRun where the machine has no such server."""
    resource = deploy.contract.resource("cache")
    assert resource is not None
    cache = deploy.stack.enter_context(caches.server(scheme, deploy.folder))
    variables = {resource.url: cache.url}
    web = deploy.start(deploy.web.process, ready=False, **variables)
    return Suite(scheme, cache, web, Ledger(deploy), variables)


def purge(deploy: Deploy, suites: Sequence[Suite]) -> None:
    """Erases a person whose thing is in each cache, if the service can."""
    command = deploy.contract.admin.purge if deploy.contract.admin else None
    if not command:
        return
    running = []
    for suite in suites:
        made = suite.ledger.there[-1]
        suite.ledger.marker(suite.web, made)
        words = shlex.split(command.replace("{email}", made.email))
        running.append((suite, made, deploy.launch(words, **suite.variables)))
    for suite, made, process in running:
        code = process.wait()
        expect(code == 0, f"{command} to exit 0 with {suite.scheme}", f"{code}: {process.tail()}")
        suite.purged(made)
