"""A person's data, in all features: what is kept, and its end."""

from __future__ import annotations

import json
import re
import sys
from contextlib import AsyncExitStack
from types import ModuleType

import structlog

from .. import parts
from ..features import FEATURES
from . import Admin, OneOffError, one_off

log = structlog.get_logger()

EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def _modules() -> dict[str, ModuleType]:
    """The module `people` of every feature, by the feature's name."""
    found = {module.__name__.split(".")[-2]: module for module in parts.of_features("people")}
    if silent := set(FEATURES) - found.keys():
        raise OneOffError(f"a module `people` must tell what is kept about a person: add one to {', '.join(silent)}")
    return found


def _check(email: str) -> None:
    if not EMAIL.fullmatch(email):
        raise OneOffError("name a person by an e-mail address, as in ada@example.com")


@one_off(prints=True)
async def export_person(admin: Admin, email: str) -> None:
    """Prints everything that is kept about a person, as JSON."""
    _check(email)
    async with admin.resources.postgres.connection() as connection, connection.transaction():
        kept = {feature: await module.export(connection, email) for feature, module in _modules().items()}
    json.dump(kept, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


@one_off()
async def purge_person(admin: Admin, email: str) -> None:
    """Erases a person from everything that is attached. Run again, it finds nothing and changes nothing."""
    _check(email)
    found: dict[str, dict[str, int]] = {}
    # What is put into `afterwards` is done once the transaction is over.
    async with (
        AsyncExitStack() as afterwards,
        admin.resources.postgres.connection() as connection,
        connection.transaction(),
    ):
        for feature, module in _modules().items():
            found[feature] = await module.purge(admin.resources, connection, email, afterwards)
    log.info("purged", **found)  # numbers only: the event must not keep what was erased
