"""What a cache speaks: a connection to each kind of server, and the memory that stands in for one in tests."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

MEMORY_VALUES = 100
LONGEST_SPAN = 30 * 86_400  # a longer one, memcached takes for a point in time


class Connection(Protocol):
    """One that its first question opens, and that is not used again after an error."""

    async def get(self, name: str) -> bytes | None:
        """The value of this name, if there is one."""

    async def set(self, name: str, value: bytes, ttl: int) -> None:
        """Keeps a value for `ttl` seconds."""

    async def delete(self, name: str) -> None:
        """Drops a value, if there is one."""

    async def close(self, *, wait: bool) -> None:
        """Ends the connection."""


def connection_to(url: str) -> Connection:
    """A connection of the kind that the URL names."""
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return _Memory()
    return _Memcached(parts) if parts.scheme == "memcached" else _Redis(parts)


class _Redis:
    """Redis and Valkey, with the library of the former."""

    def __init__(self, url: SplitResult) -> None:
        from redis.asyncio.connection import Connection, parse_url  # only for those who use it

        options: dict[str, Any] = {"protocol": 2, "socket_timeout": None, "driver_info": None}
        options |= parse_url(url._replace(scheme=url.scheme.replace("valkey", "redis")).geturl())
        self._connection: AbstractConnection = options.pop("connection_class", Connection)(**options)

    async def _ask(self, *words: str | bytes | int) -> Any:
        await self._connection.send_command(*words)
        return await self._connection.read_response()

    async def get(self, name: str) -> bytes | None:
        value: bytes | None = await self._ask("GET", name)
        return value

    async def set(self, name: str, value: bytes, ttl: int) -> None:
        await self._ask("SET", name, value, "EX", ttl)

    async def delete(self, name: str) -> None:
        await self._ask("DEL", name)

    async def close(self, *, wait: bool) -> None:
        await self._connection.disconnect(nowait=not wait)


class _Memcached:
    """memcached, in its text protocol: three words of it are all that a cache needs."""

    def __init__(self, url: SplitResult) -> None:
        self._url = url
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._url.hostname, self._url.port or 11211)
            if self._url.password:
                who = unquote(f"{self._url.username} {self._url.password}").encode()
                await self._ask(b"set auth 0 0 %d\r\n%b\r\n" % (len(who), who), b"STORED")
        return self._streams

    async def _ask(self, words: bytes, *answers: bytes) -> bytes:
        reader, writer = await self._open()
        writer.write(words)
        line = await reader.readuntil(b"\r\n")
        if not line.startswith(answers):
            raise OSError(line.decode(errors="replace").strip())
        return line

    async def get(self, name: str) -> bytes | None:
        line = await self._ask(f"get {name}\r\n".encode(), f"VALUE {name} ".encode(), b"END")
        if line.startswith(b"END"):
            return None
        reader, _ = await self._open()
        value = await reader.readexactly(int(line.split()[3]))
        await reader.readuntil(b"END\r\n")
        return value

    async def set(self, name: str, value: bytes, ttl: int) -> None:
        end = ttl if ttl <= LONGEST_SPAN else int(time.time()) + ttl
        await self._ask(f"set {name} 0 {end} {len(value)}\r\n".encode() + value + b"\r\n", b"STORED")

    async def delete(self, name: str) -> None:
        await self._ask(f"delete {name}\r\n".encode(), b"DELETED", b"NOT_FOUND")

    async def close(self, *, wait: bool) -> None:
        if self._streams:
            self._streams[1].close()
            if wait:
                with suppress(OSError):  # it had been lost
                    await self._streams[1].wait_closed()


class _Memory:
    """The memory of this process. It never waits, so a cache opens one and no second."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[bytes, float]] = {}

    async def get(self, name: str) -> bytes | None:
        value, end = self._kept.get(name, (None, 0.0))
        return value if time.monotonic() < end else None

    async def set(self, name: str, value: bytes, ttl: int) -> None:
        self._kept.pop(name, None)
        if len(self._kept) >= MEMORY_VALUES:
            del self._kept[next(iter(self._kept))]  # the oldest
        self._kept[name] = value, time.monotonic() + ttl

    async def delete(self, name: str) -> None:
        self._kept.pop(name, None)

    async def close(self, *, wait: bool) -> None:
        pass
