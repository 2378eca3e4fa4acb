"""PostgreSQL: one pool of connections, opened from DATABASE_URL."""

import select
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from .. import identity
from ..settings import Settings

# How long a request waits for a connection: short, so that an outage is an answer and not a queue.
CHECKOUT_SECONDS = 2.0
# How long one connection attempt is repeated in the background before the next request has to ask for it anew. The
# pool's pauses grow with the length of an outage; a short limit keeps them short when the database returns.
RECONNECT_SECONDS = 1.0

CONNECTION: Mapping[str, Any] = {
    "autocommit": True,  # a read needs no transaction; a write opens one with `connection.transaction()`
    "connect_timeout": 2,
    "application_name": identity.SERVICE,
    # A peer that vanished without a word is noticed within about 10 s.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class Postgres:
    """The attached database."""

    def __init__(self, settings: Settings) -> None:
        self._pool = AsyncConnectionPool(
            conninfo=lambda: settings.secret("database_url"),
            kwargs=dict(CONNECTION),
            min_size=1,
            max_size=settings.database_pool_size,
            timeout=CHECKOUT_SECONDS,
            reconnect_timeout=RECONNECT_SECONDS,
            name="postgres",
            open=False,
        )

    async def open(self) -> None:
        """Starts connecting in the background: the service lives without its database."""
        await self._pool.open()

    async def close(self) -> None:
        """Closes every connection."""
        await self._pool.close()

    async def ping(self) -> None:
        """Asks the server for an answer."""
        async with self.connection() as connection:
            await connection.execute("SELECT 1")

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """A connection that works, in autocommit mode.

        Raises PoolTimeout when there is none in time.
        """
        connection = await self._checked_out()
        try:
            yield connection
        finally:
            await self._pool.putconn(connection)

    async def _checked_out(self) -> AsyncConnection:
        while True:
            connection = await self._pool.getconn()
            try:
                await _probe(connection)
            except BaseException as error:
                # Whatever ended the probe, a cancelled request too: the pool must get its place back.
                await connection.close()
                await self._pool.putconn(connection)
                if not isinstance(error, psycopg.Error):
                    raise
            else:
                return connection


async def _probe(connection: AsyncConnection) -> None:
    # An idle server says nothing. If there is something to read it is most likely its farewell, so only then is a round
    # trip spent on finding out: a ping at every checkout would cost half a query.
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        await connection.execute("")
