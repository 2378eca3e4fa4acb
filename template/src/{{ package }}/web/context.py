"""What a route may ask for."""

from typing import Annotated

from fastapi import Depends, Request

from ..resources.postgres import Postgres


async def _database(request: Request) -> Postgres:
    database: Postgres = request.app.state.resources.postgres
    return database


Database = Annotated[Postgres, Depends(_database)]


def link(request: Request, path: str) -> str:
    """The address of `path` as clients reach it: below PUBLIC_URL, or relative to this host without it."""
    base = request.app.state.settings.public_url
    return f"{str(base).rstrip('/')}{path}" if base else path
