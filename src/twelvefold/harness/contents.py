"""What a database holds, whatever its tables are called."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from hashlib import md5, sha1, sha256
from urllib.parse import quote

import psycopg
from psycopg import sql

from . import migrating
from .databases import Database

# Every place with rows of its own, materialised views among them; a partitioned table has none.
PLACES = """
    SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'm') AND nspname NOT IN ('pg_catalog', 'information_schema', %(own)s)
        AND nspname !~ '^pg_(toast|temp)' ORDER BY 1, 2
"""
DIGEST = "SELECT count(*), md5(string_agg(row::text, '|' ORDER BY row::text)) FROM {} AS row"
HOLDING = "SELECT row::text FROM {} AS row WHERE lower(row::text) ~ {} ORDER BY 1"
LARGE = "SELECT loid::text FROM pg_largeobject WHERE position(%s in encode(data, 'escape')) > 0"


def digests(database: Database) -> dict[str, tuple[int, str]]:
    """For each table how many rows it has, and a digest of them."""
    found = {}
    with database.connect() as connection:
        for place in _places(connection):
            row = connection.execute(sql.SQL(DIGEST).format(sql.Identifier(*place))).fetchone()
            assert row
            found[".".join(place)] = (int(row[0]), str(row[1]))
    return found


def rows_with(database: Database, words: Iterable[str]) -> dict[str, list[str]]:
    """For each table the rows that have one of the words somewhere, in whatever case, as text or as bytes."""
    wanted = [word.lower() for word in words]
    pattern = "|".join(re.escape(form) for word in wanted for form in (word, word.encode().hex()))
    found = {}
    with database.connect() as connection:
        for place in _places(connection):
            query = sql.SQL(HOLDING).format(sql.Identifier(*place), sql.Literal(pattern))
            if rows := connection.execute(query).fetchall():
                found[".".join(place)] = [str(text) for (text,) in rows]
        for word in wanted:
            if objects := connection.execute(LARGE, (word,)).fetchall():
                found["large objects"] = [str(one) for (one,) in objects]
    return found


def forms(email: str) -> list[str]:
    """What an address may look like; one that is hashed still stands for somebody."""
    hashed = [kind(text.encode()).hexdigest() for kind in (md5, sha1, sha256) for text in {email, email.lower()}]
    written = [email, quote(email, safe=""), email.replace("@", "\\u0040"), b64encode(email.encode()).decode()]
    return list(dict.fromkeys([*written, *hashed]))


def _places(connection: psycopg.Connection[tuple[object, ...]]) -> list[tuple[str, str]]:
    rows = connection.execute(PLACES, {"own": migrating.SCHEMA}).fetchall()
    return [(str(schema), str(table)) for schema, table in rows]
