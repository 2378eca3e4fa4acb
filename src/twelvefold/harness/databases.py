"""Private databases on a private PostgreSQL, and what an experiment does to them behind the service's back."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql

from . import postgres
from .claim import Violation
from .processes import eventually

AUDIT = "twelvefold_effects"
# Whatever is written to the table is counted in the same transaction, by row, and may be made slow.
COUNT_EFFECTS = f"""
    CREATE TABLE {AUDIT} (row_id text, at timestamptz DEFAULT clock_timestamp(), pid int DEFAULT pg_backend_pid());
    CREATE FUNCTION {AUDIT}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO {AUDIT} (row_id) VALUES (to_jsonb(NEW) ->> 'id');
        RETURN NEW;
    END $$;
"""
BE_SLOW = """
    CREATE FUNCTION twelvefold_slow() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_sleep({seconds});
        RETURN NEW;
    END $$;
    CREATE TRIGGER twelvefold_slow BEFORE {events} ON {table} FOR EACH ROW EXECUTE FUNCTION twelvefold_slow();
"""
OPTION = "twelvefold.attached"
# Who connects without what the options in the URL say is noted.
NOTE_SESSIONS = f"""
    CREATE TABLE twelvefold_sessions (at timestamptz DEFAULT now());
    CREATE FUNCTION twelvefold_sessions() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        IF current_setting('{OPTION}', true) IS DISTINCT FROM 'on' THEN
            INSERT INTO public.twelvefold_sessions DEFAULT VALUES;
        END IF;
    END $$;
    CREATE EVENT TRIGGER twelvefold_sessions ON login EXECUTE FUNCTION twelvefold_sessions();
"""
WAITING = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()
"""
OPEN_SESSIONS = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = %(name)s AND backend_type = 'client backend'
"""
# A sequence keeps its count when the transaction is rolled back.
FAIL = """
    CREATE SEQUENCE twelvefold_failures;
    CREATE FUNCTION twelvefold_fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        PERFORM nextval('twelvefold_failures');
        RAISE EXCEPTION 'this write was made to fail';
    END $$;
    CREATE TRIGGER twelvefold_fail BEFORE {events} ON {table} FOR EACH ROW EXECUTE FUNCTION twelvefold_fail();
"""
KEEP_ROWS = """
    CREATE TEMPORARY TABLE twelvefold_kept AS SELECT * FROM {table} AS entry WHERE strpos(entry::text, {text}) > 0
"""
FAIL_NO_MORE = "DROP FUNCTION twelvefold_fail CASCADE; DROP SEQUENCE twelvefold_failures"
SCHEMA = """
    SELECT table_schema, table_name, column_name, data_type, is_nullable, column_default
    FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
    ORDER BY 1, 2, 3
"""

_numbers = itertools.count(1)


class Server:
    """A PostgreSQL of this process's own."""

    def __init__(self, url: str) -> None:
        self.url = url
        """The URL of the superuser, at the database `app`."""
        self._released: str | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 5432)

    def create(self, template: str = "template1") -> Database:
        """A new database, as a copy of another one to which nobody is connected."""
        return Database(postgres.create_database(self.url, f"claim_{next(_numbers)}", template=template))

    def copy(self, database: Database, *, intricate: bool = False) -> Database:
        """A copy of a database under another name, for another user: of its URL only the server is the same.

        An intricate URL has a password that is written otherwise in it, and options; who connects without these is
        noted. Raises Violation when somebody is connected to the database.
        """
        try:
            copied = self.create(database.name)
        except psycopg.errors.ObjectInUse as error:
            raise Violation(f"expected nobody to be connected to a stopped deploy's database, saw: {error}") from None
        user, password = f"{copied.name}_user", secrets.token_urlsafe(12) + ("@:/%?" if intricate else "")
        with psycopg.connect(self.url, autocommit=True) as connection:
            create = sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}")
            connection.execute(create.format(sql.Identifier(user), sql.Literal(password)))
        if intricate:
            with copied.connect() as connection:
                connection.execute(NOTE_SESSIONS)
        host, port = self.address
        place = f"{user}:{quote(password, safe='')}@{host}:{port}"
        query = f"options=-c%20{OPTION}%3Don" if intricate else ""
        return Database(urlsplit(copied.url)._replace(netloc=place, query=query).geturl())

    def sessions(self, database: Database) -> int:
        """How many sessions a database has had in all, once those that are ending have ended."""
        with psycopg.connect(self.url, autocommit=True) as connection:

            def read(query: str) -> int:
                row = connection.execute(query, {"name": database.name}).fetchone()
                return int(row[0]) if row else 0

            eventually(lambda: not read(OPEN_SESSIONS), "the last sessions to end", 10)
            return read("SELECT sessions FROM pg_stat_database WHERE datname = %(name)s")

    def drop(self, database: Database) -> None:
        """Removes a database and ends all its connections."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database.name)))


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """Runs a server with its data below `folder`, as long as the context lasts."""
    with postgres.server(folder, durable=False) as url:
        yield Server(url)


TIMES = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
        AND atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
"""


@dataclass(frozen=True)
class Database:
    """One database; `url` is the address at which the server itself listens."""

    url: str

    @property
    def name(self) -> str:
        """What the server calls it."""
        return urlsplit(self.url).path.lstrip("/")

    def at(self, port: int) -> str:
        """The URL of the same database behind a proxy on this machine."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}").geturl()

    def connect(self) -> psycopg.Connection[Any]:
        """A connection of the experiment's own."""
        return psycopg.connect(self.url, autocommit=True, application_name="twelvefold")

    def rows(self, query: str, values: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        """Asks the database; for a statement without an answer there are no rows."""
        with self.connect() as connection:
            cursor = connection.execute(query, values)
            return [] if cursor.description is None else cursor.fetchall()  # a row may have no columns

    def value(self, query: str, values: Mapping[str, object] | None = None) -> Any:
        """The first field of the first row; None when there is none."""
        rows = self.rows(query, values)
        return rows[0][0] if rows else None

    def count(self, table: str) -> int:
        """How many rows a table has."""
        with self.connect() as connection:
            found = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(_table(table))).fetchone()
            return int(found[0]) if found else 0

    def schema(self) -> list[tuple[Any, ...]]:
        """Every column of every table."""
        return self.rows(SCHEMA)

    def connections(self) -> int:
        """How many sessions others than the experiment's own have here now."""
        found = self.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND application_name <> 'twelvefold'"
        )
        return int(found)

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Holds a lock on a table: whoever reads or writes it waits until the context ends."""
        with psycopg.connect(self.url, application_name="twelvefold") as connection:
            connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(_table(table)))
            yield
            connection.rollback()

    def wait_for_waiting(self, sessions: int = 1, seconds: float = 10) -> None:
        """Waits until so many sessions wait for a lock; raises Violation when they do not."""
        eventually(
            lambda: len(self.rows(WAITING)) >= sessions, f"{sessions} session(s) to wait for the held lock", seconds
        )

    def count_effects(self, table: str) -> None:
        """From now on, each row that is written to the table is counted, in the transaction that writes it."""
        with self.connect() as connection:
            connection.execute(COUNT_EFFECTS)
            trigger = f"CREATE TRIGGER {AUDIT} AFTER INSERT OR UPDATE ON {{}} FOR EACH ROW EXECUTE FUNCTION {AUDIT}()"
            connection.execute(sql.SQL(trigger).format(_table(table)))

    def effects(self) -> dict[str, int]:
        """How often each row was written since `count_effects`, by its id."""
        return dict(self.rows(f"SELECT row_id, count(*) FROM {AUDIT} GROUP BY row_id"))

    @contextmanager
    def failing(self, table: str, events: str) -> Iterator[Callable[[], int]]:
        """Makes writes to a table fail as long as the context lasts; it gives how many have failed so far."""
        with self.connect() as connection:
            connection.execute(sql.SQL(FAIL).format(events=sql.SQL(events), table=_table(table)))
            count = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM twelvefold_failures"
            try:
                yield lambda: int(self.value(count))
            finally:
                connection.execute(FAIL_NO_MORE)

    def age(self, table: str, days: int) -> None:
        """Makes the rows of a table as much older, by all their times; those that may not be stay as they are."""
        with self.connect() as connection:
            columns = connection.execute(TIMES, {"table": str(_table(table).as_string(connection))}).fetchall()
            for (column,) in columns:
                text = "UPDATE {} SET {column} = {column} - make_interval(days => {days})"
                with suppress(psycopg.Error):
                    connection.execute(
                        sql.SQL(text).format(_table(table), column=sql.Identifier(column), days=sql.Literal(days))
                    )

    @contextmanager
    def without(self, table: str, text: str) -> Iterator[None]:
        """Takes the rows that hold a text out of a table, as long as the context lasts."""
        names = {"table": _table(table), "text": sql.Literal(text)}
        with self.connect() as connection:
            for statement in (KEEP_ROWS, "DELETE FROM {table} AS entry WHERE strpos(entry::text, {text}) > 0"):
                connection.execute(sql.SQL(statement).format(**names))
            try:
                yield
            finally:
                connection.execute(sql.SQL("INSERT INTO {table} SELECT * FROM twelvefold_kept").format(**names))

    def holding(self, table: str, text: str) -> int:
        """How many rows of a table hold a text, in whichever column."""
        query = sql.SQL("SELECT count(*) FROM {} AS entry WHERE strpos(entry::text, {}) > 0")
        with self.connect() as connection:
            found = connection.execute(query.format(_table(table), sql.Literal(text))).fetchone()
            return int(found[0]) if found else 0

    def sessions_without_options(self) -> int:
        """How many sessions an intricate copy has had that began without the options in its URL."""
        return self.count("twelvefold_sessions")

    def slow_down(self, table: str, seconds: float, events: str = "UPDATE") -> None:
        """From now on, each row of the table takes so long to write."""
        with self.connect() as connection:
            text = sql.SQL(BE_SLOW)
            connection.execute(text.format(seconds=sql.Literal(seconds), events=sql.SQL(events), table=_table(table)))


def _table(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))
