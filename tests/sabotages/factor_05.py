"""Sabotages of factor V, build, release, run."""

from . import Edit, Sabotage

HOOK = '''"""What a build does beside packing."""

import os
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Hook(BuildHookInterface):
    def initialize(self, version, build_data):
        database = {read}
        place = Path(self.root, "build-info")
        place.write_text(database)
        build_data["force_include"][str(place)] = "orders/build-info"
'''
USE_HOOK = Edit(
    "pyproject.toml",
    "[tool.hatch.build.targets.wheel.force-include]\n",
    "[tool.hatch.build.targets.wheel.hooks.custom]\n\n[tool.hatch.build.targets.wheel.force-include]\n",
)
COPY_HOOK = Edit("Dockerfile", "COPY README.md ./\n", "COPY README.md hatch_build.py ./\n")
LIFESPAN = "        async with attached(settings) as resources:\n"
ASSET = """\
        from urllib.request import urlopen

        with suppress(OSError):
            urlopen("http://127.0.0.1:9/logo.svg", timeout=1)
"""
MIGRATION = '''"""{about}."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """{about}."""
    op.execute("""{statement}""")


def downgrade() -> None:
    """Is not possible."""
    raise NotImplementedError
'''


def migrating(name: str, statement: str, *edits: Edit) -> Sabotage:
    """A release whose migration takes from the one before what that one needs."""
    file = Edit(
        "migrations/versions/0002_change.py", "", MIGRATION.format(about="Change the notes", statement=statement)
    )
    return Sabotage("V.4", name, (file, *edits), neighbours=("XII.2", "XII.3", "VII.1"))


SABOTAGES = [
    Sabotage(
        "V.1",
        "the package tells the database of where it was built",
        (
            Edit("hatch_build.py", "", HOOK.format(read='os.environ.get("DATABASE_URL", "none")')),
            USE_HOOK,
            COPY_HOOK,
        ),
        neighbours=("V.2", "XII.1", "VII.1"),
        also=("I.1",),
    ),
    Sabotage(
        "V.1",
        "the package cannot be built without DATABASE_URL",
        (Edit("hatch_build.py", "", HOOK.format(read='os.environ["DATABASE_URL"]')), USE_HOOK, COPY_HOOK),
        neighbours=("V.2", "XII.1", "VII.1"),
        also=("I.1", "I.3", "II.1", "II.2"),
    ),
    Sabotage(
        "V.1",
        "the image has the address of its cache",
        (
            Edit(
                "Dockerfile",
                "    PYTHONUNBUFFERED=1\n",
                "    PYTHONUNBUFFERED=1 \\\n    CACHE_URL=valkey://cache:6379\n",
            ),
        ),
        neighbours=("V.2", "XII.1", "VII.1"),
    ),
    Sabotage(
        "V.1",
        "the build is told where clients reach the service",
        (Edit("Makefile", "--build-arg VERSION=$(VERSION) \\", "--build-arg VERSION=$(VERSION)-$(PUBLIC_URL) \\"),),
        neighbours=("V.2", "XII.1", "VII.1"),
    ),
    Sabotage(
        "V.2",
        "make run takes latest for the last release",
        (
            Edit(
                "dev/ledger.py",
                "        for release in self.releases:\n            if release.id == name:\n",
                "        for release in self.releases:\n"
                '            if release.id == name or (name == "latest" and release is self.releases[-1]):\n',
            ),
        ),
        neighbours=("V.1", "XII.1"),
    ),
    Sabotage(
        "V.2",
        "a release names its image by a tag",
        (Edit("dev/stack.py", 'return (pushed or [about["Id"]])[0], commit', "return reference, commit"),),
        neighbours=("V.1", "XII.2"),
        also=("XII.1", "X.3"),
    ),
    Sabotage(
        "V.2",
        "an old release runs with a new configuration",
        (
            Edit(
                "dev/ledger.py",
                "        if fingerprint(services.configuration) != chosen.configuration:\n",
                "        if not chosen.configuration:\n",
            ),
        ),
        neighbours=("V.1", "XII.1"),
    ),
    Sabotage(
        "V.2",
        "the record holds the last two releases",
        (
            Edit(
                "dev/ledger.py",
                "        size = os.fstat(self._file).st_size\n",
                "        kept = LEDGER.read_text().splitlines(keepends=True)[-1:] if LEDGER.exists() else []\n"
                '        LEDGER.write_text("".join(kept))\n'
                "        size = os.fstat(self._file).st_size\n",
            ),
        ),
        neighbours=("V.1", "XII.2"),
        also=("XII.1", "X.3"),
    ),
    Sabotage(
        "V.3",
        "web downloads an asset when it starts",
        (
            Edit(
                "src/orders/web/app.py",
                "from contextlib import asynccontextmanager\n",
                "from contextlib import asynccontextmanager, suppress\n",
            ),
            Edit("src/orders/web/app.py", LIFESPAN, ASSET + LIFESPAN),
        ),
        neighbours=("V.1", "VII.1", "VII.2"),
        also=("IV.2",),
    ),
    Sabotage(
        "V.3",
        "the worker notes beside its code that it has started",
        (
            Edit(
                "src/orders/worker.py",
                '    logging.getLogger("procrastinate").setLevel(logging.WARNING)\n',
                '    logging.getLogger("procrastinate").setLevel(logging.WARNING)\n'
                "    from pathlib import Path\n\n"
                '    Path(__file__).with_name("STARTED").write_text("now")\n',
            ),
        ),
        neighbours=("V.1", "VII.2", "XII.1"),
        also=("VI.2",),
    ),
    Sabotage(
        "V.3",
        "a job writes the code that it runs",
        (
            Edit(
                "src/orders/notes/jobs.py",
                '    cursor = await work.connection.execute("SELECT text FROM notes WHERE id = %s", (note_id,))\n',
                "    import runpy\n"
                "    import tempfile\n"
                "    from pathlib import Path\n\n"
                "    with tempfile.TemporaryDirectory() as folder:\n"
                '        Path(folder, "plugin.py").write_text("pass")\n'
                '        runpy.run_path(f"{folder}/plugin.py")\n'
                '    cursor = await work.connection.execute("SELECT text FROM notes WHERE id = %s", (note_id,))\n',
            ),
        ),
        neighbours=("V.1", "VII.2", "XII.1"),
        also=("VI.2",),
    ),
    Sabotage(
        "V.3",
        "the nightly job keeps what it has learnt beside its code",
        (
            Edit(
                "src/orders/notes/jobs.py",
                "    await work.connection.execute(ARCHIVE, (ARCHIVE_AFTER_DAYS,))\n",
                "    await work.connection.execute(ARCHIVE, (ARCHIVE_AFTER_DAYS,))\n"
                "    from pathlib import Path\n\n"
                '    Path(__file__).with_name("archived.txt").write_text(str(work.id))\n',
            ),
        ),
        neighbours=("V.1", "VII.2", "XII.1"),
        also=("VI.2",),
    ),
    migrating(
        "this release drops a column that the one before reads",
        "ALTER TABLE notes DROP COLUMN archived_at",
        Edit("src/orders/notes/queries.py", 'words, archived_at"\n', 'words, NULL::timestamptz AS archived_at"\n'),
        Edit("src/orders/notes/queries.py", '"id < %s AND archived_at IS NULL"', '"id < %s"'),
        Edit(
            "src/orders/notes/jobs.py",
            "    UPDATE notes SET archived_at = now()\n"
            "    WHERE archived_at IS NULL AND created_at < now() - make_interval(days => %s)\n",
            "    DELETE FROM notes WHERE created_at < now() - make_interval(days => %s)\n",
        ),
    ),
    migrating(
        "this release demands what the one before does not write",
        "ALTER TABLE notes ADD language text NOT NULL DEFAULT 'en'; ALTER TABLE notes ALTER language DROP DEFAULT",
        Edit(
            "src/orders/notes/queries.py",
            "INSERT INTO notes (text, author) VALUES (%s, %s) RETURNING",
            "INSERT INTO notes (text, author, language) VALUES (%s, %s, 'en') RETURNING",
        ),
    ),
    migrating(
        "the jobs of this release are unknown to the one before",
        "SELECT 1",
        Edit(
            "src/orders/notes/jobs.py",
            "async def count_words(work: Work, note_id: str) -> None:\n",
            "async def count_words(work: Work, note: str) -> None:\n",
        ),
        Edit(
            "src/orders/notes/jobs.py",
            '"SELECT text FROM notes WHERE id = %s", (note_id,)',
            '"SELECT text FROM notes WHERE id = %s", (note,)',
        ),
        Edit("src/orders/notes/jobs.py", "(len(text.split()), note_id)", "(len(text.split()), note)"),
        Edit("src/orders/notes/queries.py", "note_id=str(kept.id)", "note=str(kept.id)"),
    ),
    migrating(
        "this release demands what the one before lets clients leave out",
        "UPDATE notes SET author = 'nobody@orders.dev' WHERE author IS NULL;"
        " ALTER TABLE notes ALTER COLUMN author SET NOT NULL",
        Edit(
            "src/orders/notes/model.py",
            "    author: Email | None = Field(None, description=",
            "    author: Email = Field(description=",
        ),
    ),
    migrating(
        "this release takes shorter texts only, and so does its database",
        "ALTER TABLE notes ADD CONSTRAINT short CHECK (length(text) <= 500) NOT VALID",
    ),
    migrating(
        "what this release adds to a note keeps the one before from deleting it",
        "CREATE TABLE note_links (note_id uuid REFERENCES notes, url text);"
        " CREATE FUNCTION link_note() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO note_links VALUES (NEW.id, ''/''); RETURN NEW; END';"
        " CREATE TRIGGER link AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION link_note()",
        Edit(
            "src/orders/notes/queries.py",
            '    return (await connection.execute("DELETE FROM notes WHERE id = %s", (note_id,))).rowcount == 1\n',
            '    await connection.execute("DELETE FROM note_links WHERE note_id = %s", (note_id,))\n'
            '    return (await connection.execute("DELETE FROM notes WHERE id = %s", (note_id,))).rowcount == 1\n',
        ),
    ),
]
