"""Jobs that wait, jobs in the middle of their work, and how often each has had its effect."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from .claim import Observations, Violation, expect
from .contents import rows_with
from .databases import AUDIT, Database
from .deploy import Deploy, Made
from .processes import Process, eventually
from .sockets import ports_of

T = TypeVar("T")

QUIET_SECONDS = 1.5
UNMISTAKABLE = 8  # letters of an identifier: a shorter one may stand for something else in a row
PAUSE_SECONDS = 0.1  # each look is a connection to the database, which costs time itself
HELD = """
    SELECT pid, client_port FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name <> 'twelvefold'
"""


def queued(deploy: Deploy, number: int) -> list[Made]:
    """Creates things whose jobs nobody does yet; from then on the effects are counted."""
    table, database = deploy.jobs.table, deploy.db
    at_once: dict[str, Any] = {deploy.web.drain: "0"} if deploy.web.drain else {}
    web = deploy.start(deploy.web.process, **at_once)
    made = [deploy.create(web) for _ in range(number)]
    web.stop()
    expect(not any(map(deploy.done, made)), f"the jobs to wait for a {deploy.jobs.process}", "their effect without one")
    database.count_effects(table)
    return made


def waiting(deploy: Deploy) -> int | None:
    """How many jobs wait in the queue; None where factors.toml does not say how to count them."""
    return None if deploy.jobs.waiting is None else int(deploy.db.value(deploy.jobs.waiting) or 0)


def held(database: Database, by: Process | None = None) -> set[int]:
    """The sessions that are held up in the middle of something: all, or those of one process."""
    ports = None if by is None else ports_of(by.family())
    return {int(pid) for pid, port in database.rows(HELD) if ports is None or port in ports}


def wait_until_in_the_middle(deploy: Deploy, worker: Process, seconds: float = 30) -> set[int]:
    """Waits until a worker is held up in the middle of a job; returns its sessions."""
    found: set[int] = set()

    def seen() -> set[int]:
        found.update(held(deploy.db, worker))
        return found

    eventually(seen, f"{worker.type} to be in the middle of a job", seconds, PAUSE_SECONDS)
    return found


def wait_until_done(deploy: Deploy, made: Sequence[Made], seconds: float) -> float:
    """Waits until every job has had its effect; returns after how many seconds. Raises Violation with the lost ones."""
    began, left = time.monotonic(), list(made)
    while left:
        while left and deploy.done(left[-1]):
            left.pop()
        if left and time.monotonic() - began > seconds:
            lost = [one.id for one in left if not deploy.done(one)]
            raise Violation(f"{len(lost)} of {len(made)} jobs were not done {seconds:g} s later, {lost[:1]} is one")
        time.sleep(PAUSE_SECONDS)
    return time.monotonic() - began


def now(deploy: Deploy) -> datetime:
    """The time by the database's clock."""
    found: datetime = deploy.db.value("SELECT clock_timestamp()")
    return found


def last_effect(deploy: Deploy) -> datetime:
    """When the last effect was written, by the database's clock."""
    found: datetime | None = deploy.db.value(f"SELECT max(at) FROM {AUDIT}")
    if found is None:
        raise Violation(f"no job wrote a row of {deploy.jobs.table}")
    return found


def observe_effects(deploy: Deploy, made: Iterable[Made], observe: Observations) -> None:
    """Waits until no more effects come, and keeps how many there were: one for each job."""
    wanted, effects = len(list(made)), settled(deploy.db.effects, QUIET_SECONDS)
    again = [row for row, times in effects.items() if times > 1]
    if again:
        raise Violation(f"{len(again)} of {wanted} jobs had their effect more than once, {again[0]} is one")
    observe.measure(f"effects of {wanted} jobs", sum(effects.values()), "==", wanted)


def rows_of(deploy: Deploy, made: Iterable[Made]) -> Counter[tuple[str, str]]:
    """How many rows of each table are about a thing, by the table and the thing's identifier."""
    names = [one.id for one in made if len(one.id) >= UNMISTAKABLE]
    found: Counter[tuple[str, str]] = Counter()
    for table, rows in (rows_with(deploy.db, names) if names else {}).items():
        if not table.endswith(AUDIT):
            found.update((table, name) for row in rows for name in names if name.lower() in row.lower())
    return found


def settled(look: Callable[[], T], seconds: float = 0.5) -> T:
    """What is seen once it has not changed for so long."""
    seen, since = look(), time.monotonic()
    while time.monotonic() - since < seconds:
        time.sleep(PAUSE_SECONDS)
        if (changed := look()) != seen:
            seen, since = changed, time.monotonic()
    return seen
