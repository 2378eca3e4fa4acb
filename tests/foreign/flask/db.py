import os

import psycopg
from psycopg.rows import dict_row

DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql://things:things@localhost:5432/things")

SCHEMA = """
CREATE TABLE IF NOT EXISTS things (
    id serial PRIMARY KEY,
    name text NOT NULL,
    slug text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS jobs (
    id serial PRIMARY KEY,
    thing_id integer NOT NULL
);
"""


def connect():
    return psycopg.connect(DATABASE_URL, row_factory=dict_row)


def migrate():
    with connect() as conn:
        # gunicorn's workers all start at once, and postgres does not like that
        conn.execute("SELECT pg_advisory_xact_lock(4711)")
        conn.execute(SCHEMA)
