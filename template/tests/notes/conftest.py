import psycopg
import pytest


@pytest.fixture(autouse=True)
def _no_notes(connection: psycopg.Connection) -> None:
    connection.execute("TRUNCATE notes")
