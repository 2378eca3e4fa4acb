"""The attached resources: one module for each, opened from one URL and swapped by changing it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from ..settings import Settings
from .postgres import Postgres

PING_SECONDS = 1.0


class Resource(Protocol):
    """What every attached resource can do."""

    async def open(self) -> None:
        """Starts connecting, and does not wait for the resource to be there."""

    async def close(self) -> None:
        """Gives the connections back."""

    async def ping(self) -> None:
        """Asks the resource for a sign of life; raises when there is none."""


@dataclass(frozen=True)
class Resources:
    """The resources of one process."""

    postgres: Postgres

    async def failures(self) -> dict[str, str | None]:
        """Each resource by name, with the kind of failure, or None where it answers in time."""
        names = list(vars(self))
        return dict(zip(names, await asyncio.gather(*(_failure(vars(self)[name]) for name in names)), strict=True))


async def _failure(resource: Resource) -> str | None:
    ping = asyncio.create_task(resource.ping())
    ping.add_done_callback(lambda task: task.cancelled() or task.exception())
    answered, _ = await asyncio.wait({ping}, timeout=PING_SECONDS)
    if not answered:
        ping.cancel()  # and not waited for: a driver says goodbye to a server that may be frozen
        return "TimeoutError"
    error = ping.exception()
    return type(error).__name__ if error else None


@asynccontextmanager
async def attached(settings: Settings) -> AsyncIterator[Resources]:
    """Opens all resources, and closes them in reverse order."""
    resources = Resources(postgres=Postgres(settings))
    async with AsyncExitStack() as stack:
        for resource in vars(resources).values():
            await resource.open()
            stack.push_async_callback(resource.close)
        yield resources
