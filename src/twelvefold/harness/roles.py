"""A database user whose password the experiment knows, changes and revokes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from .databases import Database

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Role:
    """A user who may do everything, in one database."""

    database: Database
    name: str

    def set_password(self, password: str) -> None:
        """From now on this password opens new sessions, and no other one does."""
        self._do("ALTER ROLE {} PASSWORD {}", sql.Identifier(self.name), sql.Literal(password))

    def end_sessions(self) -> None:
        """Ends every session that the user has."""
        self.database.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %(n)s", {"n": self.name}
        )

    def sessions(self) -> int:
        """How many sessions the user has in the database."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %(n)s AND datname = current_database()"
        return int(self.database.value(query, {"n": self.name}))

    def is_let_in(self, url: str) -> bool:
        """Whether a URL opens a session."""
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _do(self, statement: str, *parts: sql.Composable) -> None:
        with self.database.connect() as connection:
            connection.execute(sql.SQL(statement).format(*parts))


@contextmanager
def role(database: Database, password: str) -> Iterator[Role]:
    """A new user, who is gone with all sessions when the context ends."""
    made = Role(database, f"role_{os.getpid()}_{next(_numbers)}")
    name = sql.Identifier(made.name)
    made._do("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}", name, sql.Literal(password))
    try:
        yield made
    finally:
        made._do("ALTER ROLE {} NOLOGIN", name)
        made.end_sessions()
        made._do("REASSIGN OWNED BY {} TO CURRENT_USER", name)
        made._do("DROP ROLE {}", name)
