"""What is done to the database, with the packages of the service: `serve FOLDER`, `lock SECONDS` or `count TEXT`."""

import os
import sys
import time
from pathlib import Path


def serve(folder: str) -> None:
    """Runs a server, says the URL of its database, and stops when the standard input ends."""
    from dev import postgres

    with postgres.server(Path(folder), durable=False) as url:
        _say(url)
        sys.stdin.read()


def lock(seconds: str) -> None:
    """Keeps everybody from the notes for a time, once it has said that it does."""
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute("LOCK TABLE notes")
        _say("locked")
        time.sleep(float(seconds))


def count(text: str) -> None:
    """Says how many notes have this text."""
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT count(*) FROM notes WHERE text = %s", (text,)).fetchone()
        _say(str(row[0] if row else 0))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    {"serve": serve, "lock": lock, "count": count}[sys.argv[1]](sys.argv[2])
