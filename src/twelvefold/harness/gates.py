"""Gates in the transaction of a job: it waits there, from outside, until the experiment opens them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import sql

from .databases import Database

# Not a sleep: whoever waits at a gate stands there for sure, however slow the machine is.
GATES = """
    CREATE FUNCTION twelvefold_gate() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint);
        RETURN NEW;
    END $$;
    CREATE TRIGGER twelvefold_write BEFORE INSERT OR UPDATE ON {table}
        FOR EACH ROW EXECUTE FUNCTION twelvefold_gate({write});
    CREATE CONSTRAINT TRIGGER twelvefold_commit AFTER INSERT OR UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION twelvefold_gate({commit});
"""


@dataclass(frozen=True)
class Gates:
    """The gates of a table: before a row is written, and before a transaction that has written one commits."""

    database: Database
    write: int
    commit: int

    @contextmanager
    def closed(self, gate: int) -> Iterator[None]:
        """Keeps a gate closed as long as the context lasts."""
        with self.database.connect() as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (gate,))
            yield


def build(database: Database, table: str) -> Gates:
    """Builds the gates; they are open."""
    numbers = [secrets.randbits(60) for _ in range(2)]
    words = {"table": sql.Identifier(*table.split(".")), "write": sql.Literal(str(numbers[0]))}
    with database.connect() as connection:
        connection.execute(sql.SQL(GATES).format(**words, commit=sql.Literal(str(numbers[1]))))
    return Gates(database, *numbers)
