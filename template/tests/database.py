"""The PostgreSQL of the tests: the same one as in development, for as long as they run."""

from contextlib import AbstractContextManager
from pathlib import Path

from dev import postgres


def server(folder: Path) -> AbstractContextManager[str]:
    """Starts a server with its data below `folder`; gives the URL of an empty database."""
    return postgres.server(folder, durable=False)
