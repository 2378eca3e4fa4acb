"""VI. Processes: stateless, sharing nothing; whatever must persist is in a backing service."""

from __future__ import annotations

import signal
import time
from functools import partial

from ..harness import confined, memory, outage, passage, shared
from ..harness.claim import Observations, claim, expect, need
from ..harness.deploy import Deploy
from ..harness.ledger import Ledger, allowed_age
from ..harness.processes import END_SECONDS, eventually
from ..harness.replicas import tell_the_same

REPLICAS = 3
PAIRS = 50


@claim(
    "VI.1",
    "Replicas share nothing: any of them can do what another began, or die",
    threshold="50 of 50 written on one and read on another, with a SIGKILL between",
    seconds=12,
)
def replicas_share_nothing(deploy: Deploy, observe: Observations) -> None:
    web = deploy.web.process
    replicas = outage.start(deploy, [web] * REPLICAS)
    outage.wait_until_ready(deploy, replicas)
    ledger, age = Ledger(deploy), allowed_age(deploy)
    for pair in range(PAIRS):
        writer, reader = replicas[pair % len(replicas)], replicas[(pair + 1) % len(replicas)]
        made = ledger.create(writer)
        if pair == 1:  # there are two, for two pages
            ledger.learn_to_list(writer)
            ledger.learn_length(writer)
        if pair == PAIRS // 2:
            writer.signal(signal.SIGKILL)  # as soon as it has confirmed
            replicas.remove(writer)
        seen = ledger.marker(reader, made)
        expect(seen == made.marker, f"pair {pair + 1}, written on one replica, to be read on another", seen or "404")
    time.sleep(age)  # a list that was read before may be as old
    for replica in replicas:
        ledger.check_list(replica, others=[one for one in replicas if one is not replica])
        ledger.check(replica, "on every replica")
    observe.note(f"{PAIRS} of {PAIRS} pairs over {REPLICAS} replicas, one of them killed in between")
    observe.note(f"the list: {ledger.read_as}")
    if deploy.thing.delete:
        for made, (first, second) in zip(ledger.there[:2], (replicas, replicas[::-1]), strict=True):
            ledger.delete(first, made)
            gone = memory.seconds_until(partial(ledger.marker, second, made), None, age)
            observe.measure("deleted on one, gone on another after", gone, "<=", age, "s")
        time.sleep(age)
        for replica in replicas:
            ledger.check_list(replica, "after a deletion on another replica")
    for look in (shared.keys_are_shared, shared.limit_is_shared):
        observe.note(look(deploy, *replicas[:2]))
    observe.note(tell_the_same(deploy, replicas[0], replicas[1], age))

    for replica in replicas:
        replica.signal(signal.SIGKILL)
    last = deploy.start(web)
    ledger.check(last, "after all processes were killed")
    ledger.check_list(last, "after all processes were killed")
    observe.note("all there after every process was killed")


@claim(
    "VI.2",
    "Nothing is kept in local files",
    threshold="all works on a read-only file system, and after losing every file",
    seconds=12,
)
def nothing_is_kept_in_local_files(deploy: Deploy, observe: Observations) -> None:
    jobs, admin = deploy.contract.jobs, deploy.contract.admin
    # Files may be written nearly everywhere, but each process has its own, and loses them with its end.
    free = confined.prefix(deploy, read_only=False)
    web, *others = outage.start(deploy, prefix=free)
    outage.wait_until_ready(deploy, [web, *others])
    ledger = Ledger(deploy)
    first = ledger.create(web)
    for _ in range(2):
        ledger.create(web)
    ledger.learn_length(web)
    ledger.check(web)
    ledger.learn_to_list(web)
    if jobs:
        eventually(lambda: deploy.done(first), "a job to be done that has no file of web's", END_SECONDS)
    for other in others:
        other.kill()
    waiting = ledger.create(web)
    web.kill()

    fixed, moved = confined.prefix(deploy, read_only=True), passage.movable(deploy)
    web, *others = outage.start(deploy, prefix=fixed, moved=moved)
    outage.wait_until_ready(deploy, [web, *others])
    lost = "once every local file was lost"
    ledger.check(web, lost)
    ledger.check_list(web, lost)
    if deploy.contract.works_apart:
        eventually(lambda: deploy.done(waiting), f"the job that waited to be done {lost}", END_SECONDS)
    observe.note(f"{len(ledger.there)} things and the waiting job survive the loss of every local file")
    made = ledger.create(web, "on a read-only file system", ledger.length)
    if jobs:
        eventually(lambda: deploy.done(made), "a job to be done on a read-only file system", END_SECONDS)
    if deploy.thing.delete:
        ledger.delete(web, first, "on a read-only file system")
    ledger.check(web, "on a read-only file system")
    commands = {"release": 0} if "release" in deploy.contract.processes else {}
    commands |= {admin.succeeds: 0} if admin and admin.succeeds else {}
    commands |= {admin.purge.replace("{email}", made.email): 0} if admin and admin.purge else {}
    for command in commands:
        finished = deploy.run(command, prefix=fixed)
        expect(finished.code == 0, f"{command} to exit 0 on a read-only file system", finished.process.tail())
    observe.note(f"on a read-only file system: requests, jobs, {', '.join(commands) or 'no one-offs'}")
    for process in (web, *others):
        expect(process.alive, f"{process.type} to run on a read-only file system", process.tail())
    if moved:
        observe.note(passage.expect_due_jobs_to_be_done(deploy, moved, (web, *others), fixed))


@claim(
    "VI.3",
    "No process remembers what has changed",
    threshold="read as it is within stale_seconds; at once without a cache",
    seconds=10,
)
def no_process_remembers_what_has_changed(deploy: Deploy, observe: Observations) -> None:
    _, table = deploy.db, need(deploy.thing.table, "[thing] table")
    need(deploy.thing.change, "[thing] change")
    bare = deploy.start(deploy.web.process, ready=False)
    cached = memory.start_with_cache(deploy)
    outage.wait_until_ready(deploy, [bare, *cached])

    age = 0 if deploy.contract.resource("cache") else deploy.thing.stale_seconds
    seen = memory.Reader(deploy, bare, age)
    seen.warm_up()
    for _ in range(3):
        seen.change()
        seen.expect_fresh()
    seen.expect_gone_and_back(table)
    observe.measure("oldest answer without a cache", seen.oldest, "<=", age, "s")
    if cached:
        oldest = memory.oldest_through_cache(deploy, *cached)
        observe.measure("oldest answer with a cache", oldest, "<=", deploy.thing.stale_seconds, "s")
