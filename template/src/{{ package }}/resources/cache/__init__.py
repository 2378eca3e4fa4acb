"""The cache: Redis, Valkey or memcached, opened from CACHE_URL and swapped by changing it.

It holds copies, each for a bounded time. While it is away nothing is found in it and what is put there is lost: answers
become slower, never wrong. `memory://` keeps a few values in the process itself, which is enough for tests and no more.
"""

import asyncio
import re
import time
from contextlib import suppress
from hashlib import sha256
from typing import Literal

import structlog

from ... import identity, telemetry
from ...settings import Settings
from .connections import Connection, connection_to

log = structlog.get_logger()

MAX_VALUE_BYTES = 1_048_576 - 1024  # memcached's 1 MB holds a key and a header too
MAX_KEY_BYTES = 250  # memcached's limit
MAX_TTL = 365 * 86_400
CONNECTIONS = 10
TIMEOUT_SECONDS = 0.25  # for an answer and the connection that it may need: waiting longer is no gain
PAUSE_SECONDS = 1.0  # a cache that failed is asked once in so long, so that an outage does not slow each request


class CacheUnavailableError(ConnectionError):
    """There is no answer from the cache; what must go may still be in it, until its time is over."""


class ValueTooLargeError(ValueError):
    """A value is larger than any cache takes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the cache takes values of at most {MAX_VALUE_BYTES} bytes, and this one has {size}")


class Cache:
    """The attached cache; without CACHE_URL there is none, and nothing is ever found."""

    essential = False

    def __init__(self, settings: Settings) -> None:
        self.ttl = settings.cache_ttl_seconds
        self._settings = settings
        self._attached = settings.cache_url is not None
        self._idle: list[Connection] = []
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._away = False
        self._ask_again_at = 0.0

    async def open(self) -> None:
        """Loads what speaks to the server; connects when there is something to ask."""
        if self._attached:
            self._new_connection()

    async def close(self) -> None:
        """Closes every connection."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._close_idle(wait=True)

    async def ping(self) -> None:
        """Asks the server for an answer; raises CacheUnavailableError when there is none."""
        if self._attached:
            await self._insist("get", "ping")

    def measure(self) -> None:
        """Leaves the metrics as they are: what is asked of the cache is counted as it happens."""

    async def get(self, key: str) -> bytes | None:
        """The value of `key`, or None when there is none or no answer."""
        return await self._try("get", _name(key))

    async def set(self, key: str, value: bytes, ttl: int) -> None:
        """Keeps the value of `key` for `ttl` seconds, at most a year, if the cache is there.

        Raises ValueTooLargeError, whether it is there or not.
        """
        if len(value) > MAX_VALUE_BYTES:
            raise ValueTooLargeError(len(value))
        if ttl < 1:
            raise ValueError("a value is kept for a second or longer")
        await self._try("set", _name(key), value, min(ttl, MAX_TTL))

    async def delete(self, key: str) -> None:
        """Drops the value of `key`; when the cache is not there, its time ends it."""
        await self._try("delete", _name(key))

    async def purge(self, *keys: str) -> None:
        """Drops the values of all `keys` for certain.

        Raises CacheUnavailableError.
        """
        for key in keys if self._attached else ():
            await self._insist("delete", key)

    async def _insist(self, operation: str, key: str) -> None:
        try:
            await self._ask(operation, _name(key))
        except Exception as error:
            raise CacheUnavailableError(_reason(error)) from error

    async def _try(self, operation: Literal["get", "set", "delete"], *arguments: str | bytes | int) -> bytes | None:
        if not self._attached:
            return None
        found, outcome = None, "failed"
        if not self._away or time.monotonic() >= self._ask_again_at:
            self._ask_again_at = time.monotonic() + PAUSE_SECONDS  # who asks first finds out for the others
            try:
                found = await self._ask(operation, *arguments)
            except Exception as error:
                await self._fail(error)
            else:
                self._recover()
                outcome = "done" if operation != "get" else "miss" if found is None else "hit"
        telemetry.CACHE.labels(operation, outcome).inc()
        return found

    async def _fail(self, error: Exception) -> None:
        if not self._away:
            log.warning("cache unavailable", reason=_reason(error))
        self._away = True
        self._ask_again_at = time.monotonic() + PAUSE_SECONDS
        await self._close_idle()

    def _recover(self) -> None:
        if self._away:
            log.info("cache available again")
        self._away = False

    async def _ask(self, operation: str, *arguments: str | bytes | int) -> bytes | None:
        async with asyncio.timeout(TIMEOUT_SECONDS), self._places:
            if self._idle:
                try:
                    return await self._use(self._idle.pop(), operation, *arguments)
                except Exception:  # most likely the server was started anew, and the other connections are as old
                    await self._close_idle()
            return await self._use(self._new_connection(), operation, *arguments)

    async def _use(self, connection: Connection, operation: str, *arguments: str | bytes | int) -> bytes | None:
        try:
            answer: bytes | None = await getattr(connection, operation)(*arguments)
        except BaseException:  # a cancelled request too: its answer is still to come, and the next one would get it
            await connection.close(wait=False)
            raise
        self._idle.append(connection)
        return answer

    def _new_connection(self) -> Connection:
        return connection_to(self._settings.secret("cache_url"))  # read again, since the password may have changed

    async def _close_idle(self, *, wait: bool = False) -> None:
        while self._idle:
            await self._idle.pop().close(wait=wait)


def _name(key: str) -> str:
    """What `key` is called in a server that others use too, and that takes neither blanks nor long names."""
    name = f"{identity.SERVICE}:{key}"
    if len(name) <= MAX_KEY_BYTES and re.fullmatch(r"[!-~]*", name):
        return name
    return f"{identity.SERVICE}#{sha256(key.encode(errors='surrogatepass')).hexdigest()}"


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


RESOURCE = Cache
