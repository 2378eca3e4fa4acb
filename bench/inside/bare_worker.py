"""The worker that a service's is compared with: the same library, used as its own documentation uses it.

Its task runs the statements of `notes.count_words` on a pool. It says so once it is ready, and works until SIGTERM.
"""

import asyncio
import os
import sys

from procrastinate import App, PsycopgConnector
from psycopg_pool import AsyncConnectionPool

URL = os.environ["DATABASE_URL"]
CONCURRENCY = 4  # as a service's by default

app = App(connector=PsycopgConnector(conninfo=URL))
pool = AsyncConnectionPool(URL, min_size=1, max_size=10, open=False)


@app.task(name="bare.count_words", queue="bare.count_words")
async def count_words(note_id: str) -> None:
    """Counts the words of a note, in one transaction."""
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT text FROM notes WHERE id = %s", (note_id,))
        for (text,) in await cursor.fetchall():
            await connection.execute("UPDATE notes SET words = %s WHERE id = %s", (len(text.split()), note_id))


async def main() -> None:
    """Connects, says that it is ready, and works."""
    async with pool, app.open_async():
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await app.run_worker_async(queues=["bare.count_words"], concurrency=CONCURRENCY)


asyncio.run(main())
