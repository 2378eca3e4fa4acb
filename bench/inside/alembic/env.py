"""Alembic's entry, as its own template writes it."""

import os

from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

URL = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:", 1)

with create_engine(URL, poolclass=NullPool).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
