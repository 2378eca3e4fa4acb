"""The release phase: brings the attached database to the schema that this code expects.

Any number may run at once: one migrates, and the others wait and find nothing left to do.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import structlog
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from .settings import Settings

log = structlog.get_logger()

LOCK = 7_809_253  # the advisory lock of this phase; any number that nothing else in the database uses
PAUSE_SECONDS = 0.2
PATIENCE_SECONDS = 600.0


def run(settings: Settings) -> int:
    """Migrates to the newest revision of every branch; returns the exit code."""
    url = settings.secret("database_url")
    try:
        with _only_one(url):
            _upgrade(url)
    except (psycopg.OperationalError, CommandError) as error:
        log.error("the database cannot be migrated", reason=str(error))
        return 1
    log.info("released")
    return 0


def _upgrade(url: str) -> None:
    # `creator` hands the URL to the driver as it is; SQLAlchemy reads URLs by rules of its own.
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    with engine.connect() as connection:
        config = Config(attributes={"connection": connection, "applied": _log_applied})
        config.set_main_option("script_location", str(migrations()))
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", "\n".join(str(folder) for folder in version_folders()))
        command.upgrade(config, "heads")


def migrations() -> Path:
    """The folder of the migrations: inside the package once it is built, beside `src` in a checkout."""
    package = Path(__file__).parent
    built = package / "migrations"
    return built if built.is_dir() else package.parents[1] / "migrations"


def version_folders() -> list[Path]:
    """The branches of migrations: the service's own, and the platform's where there are any."""
    return [folder for name in ("platform", "versions") if (folder := migrations() / name).is_dir()]


@contextmanager
def _only_one(url: str) -> Iterator[None]:
    # Asked for again and again, never waited for: a session that waits inside PostgreSQL holds a snapshot, and
    # CREATE INDEX CONCURRENTLY in the migration that it waits for would wait for it in turn.
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,)).fetchone() != (True,):
            if time.monotonic() > deadline:
                raise psycopg.OperationalError(f"another release has been running for {PATIENCE_SECONDS:.0f} seconds")
            time.sleep(PAUSE_SECONDS)
        yield


def _log_applied(*, step: Any, **_: Any) -> None:
    log.info("migrated", revision=step.up_revision_id, about=step.up_revision.doc)
