<%! quoted = lambda value: repr(value).replace("'", '"') %>\
"""${message}."""

from alembic import op

revision = ${quoted(up_revision)}
down_revision = ${quoted(down_revision)}
branch_labels = ${quoted(branch_labels)}
depends_on = ${quoted(depends_on)}


def upgrade() -> None:
    """Only adds what the release before this one can live with: a rollback runs its code on this schema."""
    ${upgrades if upgrades else 'op.execute("")'}


def downgrade() -> None:
    """Takes the change back, for development."""
    ${downgrades if downgrades else 'op.execute("")'}
