"""One small suite of what a client does, to be played on the service with each kind of cache."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from . import caches
from .caches import Cache
from .claim import expect
from .deploy import Deploy, Made
from .ledger import Ledger, change
from .processes import Process

AT_ONCE_SECONDS = 1.0
MOMENT_SECONDS = 0.5
PAUSE_SECONDS = 0.2


@dataclass
class Watched:
    """A thing to which something has happened, and how long it was read as before."""

    how: str
    made: Made
    right: str | None
    began: float = field(default_factory=time.monotonic)
    wrong: float = 0.0


@dataclass
class Suite:
    """The service with one kind of cache."""

    scheme: str
    cache: Cache
    web: Process
    ledger: Ledger
    variables: dict[str, str]
    """What attaches the cache."""
    watched: list[Watched] = field(default_factory=list)

    @property
    def seen(self) -> str:
        """What became of what was deleted, in words that are the same for each kind."""
        ended = [one for one in self.watched if one.how == "deleted"]
        told = (f"{one.how}: gone {'at once' if one.wrong <= AT_ONCE_SECONDS else 'with its time'}" for one in ended)
        return ", ".join(told)

    def create_and_read(self) -> None:
        """Creates some things, and reads them until they come from the cache."""
        for _ in range(3):
            self.ledger.create(self.web, self.when)
        for _ in range(2):
            self.ledger.check(self.web, self.when)

    def change(self) -> None:
        """Changes a thing behind the service's back."""
        new = change(self.ledger.deploy, self.ledger.there.pop(0))
        self.watched.append(Watched("changed", new, new.marker))

    def delete(self) -> None:
        """Deletes a thing that has just come into the cache, if the service can."""
        if self.ledger.deploy.thing.delete:
            made = self.create_in_cache()
            self.ledger.delete(self.web, made, self.when)
            self.watched.append(Watched("deleted", made, None))
            self.ledger.gone.remove(made)

    def create_in_cache(self) -> Made:
        """Creates a thing, and reads it twice."""
        made = self.ledger.create(self.web, self.when)
        for _ in range(2):
            self.ledger.marker(self.web, made, self.when)
        return made

    def purged(self, made: Made) -> None:
        """Remembers that a thing has gone with its person."""
        self.ledger.there.remove(made)
        self.watched.append(Watched("purged", made, None))

    @property
    def when(self) -> str:
        """What makes this suite another one than the others."""
        return f"with {self.scheme}"


def watch(suites: Sequence[Suite], seconds: float) -> None:
    """Reads what has changed or gone until so many seconds have passed, and a moment; then all must be right."""
    end = max(one.began for suite in suites for one in suite.watched) + seconds + MOMENT_SECONDS
    while time.monotonic() < end:
        for suite in suites:
            for one in suite.watched:
                age = time.monotonic() - one.began
                if suite.ledger.marker(suite.web, one.made, suite.when) != one.right:
                    one.wrong = age
                    expect(
                        age <= seconds, f"what was {one.how} to be read as it is {suite.when}", f"{age:.1f} s of age"
                    )
        time.sleep(PAUSE_SECONDS)


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
        made = suite.create_in_cache()
        words = shlex.split(command.replace("{email}", made.email))
        running.append((suite, made, deploy.launch(words, **suite.variables)))
    for suite, made, process in running:
        code = process.wait()
        expect(code == 0, f"{command} to exit 0 with {suite.scheme}", f"{code}: {process.tail()}")
        suite.purged(made)
