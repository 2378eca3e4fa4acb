"""What changes the schema of a database, seen by the database itself."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import sql

from .databases import WAITING, Database

SCHEMA = "twelvefold_watch"
# An attempt is counted by a sequence, which no rollback takes back; what was done is noted in the same transaction.
WATCH = """
    CREATE SCHEMA {schema};
    CREATE SEQUENCE {schema}.attempts;
    CREATE TABLE {schema}.statements (tag text, object text);
    CREATE FUNCTION {schema}.attempted() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF tg_tag <> 'REFRESH MATERIALIZED VIEW' AND current_query() !~* '\\mtemp(orary)?\\M' THEN
            PERFORM nextval('{schema}.attempts');
        END IF;
    END $$;
    CREATE FUNCTION {schema}.done() RETURNS event_trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$
    BEGIN
        INSERT INTO {schema}.statements
            SELECT command_tag, object_identity FROM pg_event_trigger_ddl_commands()
            WHERE schema_name IS DISTINCT FROM 'pg_temp' AND command_tag <> 'REFRESH MATERIALIZED VIEW';
        IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE {gated} IN ('*', object_identity)) THEN
            PERFORM pg_advisory_xact_lock_shared({gate});
        END IF;
    END $$;
    CREATE FUNCTION {schema}.dropped() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO {schema}.statements
            SELECT tg_tag, object_identity FROM pg_event_trigger_dropped_objects() WHERE original AND NOT is_temporary;
    END $$;
    CREATE EVENT TRIGGER twelvefold_dropped ON sql_drop EXECUTE FUNCTION {schema}.dropped();
    CREATE EVENT TRIGGER twelvefold_done ON ddl_command_end EXECUTE FUNCTION {schema}.done();
    CREATE EVENT TRIGGER twelvefold_attempted ON ddl_command_start EXECUTE FUNCTION {schema}.attempted();
"""


@dataclass(frozen=True)
class Watch:
    """Follows the statements that change a schema."""

    database: Database
    gate: int

    def attempts(self) -> int:
        """How many such statements were begun, even those that had no effect or were taken back."""
        return int(self.database.value(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {SCHEMA}.attempts"))

    def statements(self) -> Counter[tuple[str, str]]:
        """What was done and committed, each with how often: `("CREATE TABLE", "public.notes")`."""
        return Counter(self.database.rows(f"SELECT tag, object FROM {SCHEMA}.statements"))

    def schema(self) -> list[tuple[object, ...]]:
        """Every column of every table, but for those of the watch."""
        return [column for column in self.database.schema() if column[0] != SCHEMA]

    def waiting(self) -> bool:
        """Whether somebody waits at the gate, or for whoever does."""
        return bool(self.database.rows(WAITING))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lets nobody past the gate as long as the context lasts."""
        with self.database.connect() as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (self.gate,))
            yield


def watch(database: Database, gated: str = "*") -> Watch:
    """Begins to watch; the gate, which is open, stands behind every statement, or behind those on one object."""
    gate = secrets.randbits(60)
    words = {"schema": sql.Identifier(SCHEMA), "gated": sql.Literal(gated), "gate": sql.Literal(gate)}
    with database.connect() as connection:
        connection.execute(sql.SQL(WATCH.replace("'{schema}.", f"'{SCHEMA}.")).format(**words))
    return Watch(database, gate)
