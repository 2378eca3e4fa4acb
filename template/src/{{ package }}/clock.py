"""The schedule process type: enqueues periodic jobs when they are due.

Any number may run at once: the database takes each tick once, from whoever comes first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from procrastinate import App
from procrastinate.periodic import PeriodicDeferrer, TaskAtTime

from . import jobs, process, queue
from .jobs import Job
from .resources import Resources
from .settings import Settings

# Each tick once, and none before another: of those that catch up after an outage, every clock but one comes too late.
# A job that is new begins with its next tick.
TICK = """
    WITH tick AS (
        INSERT INTO job_ticks (job, at) VALUES (%(job)s, to_timestamp(%(at)s))
        ON CONFLICT (job) DO UPDATE SET at = excluded.at WHERE job_ticks.at < excluded.at
        RETURNING job, xmax <> 0 AS known
    )
    SELECT procrastinate_defer_jobs_v1(
        ARRAY[ROW(job, job, 0, NULL, NULL, '{}', NULL)::procrastinate_job_to_defer_v1]
    ) FROM tick WHERE known OR to_timestamp(%(at)s) > now() - interval '1 minute'
"""
CATCH_UP_SECONDS = 86_400  # a tick that no clock was there for is made up for within a day


class Clock(PeriodicDeferrer):
    """Knows when jobs are due, and enqueues those."""

    def __init__(self, app: App) -> None:
        super().__init__(app.periodic_registry, CATCH_UP_SECONDS)
        self._connector = app.connector

    async def defer_jobs(self, jobs_to_defer: Iterable[TaskAtTime]) -> None:
        """Enqueues what is due, unless another clock has."""
        for due, at in jobs_to_defer:
            await self._connector.execute_query_async(TICK, job=due.task.name, at=at)


def run(settings: Settings) -> int:
    """Runs the clock until it is told to stop; returns the exit code."""
    return process.run("clock", settings, _tick)


async def _tick(resources: Resources, stop: asyncio.Event) -> bool:
    known = jobs.known()
    app = queue.app(queue.Connector(resources.postgres), known, _no_task)
    for job in known.values():
        if job.cron:
            app.periodic(cron=job.cron, periodic_id=job.name)(app.tasks[job.name])
    ticking = asyncio.create_task(Clock(app).worker())
    told = asyncio.create_task(stop.wait())
    await asyncio.wait({ticking, told}, return_when=asyncio.FIRST_COMPLETED)
    if ticking.done():
        ticking.result()  # raises what ended it
    await process.end(ticking)
    return True


def _no_task(job: Job[Any]) -> Any:
    async def enqueued_only() -> None:
        """Is never run: a clock takes no jobs."""
        raise NotImplementedError(job.name)

    return enqueued_only
