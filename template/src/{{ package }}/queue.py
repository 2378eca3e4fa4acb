"""The queue: procrastinate on the attached database, for the process types that run jobs.

What it adds: statements outlive an outage of the database, jobs of a worker that vanished start again, and a job that
was ended by a stop returns to the queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, LiteralString

import psycopg
import structlog
from procrastinate import App, BaseRetryStrategy, RetryDecision
from procrastinate.connector import BaseAsyncConnector, Notify
from procrastinate.jobs import Job as QueuedJob
from psycopg import sql
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb

from .jobs import Job
from .resources.postgres import Postgres

log = structlog.get_logger()

RETRY_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 3600

# The database is away, or its schema has not been released yet.
NOT_YET = psycopg.OperationalError, psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction

# The notification wakes the workers, which would otherwise look once a second.
RESCUE = """
    WITH stalled AS (
        SELECT job.id FROM procrastinate_jobs AS job
        LEFT JOIN procrastinate_workers AS worker ON worker.id = job.worker_id
        WHERE job.status = 'doing' AND %(retries)s ? task_name
            AND (
                coalesce(worker.last_heartbeat < now() - make_interval(secs => %(patience)s), true)
                OR job.id = ANY (%(lost)s)
            )
        FOR NO KEY UPDATE OF job SKIP LOCKED
    )
    UPDATE procrastinate_jobs AS job SET
        status = CASE
            WHEN attempts < (%(retries)s ->> task_name)::int THEN 'todo' ELSE 'failed'
        END::procrastinate_job_status,
        attempts = attempts + 1
    FROM stalled WHERE job.id = stalled.id
    RETURNING job.id, task_name AS job, status::text,
        pg_notify('procrastinate_queue_v1#' || queue_name, '{"type": "job_inserted", "job_id": 0}')
"""


class Backoff(BaseRetryStrategy):
    """Tries a failed job again after 2, 4, 8 ... seconds; returns one that was ended by a stop at once."""

    def __init__(self, retries: int) -> None:
        self._retries = retries

    def get_retry_decision(self, *, exception: BaseException, job: QueuedJob) -> RetryDecision | None:
        """What to do with a job that has not succeeded; None makes it a dead letter."""
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_in={"seconds": 0})
        if job.attempts >= self._retries:
            return None
        return RetryDecision(retry_in={"seconds": min(2 ** (job.attempts + 1), MAX_BACKOFF_SECONDS)})


class Connector(BaseAsyncConnector):
    """Runs the queue's statements on the process's own pool, again and again while the database is away."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self.patient = True

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        """Runs a statement without an answer."""
        try:
            await self._run(query, arguments)
        except psycopg.errors.RaiseException as error:
            # Its row was deleted, or rescued and finished elsewhere: nothing is left to be noted.
            log.warning("the queue no longer knows the job", reason=error.diag.message_primary)

    async def execute_query_one_async(self, query: LiteralString, **arguments: Any) -> dict[str, Any]:
        """Runs a statement; returns its only row."""
        return (await self._run(query, arguments))[0]

    async def execute_query_all_async(self, query: LiteralString, **arguments: Any) -> list[dict[str, Any]]:
        """Runs a statement; returns its rows."""
        return await self._run(query, arguments)

    async def _run(self, query: LiteralString, arguments: Mapping[str, Any]) -> list[DictRow]:
        values = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in arguments.items()}
        waiting = False
        while True:
            try:
                async with (
                    self._postgres.connection() as connection,
                    connection.cursor(row_factory=dict_row) as cursor,
                ):
                    await cursor.execute(query, values)
                    return await cursor.fetchall() if cursor.description else []
            except NOT_YET as error:
                if not self.patient:
                    raise
                if not waiting:
                    log.warning("the queue waits for the database", reason=str(error))
                waiting = True
                await asyncio.sleep(RETRY_SECONDS)

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Hears of new jobs, on a connection of its own."""
        listen = sql.SQL("; ").join(sql.SQL("LISTEN {}").format(sql.Identifier(channel)) for channel in channels)
        while True:
            try:
                async with self._postgres.dedicated() as connection:
                    await connection.execute(listen)
                    async for notification in connection.notifies():
                        await on_notification(channel=notification.channel, payload=notification.payload)
            except psycopg.OperationalError:
                await asyncio.sleep(RETRY_SECONDS)  # meanwhile the worker looks for jobs once a second


def app(connector: Connector, known: Mapping[str, Job[Any]], task: Callable[[Job[Any]], Callable[..., Any]]) -> App:
    """The library's side of the jobs, each with a queue of its own name and the function that `task` gives."""
    app = App(connector=connector)
    for name, job in known.items():
        app.task(name=name, queue=name, retry=Backoff(job.retries), pass_context=True)(task(job))
    return app
