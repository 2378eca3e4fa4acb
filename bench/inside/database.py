"""What is done to the database, with the packages of the service: `serve FOLDER`, `lock SECONDS` or `ask`."""

import json
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


def ask() -> None:
    """Runs a statement for each line, [statement, values], in one session; says its rows, or what is wrong with it."""
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        for line in sys.stdin:
            statement, values = json.loads(line)
            try:
                cursor = connection.execute(statement, values or None)
                rows = cursor.fetchall() if cursor.description else []
                _say(json.dumps({"rows": rows}, default=str))
            except psycopg.Error as error:
                _say(json.dumps({"error": str(error)}))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    {"serve": serve, "lock": lock, "ask": ask}[sys.argv[1]](*sys.argv[2:])
