"""IV. Backing services: attached resources, each at one URL, that may move, be swapped, or be away for a while."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial

from ..harness import caches, losses, outage, sockets, suite
from ..harness.attached import Attached
from ..harness.caches import Cache
from ..harness.claim import NotApplicable, NotRun, Observations, Violation, claim, expect, need
from ..harness.deploy import Deploy, Deploys
from ..harness.jobs import settled
from ..harness.ledger import Ledger, Staleness, allowed_age
from ..harness.processes import END_SECONDS, Process, eventually
from ..harness.trouble import has_worker
from ..harness.usage import Usage

NOTICED_SECONDS = 2.0
OUTAGE_SECONDS = 10.0
RETURNED_SECONDS = 5.0
IDLE_SECONDS = 8.0  # longer than a clock usually waits before it looks again
WATCHED_SECONDS = 10.0
USED_AGAIN_SECONDS = 30.0
SLOW_SECONDS = 5.0  # what still counts as an answer while the cache is away


@claim(
    "IV.1",
    "A database is attached and detached by its URL alone",
    threshold="all process types use the copy; 0 connections to the original",
    seconds=12,
)
def a_database_is_swapped_by_its_url(deploy: Deploy, deploys: Deploys, observe: Observations) -> None:
    source, jobs, clock = deploy.db, deploy.contract.jobs, deploy.contract.clock
    table = need(deploy.thing.table, "[thing] table")
    original = Attached(deploy)
    original.release()
    original.start_all()
    before = Ledger(deploy)
    first = before.create(original.web)
    before.look_around(original.web)
    if jobs:
        eventually(lambda: deploy.done(first), "the job to be done in the original", END_SECONDS)
    original.run_one_off()
    original.end_all_but_web()
    second = before.create(original.web)
    original.end_all()

    copy = Attached(deploys.moved(deploy, intricate=True))
    sessions, connections = deploys.sessions(deploy), original.connections
    copy.release()
    copy.start_all()
    copy.run_one_off()
    ledger = Ledger(copy.deploy, [first, second])
    ledger.check(copy.web, "from the copy of the database")
    third = ledger.create(copy.web, "in the copy of the database")
    ledger.look_around(copy.web)
    if jobs:
        waiting = [second] if deploy.contract.works_apart else []  # what web does itself ended with it
        for made in (*waiting, third):
            eventually(partial(copy.deploy.done, made), "the jobs to be done in the copy", END_SECONDS)
    if deploy.thing.delete:
        ledger.delete(copy.web, first)
        expect(not copy.deploy.db.holding(table, first.marker), "a deletion to happen in the copy")
    expected = original.users | ({clock.process} if clock and clock.jobs else set())
    with suppress(Violation):  # one that looks now and then may not have looked yet
        eventually(lambda: expected <= copy.users, "everybody to use the copy", IDLE_SECONDS)
    idle = expected - copy.users
    if clock and clock.process in idle and not sockets.connections(copy.processes[clock.process].family()):
        idle.discard(clock.process)  # nothing was due, so it has spoken to nobody
    observe.expect(
        not idle, f"{', '.join(sorted(expected))} to use the copy", f"nothing from {', '.join(sorted(idle))}"
    )
    copy.end_all()
    bare = copy.deploy.db.sessions_without_options()
    observe.expect(not bare, "the options in the copy's URL in every session", f"{bare} without")
    seen = deploys.sessions(deploy) - sessions + original.connections - connections
    observe.measure("connections to the original", seen, "==", 0)
    observe.expect(not source.holding(table, third.marker), "new data in the copy only")


@claim(
    "IV.2",
    "Only declared resources are contacted",
    threshold="0 other addresses, also in errors, jobs and one-offs",
    seconds=22,
)
def only_declared_resources_are_contacted(deploy: Deploy, observe: Observations) -> None:
    usage = Usage(deploy)
    usage.start_all()
    usage.work()
    usage.fail()
    usage.run_one_offs()
    passed = usage.let_time_pass()
    usage.live_for(WATCHED_SECONDS)
    usage.stop()
    others = usage.foreign_contacts()
    told = "; ".join(f"{who}: {', '.join(map(str, addresses))}" for who, addresses in others.items())
    observe.expect(not others, f"no address but those of {', '.join(usage.declared) or 'nothing'}", told)
    observe.note(f"watched at work, in errors and for {WATCHED_SECONDS:g} s: {', '.join(usage.traces)}; {passed}")


@claim(
    "IV.3",
    "An outage of the database is survived and told",
    threshold="503 in 2 s, live 200 for 10 s, same PID, ready in 5 s",
    seconds=20,
)
def an_outage_of_the_database_is_survived(deploy: Deploy, observe: Observations) -> None:
    ready, live = need(deploy.web.ready, "[web] ready"), need(deploy.web.live, "[web] live")
    cut, (silent, its_url) = deploy.proxied("postgres"), deploy.own_proxy()
    ticking = outage.ticking(deploy)
    early = outage.start(deploy, clock=ticking)
    early.append(deploy.start(deploy.web.process, ready=False, prefix=(), **its_url))
    outage.wait_until_ready(deploy, early)
    web, ledger = early[0], Ledger(deploy)
    kept = ledger.create(web)
    if has_worker(deploy):  # what becomes of a job that is cut off is for IX.4 to say
        with suppress(Violation):
            eventually(lambda: deploy.done(kept), "its job to be done", END_SECONDS)
    if ticking:
        ticking.come_close()
        outage.wait_until_ready(deploy, early)
    families = settled(lambda: [set(process.family()) for process in early])

    with outage.watched_alive(early, live) as wrong:
        cut.cut()
        silent.blackhole()
        began = time.monotonic()
        if ticking:
            ticking.begin()
        observe.measure("not ready", outage.slowest(early, ready, 503, NOTICED_SECONDS), "<=", NOTICED_SECONDS, "s")
        late = outage.start(deploy)  # these start before their database
        promised = outage.confirmed(ledger, web)
        outage.expect_no_lie(ledger, web, kept)
        outage.slowest(late, live, 200)
        outage.slowest(late, ready, 503)
        while time.monotonic() - began < OUTAGE_SECONDS:
            outage.expect_not_ready(early + late, ready)
    observe.expect(not wrong, "live to stay 200", wrong)
    for process in early + late:
        expect(
            process.alive, f"{process.type} to outlive the outage", f"exit code {process.exit_code}: {process.tail()}"
        )
    observe.note(f"live stayed 200 for {time.monotonic() - began:.0f} s, cut for one web and silent for another")

    cut.restore()
    silent.restore()
    returned = outage.slowest(early + late, ready, 200, RETURNED_SECONDS)
    observe.measure("ready again", returned, "<=", RETURNED_SECONDS, "s")
    for process, family in zip(early, families, strict=True):
        observe.expect(family <= set(process.family()), f"{process.type} with the same PID", "others than before")
    for process in early + late:
        if process.type == deploy.web.process:
            ledger.create(process, "just after the database is back")
    ledger.check(web, "after the outage")
    for made in promised:
        ledger.is_kept(made, "during the outage")
    if ticking:
        observe.note(ticking.made_up_for(late))
    outage.expect_each_worker_to_work(ledger, web, early, late)


@claim(
    "IV.4",
    "A lost cache means slower, never wrong",
    threshold="right answers, cache up, cut, silent, full, garbled and back",
    seconds=15,
)
def a_lost_cache_is_slower_never_wrong(deploy: Deploy, observe: Observations) -> None:
    proxy, cache = deploy.proxied("cache"), deploy.with_cache()
    resource, age = deploy.contract.resource("cache"), allowed_age(deploy)
    web, *early = outage.start(deploy, _with_its_jobs(deploy))
    outage.wait_until_ready(deploy, [web, *early])
    ledger = Ledger(deploy)

    ledger.create(web)
    cache.flush()
    ledger.check(web, "right after the cache was emptied")
    for _ in range(3):
        ledger.create(web)
    ledger.learn_to_list(web)
    ledger.learn_length(web)
    ledger.check(web)
    ledger.check(web, "from the cache")
    if not cache.hits():
        raise NotRun("nothing that can be asked for comes from the cache: it has no hit")
    for worker in early:
        for one in ledger.there:
            eventually(partial(deploy.done, one), "the jobs to be done with a cache", END_SECONDS)
        worker.kill()
    steady, lost = losses.after_a_flush(cache, ledger, web)
    expect(not lost, "all that was told of a thing to be told once the cache was emptied", "; ".join(lost[:3]))
    for name, spoil in caches.ways_to_spoil(cache):
        spoil()
        ledger.check(web, f"while the cache {name}")
        if ledger.lists:
            ledger.listed(web)
    ledger.create(web, "while the cache is full")
    caches.mend(cache)
    observe.note("right with a cache that was emptied, garbled and full")
    ledger.check(web)
    proxy.reset()
    ledger.check(web, "after the cache's connections were reset")

    # Whoever leaves a cache alone for a while after a failure has nothing in it that could be stale.
    used = f"the cache to be used again within {USED_AGAIN_SECONDS} s"
    eventually(lambda: _answers_again(cache, ledger, web), used, USED_AGAIN_SECONDS, pause=0.2)
    stale = Staleness(ledger)
    proxy.cut()
    away = losses.told(ledger, web)
    lost = losses.lost(steady, {key: away.get(key) for key in steady})
    expect(not lost, "all that was told of a thing to be told while the cache is away", "; ".join(lost[:3]))
    second, *others = outage.start(deploy)
    stale.delete(web)
    stale.change()
    made = ledger.create(web, "while the cache is away")
    ledger.check(web, "while the cache is away")
    if deploy.web.ready and resource and not resource.required:
        observe.expect(web.status(deploy.web.ready) == 200, "ready without the cache, which is optional")
    outage.wait_until_ready(deploy, [second, *others])
    if deploy.contract.jobs:
        eventually(lambda: deploy.done(made), "the job to be done while the cache is away", END_SECONDS)
    ledger.check(second, "from a process that started while the cache was away")

    proxy.restore()
    proxy.blackhole()
    for process in (web, second):
        ledger.create(process, "while the cache is silent")
        ledger.check(process, "while the cache is silent")
    stale.expect_over((web, second), age, "while the cache is silent")

    proxy.restore()
    observe.measure("oldest wrong answer after its return", stale.oldest((web, second), age), "<=", age, "s")
    for process in (web, second):
        ledger.check(process, "once the cache is back")
        ledger.check_list(process, "once the cache is back")
    observe.measure("slowest answer", ledger.slowest, "<=", SLOW_SECONDS, "s")


def _with_its_jobs(deploy: Deploy) -> list[str]:
    """Web, and the process type that completes what web has created, if there is one."""
    return [deploy.web.process, *([deploy.jobs.process] if deploy.contract.works_apart else [])]


def _answers_again(cache: Cache, ledger: Ledger, web: Process) -> bool:
    """Whether something that is read twice comes from the cache the second time; then all of it is there."""
    ledger.check(web)
    before = cache.hits()
    ledger.check(web)
    return cache.hits() > before


@claim(
    "IV.5",
    "A cache is swapped for another kind by its URL alone",
    threshold="the same answers on each; the server is used",
    seconds=8,
)
def a_cache_is_swapped_by_its_url(deploy: Deploy, observe: Observations) -> None:
    resource = deploy.contract.resource("cache")
    if resource is None:
        raise NotApplicable("no cache is attached to the service")
    schemes = resource.schemes
    if len(schemes) < 2:
        raise NotRun("factors.toml names fewer than two schemes of a cache's URL: nothing can be swapped")
    suites, missing = [], ""
    for scheme in schemes:
        try:
            suites.append(suite.begin(deploy, scheme))
        except NotRun as reason:
            missing = str(reason)
            observe.note(f"{scheme} not tried: {reason}")
    programs = {one.cache.program for one in suites}
    if len(programs) < 2:
        raise NotRun(missing or f"only {', '.join(programs)} is on this machine, and serves all: install memcached")
    outage.wait_until_ready(deploy, [one.web for one in suites])
    for one in suites:
        one.create_and_read()
        one.change()
    suite.purge(deploy, suites)
    for one in suites:
        one.delete()  # last, since it is looked at while it would still be in the cache
    suite.watch(suites, deploy.thing.stale_seconds)
    for one, before in zip(suites, [suites[-1], *suites], strict=False):
        before.ledger.check(one.web, f"with {one.scheme}, created with {before.scheme}")
        observe.measure(f"hits of {one.cache.program} for {one.scheme}", one.cache.hits(), ">=", 1)
    seen = {one.scheme: one.seen for one in suites}
    observe.expect(len(set(seen.values())) == 1, f"on each {suites[0].seen}", seen)
