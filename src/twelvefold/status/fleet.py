"""Looks at all services side by side, and asks their templates for releases as soon as one is known."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from ..update.git import GitError
from . import local
from .found import Found
from .git import Servers
from .places import Place
from .remote import remotes
from .standing import Recorded, recorded
from .templates import Releases, releases_of

Told = Callable[[Place], None]


@dataclass
class Fleet:
    """What was found of each service, and the releases of each template by its address."""

    found: dict[Place, Found]
    releases: Mapping[str, Releases]


def look_at(places: Sequence[Place], scratch: Path, servers: Servers, at_once: int, told: Told) -> Fleet:
    """Looks at every place, some of them at once; tells of each when that is done."""
    threads = min(at_once, len(places))
    with remotes(scratch, servers, threads) as them, ThreadPoolExecutor(threads) as pool:
        templates = _Templates(pool, servers)

        def look(place: Place) -> Found:
            try:
                found = local.look(place.folder) if place.folder else them.look(place)
            except (GitError, OSError) as error:  # of this machine, such as a full disk
                found = Found(unreachable=str(error))
            templates.begin(found)
            return found

        try:
            looking = {pool.submit(look, place): place for place in places}
            for done in as_completed(looking):
                told(looking[done])
            return Fleet({place: done.result() for done, place in looking.items()}, templates.answers())
        except BaseException:
            servers.stop()
            pool.shutdown(cancel_futures=True)
            raise


@dataclass
class _Templates:
    """Asks each template once, in the same threads."""

    pool: ThreadPoolExecutor
    servers: Servers
    asked: dict[str, Future[Releases]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, found: Found) -> None:
        has = recorded(found.answers)
        with self.lock:
            if isinstance(has, Recorded) and has.source not in self.asked:
                self.asked[has.source] = self.pool.submit(releases_of, has.source, self.servers)

    def answers(self) -> dict[str, Releases]:
        return {source: future.result() for source, future in self.asked.items()}
