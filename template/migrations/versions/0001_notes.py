"""Create the notes."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the table; its ids are UUIDs of version 7, which ascend with time."""
    op.execute(
        """
        CREATE TABLE notes (
            id uuid PRIMARY KEY DEFAULT uuidv7(),
            text text NOT NULL,
            author text,
            created_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )


def downgrade() -> None:
    """Drops the table and every note."""
    op.execute("DROP TABLE notes")
