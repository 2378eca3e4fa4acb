"""A person's data, in all features: what is kept, and its end."""

from __future__ import annotations

import json
import sys

import structlog

from .. import parts
from . import Admin, one_off

log = structlog.get_logger()


@one_off(prints=True)
async def export_person(admin: Admin, email: str) -> None:
    """Prints everything that is kept about a person, as JSON."""
    async with admin.resources.postgres.connection() as connection, connection.transaction():
        kept = {
            module.__name__.split(".")[-2]: await module.export(connection, email)
            for module in parts.of_features("people")
        }
    json.dump(kept, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


@one_off()
async def purge_person(admin: Admin, email: str) -> None:
    """Erases a person from everything that is attached. Run again, it finds nothing and changes nothing."""
    found: dict[str, int] = {}
    async with admin.resources.postgres.connection() as connection, connection.transaction():
        for module in parts.of_features("people"):
            found |= await module.purge(admin.resources, connection, email)
    log.info("purged", **found)  # numbers only: the event must not keep what was erased
