"""Create the queue."""

from importlib.resources import files

from alembic import op

revision = "platform_0001"
down_revision = None
branch_labels = ("platform",)
depends_on = None

# The library brings its schema as a series of steps, which only ever grows. A later version's are a later migration's.
LAST_STEP = "03.04.00_50_post_add_retry_failed_job_procedure.sql"


def upgrade() -> None:
    """Adds the library's tables and functions, and what tells effects, errors and ticks of jobs."""
    folder = files("procrastinate") / "sql" / "migrations"
    for step in sorted((step for step in folder.iterdir() if step.name.endswith(".sql")), key=lambda step: step.name):
        if step.name <= LAST_STEP:
            op.execute(step.read_text())
    # The reference of an effect is checked at its commit: sooner, it would lock the job for those who run it again. So
    # what a job has done is undone if it was deleted meanwhile.
    op.execute(
        """
        CREATE TABLE job_effects (
            job_id bigint PRIMARY KEY
                REFERENCES procrastinate_jobs ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
        );
        CREATE TABLE job_errors (
            job_id bigint REFERENCES procrastinate_jobs ON DELETE CASCADE,
            attempt integer,
            at timestamptz NOT NULL DEFAULT now(),
            error text NOT NULL,
            PRIMARY KEY (job_id, attempt)
        );
        CREATE TABLE job_ticks (
            job text PRIMARY KEY,
            at timestamptz NOT NULL
        );
        CREATE INDEX procrastinate_jobs_failed ON procrastinate_jobs (id) WHERE status = 'failed';
        """
    )


def downgrade() -> None:
    """Is not possible: the library's schema has no way back."""
    raise NotImplementedError("The queue stays: jobs may be waiting in it.")
