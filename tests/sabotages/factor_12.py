"""Sabotages of factor XII, admin processes."""

from . import Edit, Sabotage

REPORT = '    """Prints how many notes were written each day, as CSV."""\n'
OWN_REQUIREMENT = """\
    import tempfile
    from pathlib import Path

    folder = tempfile.mkdtemp()
    Path(folder, "tables.py").write_text("NEWLINE = '\\\\n'\\n")
    sys.path.insert(0, folder)
    import tables  # type: ignore[import-not-found]

    assert tables.NEWLINE
"""
DELETE = "DELETE FROM notes WHERE lower(author) = lower(%s) RETURNING"
PURGE = """\
    await resources[Cache].purge(*keys)
    afterwards.push_async_callback(resources[Cache].purge, *keys)
"""
PURGED = '    log.info("purged", **found)'

WEB = "src/orders/web/app.py"
STARTED = "            app.state.resources = resources\n"
TEXTS = "    for (text,) in await cursor.fetchall():\n"
MIGRATION = "migrations/versions/0001_notes.py"
QUERIES = "src/orders/notes/queries.py"
TABLES_END = '            archived_at timestamptz\n        )\n        """\n    )\n'
ENQUEUED = "        await jobs.count_words.enqueue("
CHECKED = "    _check(email)\n    found: dict["
EXPORT = """\
    async with admin.resources.postgres.connection() as connection, connection.transaction():
        kept = {feature: await module.export(connection, email) for feature, module in _modules().items()}
"""
OTHERS = "others = ["
TESTS = "test: $(UV) ## Run the tests"
BACKFILL = '''\
# /// script
# requires-python = ">=3.11"
# dependencies = ["psycopg2-binary", "tqdm"]
# ///
"""Counts the words of old notes."""

import os

import psycopg2
from tqdm import tqdm

connection = psycopg2.connect(os.environ["DATABASE_URL"])
'''

SABOTAGES = [
    Sabotage(
        "XII.1",
        "a one-off brings a requirement of its own",
        (Edit("src/orders/notes/admin.py", REPORT, REPORT + OWN_REQUIREMENT),),
        neighbours=("XII.2", "XII.3", "XII.4"),
    ),
    Sabotage(
        "XII.1",
        "a one-off is a script for another language",
        (
            Edit(
                "src/orders/notes/admin.py",
                REPORT,
                f'{REPORT}    import subprocess\n\n    subprocess.run(["perl", "-e", "1"], check=True)\n',
            ),
        ),
        neighbours=("XII.2", "XII.3", "XII.4"),
        also=("II.3",),
    ),
    Sabotage(
        "XII.1",
        "one-offs have an image of their own",
        (
            Edit(
                "compose.yaml",
                "    entrypoint: [orders, admin]\n",
                "    image: orders-tools:latest\n    entrypoint: [orders, admin]\n",
            ),
        ),
        neighbours=("XII.2", "XII.3", "VII.1"),
        also=("I.2",),
    ),
    Sabotage(
        "XII.1",
        "one-offs run in what was built last",
        (
            Edit(
                "dev/ledger.py",
                "    with prepared(current) as services:\n",
                '    with stack(image("orders", "")[0], current.commit) as services:\n',
            ),
        ),
        neighbours=("V.2", "XII.3"),
    ),
    Sabotage(
        "XII.1",
        "a backfill is a script with packages of its own",
        (Edit("scripts/backfill.py", "", BACKFILL),),
        neighbours=("XII.2", "XII.3", "VII.1"),
        also=("II.1", "II.3", "III.1"),
    ),
    Sabotage(
        "XII.1",
        "make runs a backfill in an environment of its own",
        (
            Edit("scripts/backfill.py", "", BACKFILL.partition("# ///\n")[2]),
            Edit("Makefile", TESTS, f"backfill: $(UV)\n\t@$(UV) run --no-project scripts/backfill.py\n\n{TESTS}"),
        ),
        neighbours=("XII.2", "XII.3", "VII.1"),
        also=("II.1", "II.3", "III.1"),
    ),
    Sabotage(
        "XII.1",
        "another one-off runs psql",
        (
            Edit("src/orders/notes/admin.py", "import sys\n", "import subprocess\nimport sys\n"),
            Edit(
                "src/orders/notes/admin.py",
                "@one_off(prints=True)\n",
                "@one_off()\nasync def vacuum(admin: Admin) -> None:\n"
                '    """Takes what was deleted out of the table."""\n'
                '    command = ["psql", admin.settings.secret("database_url"), "-c", "VACUUM notes"]\n'
                "    subprocess.run(command, check=True)\n\n\n@one_off(prints=True)\n",
            ),
            Edit("factors.toml", OTHERS, f'{OTHERS}"orders admin vacuum", '),
        ),
        neighbours=("XII.2", "XII.4"),
        also=("II.3", "XI.1", "XII.3"),
    ),
    Sabotage(
        "XII.2",
        "web migrates when it starts",
        (
            Edit(
                "src/orders/web/app.py",
                "        async with attached(settings) as resources:\n",
                "        from .. import release\n\n"
                "        release.run(settings)\n"
                "        async with attached(settings) as resources:\n",
            ),
        ),
        neighbours=("XII.1", "XII.3", "VII.1"),
    ),
    Sabotage(
        "XII.2",
        "releases do not wait for each other",
        (
            Edit(
                "src/orders/release.py",
                "        with _only_one(url):\n            _upgrade(url)\n",
                "        _upgrade(url)\n",
            ),
        ),
        neighbours=("XII.1", "XII.3", "XII.4"),
    ),
    Sabotage(
        "XII.2",
        "the worker adds an index where it is missing",
        (
            Edit(
                "src/orders/worker.py",
                "        rescuing = asyncio.create_task(self._rescue())\n",
                "        async with self._resources.postgres.connection() as connection:\n"
                "            with suppress(psycopg.Error):\n"
                '                await connection.execute("CREATE INDEX IF NOT EXISTS by_words ON notes (words)")\n'
                "        rescuing = asyncio.create_task(self._rescue())\n",
            ),
        ),
        neighbours=("XII.1", "XII.3", "VIII.1"),
    ),
    Sabotage(
        "XII.2",
        "a job makes the table that it writes to",
        (
            Edit(
                "src/orders/notes/jobs.py",
                TEXTS,
                f"{TEXTS}        await work.connection.execute(\n"
                '            "CREATE TABLE IF NOT EXISTS word_counts (note_id uuid, words int)"\n        )\n'
                "        await work.connection.execute(\n"
                '            "INSERT INTO word_counts VALUES (%s, %s)", (note_id, len(text.split()))\n        )\n',
            ),
        ),
        neighbours=("XII.1", "XII.3", "VIII.3"),
    ),
    Sabotage(
        "XII.2",
        "web changes old rows as it starts",
        (
            Edit(
                WEB,
                STARTED,
                f"{STARTED}            with suppress(Exception):\n"
                "                async with resources.postgres.connection() as connection:\n"
                "                    await connection.execute(\n"
                '                        "UPDATE notes SET author = lower(author) WHERE author <> lower(author)"\n'
                "                    )\n",
            ),
            Edit(
                WEB,
                "from contextlib import asynccontextmanager\n",
                "from contextlib import asynccontextmanager, suppress\n",
            ),
        ),
        neighbours=("XII.1", "XII.3", "VII.1"),
    ),
    Sabotage(
        "XII.3",
        "a one-off that fails says so in the log alone",
        (
            Edit(
                "src/orders/admin/__init__.py",
                '        log.error("failed", reason=str(error))\n        return 1\n',
                '        log.error("failed", reason=str(error))\n        return 0\n',
            ),
        ),
        neighbours=("XII.1", "XII.2", "XII.4"),
    ),
    Sabotage(
        "XII.3",
        "a release that fails says so in the log alone",
        (
            Edit(
                "src/orders/release.py",
                'reason=str(error))\n        return 1\n    log.info("released")\n',
                'reason=str(error))\n    log.info("released")\n',
            ),
        ),
        neighbours=("XII.1", "XII.2", "XII.4"),
    ),
    Sabotage(
        "XII.3",
        "one-offs serve metrics while they run",
        (
            Edit(
                "src/orders/admin/__init__.py",
                "    async with attached(loaded) as resources:\n",
                "    from prometheus_client import start_http_server\n\n"
                '    start_http_server(0, "127.0.0.1")\n'
                "    async with attached(loaded) as resources:\n",
            ),
        ),
        neighbours=("XII.1", "XII.2", "XII.4"),
    ),
    Sabotage(
        "XII.3",
        "another one-off says in the log alone that it failed",
        (
            Edit(
                "src/orders/admin/people.py",
                EXPORT,
                "    try:\n"
                + "".join(f"    {line}\n" for line in EXPORT.splitlines())
                + '    except Exception:\n        log.exception("export failed")\n        return\n',
            ),
        ),
        neighbours=("XII.1", "XII.2", "XII.4"),
    ),
    Sabotage(
        "XII.3",
        "a purge that is killed leaves its lock in the database",
        (
            Edit(
                MIGRATION, TABLES_END, f'{TABLES_END}    op.execute("CREATE TABLE purges (one boolean PRIMARY KEY)")\n'
            ),
            Edit(
                "src/orders/admin/people.py",
                CHECKED,
                "    _check(email)\n"
                "    async with admin.resources.postgres.connection() as connection:\n"
                '        taken = await connection.execute("INSERT INTO purges VALUES (true) ON CONFLICT DO NOTHING")\n'
                "        if not taken.rowcount:\n"
                '            raise OneOffError("another purge runs")\n'
                "    found: dict[",
            ),
            Edit(
                "src/orders/admin/people.py",
                PURGED,
                "    async with admin.resources.postgres.connection() as connection:\n"
                '        await connection.execute("DELETE FROM purges")\n' + PURGED,
            ),
        ),
        neighbours=("XII.1", "XII.2", "XII.4"),
    ),
    Sabotage(
        "XII.4",
        "the queue keeps the payload",
        (Edit("src/orders/notes/people.py", "await forget(connection, [email, *notes])", "0"),),
        neighbours=("XII.1", "XII.3", "IV.4"),
    ),
    Sabotage(
        "XII.4",
        "an address is hers only as she has spelled it",
        (Edit("src/orders/notes/queries.py", DELETE, "DELETE FROM notes WHERE author = %s RETURNING"),),
        neighbours=("XII.1", "XII.3", "IV.4"),
    ),
    Sabotage(
        "XII.4",
        "erases everybody whose address is like hers",
        (Edit("src/orders/notes/queries.py", DELETE, "DELETE FROM notes WHERE author ILIKE %s RETURNING"),),
        neighbours=("XII.1", "XII.3", "IV.4"),
    ),
    Sabotage(
        "XII.4",
        "the cache is forgotten",
        (Edit("src/orders/notes/people.py", PURGE, ""),),
        neighbours=("XII.1", "XII.3", "IV.4"),
    ),
    Sabotage(
        "XII.4",
        "a table of activity keeps the beginning of each text",
        (
            Edit(MIGRATION, TABLES_END, f'{TABLES_END}    op.execute("CREATE TABLE activity (title text)")\n'),
            Edit(
                QUERIES,
                ENQUEUED,
                '        await connection.execute("INSERT INTO activity VALUES (%s)", (note.text[:20],))\n' + ENQUEUED,
            ),
        ),
        neighbours=("XII.1", "XII.3", "IV.4"),
    ),
    Sabotage(
        "XII.4",
        "a table of activity keeps the name in each address",
        (
            Edit(MIGRATION, TABLES_END, f'{TABLES_END}    op.execute("CREATE TABLE activity (who text)")\n'),
            Edit(
                QUERIES,
                ENQUEUED,
                '        who = (note.author or "").split("@")[0]\n'
                '        await connection.execute("INSERT INTO activity VALUES (%s)", (who,))\n' + ENQUEUED,
            ),
        ),
        neighbours=("XII.1", "XII.3", "IV.4"),
    ),
    Sabotage(
        "XII.4",
        "a file tells who was erased",
        (
            Edit(
                "src/orders/admin/people.py",
                PURGED,
                '    with open("erased.txt", "a") as erased:\n        erased.write(f"{email}\\n")\n' + PURGED,
            ),
        ),
        neighbours=("XII.1", "XII.3", "IV.4"),
        also=("VI.2", "XI.1"),
    ),
]
