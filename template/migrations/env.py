"""Alembic's entry: runs the migrations on the connection that the release phase opened."""

from alembic import context

options = context.config.attributes

context.configure(
    connection=options["connection"],
    transaction_per_migration=True,
    on_version_apply=options["applied"],
)
with context.begin_transaction():
    context.run_migrations()
