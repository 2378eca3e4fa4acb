"""`admin jobs`: looks at the queue, and gives dead letters another chance."""

from __future__ import annotations

import json
import sys
from typing import Literal

import structlog
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from . import Admin, OneOffError, one_off

log = structlog.get_logger()

Status = Literal["todo", "doing", "succeeded", "failed"]

LIST = """
    SELECT id, status::text, task_name AS job, attempts, scheduled_at,
        (SELECT error FROM job_errors WHERE job_id = id ORDER BY attempt DESC LIMIT 1) AS error
    FROM procrastinate_jobs WHERE status = %s::procrastinate_job_status ORDER BY id DESC LIMIT %s
"""
SHOW = """
    SELECT id, status::text, task_name AS job, attempts, scheduled_at, args AS arguments,
        (SELECT json_agg(json_build_object('attempt', attempt, 'at', at, 'error', error) ORDER BY attempt)
            FROM job_errors WHERE job_id = job.id) AS errors,
        (SELECT json_agg(json_build_object('at', at, 'event', type) ORDER BY event.id)
            FROM procrastinate_events AS event WHERE job_id = job.id) AS history
    FROM procrastinate_jobs AS job WHERE id = ANY (%s) ORDER BY id
"""
REPLAY = """
    UPDATE procrastinate_jobs SET status = 'todo', attempts = 0, scheduled_at = NULL
    WHERE status = 'failed' AND (%(all)s OR id = ANY (%(ids)s))
    RETURNING id, pg_notify('procrastinate_queue_v1#' || queue_name, '{"type": "job_inserted", "job_id": 0}')
"""


@one_off(prints=True)
async def jobs(
    admin: Admin,
    action: Literal["list", "show", "replay"],
    *ids: int,
    status: Status = "failed",
    limit: int = 100,
    all: bool = False,  # noqa: A002  it is the option's name
) -> None:
    """Lists jobs, shows some with their arguments and history, or replays dead letters: those that failed too often."""
    if action != "list" and not ids and not (action == "replay" and all):
        raise OneOffError(f"name the jobs: admin jobs {action} ID ...{' or --all' if action == 'replay' else ''}")
    async with admin.resources.postgres.connection() as connection:
        if action == "list":
            await _print(connection, LIST, (status, limit))
        elif action == "show":
            await _show(connection, list(ids))
        else:
            await _replay(connection, list(ids), all)


async def _show(connection: AsyncConnection, ids: list[int]) -> None:
    if missing := set(ids) - await _print(connection, SHOW, (ids,)):
        raise OneOffError(f"there is no job {', '.join(map(str, sorted(missing)))}")


async def _print(connection: AsyncConnection, query: str, values: tuple[object, ...]) -> set[int]:
    """Prints the jobs; returns their ids."""
    printed = set()
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query.encode(), values)
        async for row in cursor:
            sys.stdout.write(f"{json.dumps(row, default=str, ensure_ascii=False)}\n")
            printed.add(row["id"])
    return printed


async def _replay(connection: AsyncConnection, ids: list[int], every: bool) -> None:
    cursor = await connection.execute(REPLAY, {"ids": ids, "all": every})
    replayed = [row[0] for row in await cursor.fetchall()]
    if missing := set(ids) - set(replayed):
        raise OneOffError(f"not a dead letter: {', '.join(map(str, sorted(missing)))}; replayed: {len(replayed)}")
    log.info("replayed", jobs=replayed)
