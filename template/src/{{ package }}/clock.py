"""The schedule process type: enqueues periodic jobs when they are due.

Any number may run at once: the database takes each tick once, from whoever comes first.
"""

from __future__ import annotations

import asyncio
from typing import Any

from procrastinate.periodic import PeriodicDeferrer

from . import jobs, process, queue
from .jobs import Job
from .resources import Resources
from .settings import Settings

CATCH_UP_SECONDS = 86_400  # a tick that no clock was there for is made up for within a day


def run(settings: Settings) -> int:
    """Runs the clock until it is told to stop; returns the exit code."""
    return process.run("clock", settings, _tick)


async def _tick(resources: Resources, stop: asyncio.Event) -> bool:
    known = jobs.known()
    app = queue.app(queue.Connector(resources.postgres), known, _no_task)
    for job in known.values():
        if job.cron:
            app.periodic(cron=job.cron, periodic_id=job.name)(app.tasks[job.name])
    ticking = asyncio.create_task(PeriodicDeferrer(app.periodic_registry, max_delay=CATCH_UP_SECONDS).worker())
    told = asyncio.create_task(stop.wait())
    await asyncio.wait({ticking, told}, return_when=asyncio.FIRST_COMPLETED)
    if ticking.done():
        ticking.result()  # raises what ended it
    ticking.cancel()
    return True


def _no_task(job: Job[Any]) -> Any:
    async def enqueued_only() -> None:
        raise NotImplementedError(job.name)

    return enqueued_only
