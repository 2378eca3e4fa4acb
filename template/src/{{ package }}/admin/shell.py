"""`admin shell`: Python with the service's settings and a connection to its database."""

from __future__ import annotations

import code
import sys

import psycopg

from . import Admin, one_off

BANNER = "settings: the configuration; connection: to the database, each statement a transaction of its own"


@one_off(prints=True)
async def shell(admin: Admin) -> None:
    """Opens Python with `settings` and `connection`; runs what it is sent when nobody types."""
    with psycopg.connect(admin.settings.secret("database_url"), autocommit=True) as connection:
        names = {"settings": admin.settings, "connection": connection}
        if sys.stdin.isatty():
            code.interact(BANNER, local=names, exitmsg="")
        else:
            exec(compile(sys.stdin.read(), "<stdin>", "exec"), names)  # noqa: S102  that is what a shell is for
