"""${message}."""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Only adds what the release before this one can live with: a rollback runs its code on this schema."""
    ${upgrades if upgrades else "op.execute('')"}


def downgrade() -> None:
    """Takes the change back, for development."""
    ${downgrades if downgrades else "op.execute('')"}
