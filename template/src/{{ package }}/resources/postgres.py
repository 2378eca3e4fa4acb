"""PostgreSQL: one pool of connections, opened from DATABASE_URL."""

import select
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from .. import identity, telemetry, tracing
from ..settings import Settings

# How long to wait for a connection: short, so that an outage is told at once and nothing piles up.
CHECKOUT_SECONDS = 2.0
# How long one connection attempt is repeated in the background before somebody has to ask for it anew. The
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
# The same from the other side: what a vanished process had begun must not hold its locks for hours.
NOTICE_A_VANISHED_CLIENT = """
    SELECT set_config('tcp_keepalives_idle', '5', false),
        set_config('tcp_keepalives_interval', '2', false),
        set_config('tcp_keepalives_count', '3', false),
        set_config('client_connection_check_interval', '2s', false)
"""


class TracedCursor(AsyncCursor[Any]):
    """Makes each statement a part of the trace."""

    async def execute(self, query: Any, *args: Any, **options: Any) -> Self:
        """Runs a statement."""
        if not tracing.current():  # what a process does by itself, again and again, makes no traces
            return await super().execute(query, *args, **options)
        with tracing.span(next(iter(str(query).split()), "probe"), "client"):
            return await super().execute(query, *args, **options)


def connection_options() -> dict[str, Any]:
    """How every connection of this process is opened."""
    return {**CONNECTION, "cursor_factory": TracedCursor} if tracing.provider else dict(CONNECTION)


async def _configure(connection: AsyncConnection) -> None:
    await connection.execute(NOTICE_A_VANISHED_CLIENT)


class Postgres:
    """The attached database."""

    essential = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = AsyncConnectionPool(
            conninfo=lambda: settings.secret("database_url"),
            kwargs=connection_options(),
            configure=_configure,
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

    def measure(self) -> None:
        """Sets the gauges of the pool."""
        stats = self._pool.get_stats()
        idle = stats.get("pool_available", 0)
        telemetry.POOL.labels("idle").set(idle)
        telemetry.POOL.labels("used").set(stats.get("pool_size", 0) - idle)
        telemetry.POOL_MAX.set(stats.get("pool_max", 0))
        telemetry.POOL_WAITING.set(stats.get("requests_waiting", 0))

    @asynccontextmanager
    async def dedicated(self) -> AsyncIterator[AsyncConnection]:
        """A connection beside the pool, for what occupies one all the time."""
        url = self._settings.secret("database_url")
        async with await AsyncConnection.connect(url, **connection_options()) as connection:
            yield connection

    async def _checked_out(self) -> AsyncConnection:
        while True:
            try:
                connection = await self._pool.getconn()
            except PoolTimeout:
                telemetry.POOL_TIMEOUTS.inc()
                raise
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


RESOURCE = Postgres
