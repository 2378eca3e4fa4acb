"""What routes and the server share: the state of the process, its database, links."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from ..resources.postgres import Postgres


@dataclass
class Lifecycle:
    """Where the process stands.

    Draining means that it was told to stop, still answers, and wants no new work; `cut_off` counts the requests that
    did not finish within the grace time.
    """

    draining: bool = False
    cut_off: int = 0


async def _database(request: Request) -> Postgres:
    database: Postgres = request.app.state.resources.postgres
    return database


Database = Annotated[Postgres, Depends(_database)]


def link(request: Request, path: str) -> str:
    """The address of `path` as clients reach it: below PUBLIC_URL, or relative to this host without it."""
    base = request.app.state.settings.public_url
    return f"{str(base).rstrip('/')}{path}" if base else path
