"""Sabotages of factor IX, disposability."""

from . import Edit, Sabotage

SERVER = "src/orders/web/server.py"
BOUND = "timeout_graceful_shutdown=ceil(settings.grace_seconds)"
DRAINS = "        if self._lifecycle.draining:\n"
ROUTES = "src/orders/notes/routes.py"
WRITTEN = """    async with database.connection() as connection:
        note = await queries.insert(connection, new)
    response.headers"""

PROCESS = "src/orders/process.py"
SIGNALS = "    for number in (signal.SIGTERM, signal.SIGINT):\n        signal.signal(number, told)\n"
QUEUE = "src/orders/queue.py"
RETURNED = '            return RetryDecision(retry_in={"seconds": 0})\n'
WORKER = "src/orders/worker.py"
TIMEOUT = "shutdown_graceful_timeout=max(0, self._settings.grace_seconds - RETURN_SECONDS)"
WAITS_FOR_EVER = (
    Edit(WORKER, TIMEOUT, "shutdown_graceful_timeout=None"),
    Edit(PROCESS, "        last_resort.start()\n", ""),
)
PERFORM = "            with telemetry.JOBS_IN_PROGRESS"
TAKE = "            if (await connection.execute(TAKE_EFFECT, (job_id,))).rowcount:\n"
OPENED = "        async with self._resources.postgres.connection() as connection, connection.transaction():\n"
COUNTED = '        await work.connection.execute("UPDATE notes SET words'
LOCATION = '    response.headers["Location"] = link(request, f"/notes/{note.id}")\n'
FLUSH = """

async def _flush(database):
    await asyncio.sleep(1)
    batch, PENDING[:] = PENDING[:], []
    async with database.connection() as connection:
        for note_id in batch:
            await jobs.count_words.enqueue(connection, note_id=note_id)
"""
ROUTER = 'router = APIRouter(prefix="/notes", tags=["notes"])\n'
CREATED = '            archived_at timestamptz\n        )\n        """\n    )\n'
FETCHED = "    for (text,) in await cursor.fetchall():\n"

SABOTAGES = [
    Sabotage(
        "IX.1",
        "an import takes 12 s",
        (
            Edit(
                "src/orders/web/health.py",
                "from typing import Literal\n",
                "import time\nfrom typing import Literal\n\ntime.sleep(12)\n",
            ),
        ),
        neighbours=("IX.3", "VIII.3"),
        also=("IX.3", "VIII.3"),
    ),
    Sabotage(
        "IX.1",
        "the worker warms up for 12 s",
        (
            Edit(
                WORKER,
                "        finished = True\n        try:\n",
                "        finished = True\n        await asyncio.sleep(12)\n        try:\n",
            ),
        ),
        neighbours=("IX.2", "VII.1"),
        also=("VIII.1", "VIII.2", "IX.3", "IX.4"),
    ),
    Sabotage(
        "IX.1",
        "answers before it has written",
        (
            Edit(
                ROUTES,
                WRITTEN,
                "    known = {'id': uuid4(), 'created_at': datetime.now(UTC), 'words': None, 'archived_at': None}\n"
                "    note = Note(**new.model_dump(), **known)\n"
                "\n"
                "    async def keep() -> None:\n"
                "        await asyncio.sleep(0.5)\n"
                "        async with database.connection() as connection:\n"
                '            insert = "INSERT INTO notes (id, text) VALUES (%s, %s)"\n'
                "            await connection.execute(insert, (note.id, note.text))\n"
                "\n"
                "    request.app.state.keeping = asyncio.create_task(keep())\n"
                "    response.headers",
            ),
            Edit(
                ROUTES,
                "from contextlib import suppress\n",
                "import asyncio\nfrom contextlib import suppress\nfrom datetime import UTC, datetime\n",
            ),
            Edit(ROUTES, "from uuid import UUID\n", "from uuid import UUID, uuid4\n"),
        ),
        neighbours=("VII.1", "VIII.3"),
    ),
    Sabotage(
        "IX.1",
        "the first list takes 15 s",
        (
            Edit(
                ROUTES,
                "        notes = await queries.newest(",
                "        _load()\n        notes = await queries.newest(",
            ),
            Edit(
                ROUTES,
                "from contextlib import suppress\n",
                "import time\nfrom contextlib import suppress\nfrom functools import cache as once\n",
            ),
            Edit(ROUTES, ROUTER, f"{ROUTER}\n\n@once\ndef _load() -> None:\n    time.sleep(15)\n"),
        ),
        neighbours=("VII.1", "VIII.3", "IX.2"),
    ),
    Sabotage(
        "IX.2",
        "ends at the signal",
        (
            Edit(SERVER, DRAINS, f"        os._exit(0)\n{DRAINS}"),
            Edit(SERVER, "import socket\n", "import os\nimport socket\n"),
        ),
        neighbours=("VII.1", "IX.1", "VIII.1"),
    ),
    Sabotage(
        "IX.2",
        "a grace time of its own, which is too short",
        (Edit(SERVER, BOUND, "timeout_graceful_shutdown=3"),),
        neighbours=("VII.1", "IX.1", "VIII.1"),
    ),
    Sabotage(
        "IX.2",
        "waits for its requests for ever",
        (Edit(SERVER, BOUND, "timeout_graceful_shutdown=None"),),
        neighbours=("VII.1", "IX.1", "VIII.1"),
    ),
    Sabotage(
        "IX.2",
        "refuses connections at once",
        (Edit(SERVER, "call_later(self._drain_seconds, setattr", "call_later(0, setattr"),),
        neighbours=("VII.1", "IX.1", "VIII.1"),
    ),
    Sabotage(
        "IX.2",
        "takes connections until the end",
        (
            Edit(
                SERVER,
                "    async def serve(self,",
                "    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:\n"
                '        """Waits for the requests in hand, and then shuts down."""\n'
                "        while self.server_state.tasks:\n"
                "            await asyncio.sleep(0.1)\n"
                "        await super().shutdown(sockets)\n"
                "\n"
                "    async def serve(self,",
            ),
        ),
        neighbours=("VII.1", "IX.1", "VIII.1"),
    ),
    Sabotage(
        "IX.2",
        "a helper is left behind",
        (
            Edit(
                SERVER,
                "    server = Server(config",
                '    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}\n'
                '    subprocess.Popen(["sleep", "120"], start_new_session=True, **silent)\n'
                "    server = Server(config",
            ),
            Edit(SERVER, "import socket\n", "import socket\nimport subprocess\n"),
        ),
        neighbours=("VII.1", "IX.1"),
        also=("VIII.4",),
    ),
    Sabotage(
        "IX.2",
        "what was answered is put into the queue a second later",
        (
            Edit(
                "src/orders/notes/queries.py",
                "        await jobs.count_words.enqueue(connection, note_id=str(kept.id))\n",
                "",
            ),
            Edit("src/orders/notes/queries.py", "from . import jobs\n", ""),
            Edit(ROUTES, "from . import queries\n", "from . import jobs, queries\n"),
            Edit(ROUTES, "from contextlib import suppress\n", "import asyncio\nfrom contextlib import suppress\n"),
            Edit(ROUTES, ROUTER, f"{ROUTER}PENDING: list[str] = []\n{FLUSH}"),
            Edit(
                ROUTES,
                LOCATION,
                "    if not PENDING:\n"
                "        request.app.state.flushing = asyncio.create_task(_flush(database))\n"
                "    PENDING.append(str(note.id))\n" + LOCATION,
            ),
        ),
        neighbours=("VII.1", "VIII.1", "IX.3"),
        also=("IX.1", "IX.3"),
    ),
    Sabotage(
        "IX.3",
        "ignores the signal",
        (
            Edit(
                PROCESS,
                SIGNALS,
                "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    signal.signal(signal.SIGINT, told)\n",
            ),
        ),
        neighbours=("IX.1", "IX.4"),
    ),
    Sabotage(
        "IX.3",
        "a stop makes a dead letter of the job",
        (Edit(QUEUE, RETURNED, "            return None\n"),),
        neighbours=("VIII.1", "IX.1", "IX.4"),
    ),
    Sabotage(
        "IX.3",
        "waits for its job for ever",
        WAITS_FOR_EVER,
        neighbours=("VIII.1", "IX.1", "IX.4"),
    ),
    Sabotage(
        "IX.3",
        "drops its job at the signal",
        (Edit(PROCESS, "        if last_resort:\n            return\n", "        os._exit(0)\n"),),
        neighbours=("VIII.1", "IX.1", "IX.4"),
    ),
    Sabotage(
        "IX.3",
        "the clock ignores the signal",
        (
            Edit(
                "src/orders/clock.py",
                "    ticking = asyncio.create_task(Clock(app).worker())\n",
                "    ticking = asyncio.create_task(Clock(app).worker())\n"
                "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n",
            ),
            Edit("src/orders/clock.py", "import asyncio\n", "import asyncio\nimport signal\n"),
        ),
        neighbours=("VIII.3", "VIII.4", "IX.4"),
    ),
    Sabotage(
        "IX.4",
        "acknowledges before the work",
        (
            Edit(
                WORKER,
                PERFORM,
                "            done = \"UPDATE procrastinate_jobs SET status = 'succeeded' WHERE id = %(job_id)s\"\n"
                "            await self._connector.execute_query_async(done, job_id=job_id)\n"
                f"{PERFORM}",
            ),
        ),
        neighbours=("VIII.1", "VIII.2", "IX.1"),
        also=("IX.3",),
    ),
    Sabotage(
        "IX.4",
        "does what has had its effect again",
        (Edit(WORKER, TAKE, "            await connection.execute(TAKE_EFFECT, (job_id,))\n            if job_id:\n"),),
        neighbours=("VIII.1", "VIII.2", "IX.3"),
    ),
    Sabotage(
        "IX.4",
        "the effect has a transaction of its own",
        (
            Edit(
                "src/orders/notes/jobs.py",
                COUNTED,
                "        async with work.resources.postgres.connection() as apart:\n"
                '            await apart.execute("UPDATE notes SET words',
            ),
        ),
        neighbours=("VIII.1", "VIII.2", "IX.3"),
    ),
    Sabotage(
        "IX.4",
        "notes the effect before it is there",
        (
            Edit(
                WORKER,
                OPENED,
                "        async with self._resources.postgres.connection() as connection:\n"
                "            first = (await connection.execute(TAKE_EFFECT, (job_id,))).rowcount\n" + OPENED,
            ),
            Edit(WORKER, TAKE, "            if first:\n"),
        ),
        neighbours=("VIII.1", "VIII.2", "IX.1"),
        also=("IX.3",),
    ),
    Sabotage(
        "IX.4",
        "nobody takes over from the dead",
        (
            Edit(
                WORKER,
                "        rescuing = asyncio.create_task(self._rescue())\n",
                "        rescuing = asyncio.create_task(asyncio.sleep(0))\n",
            ),
        ),
        neighbours=("VIII.1", "VIII.2", "IX.3"),
    ),
    Sabotage(
        "IX.4",
        "the job keeps what it charges in a transaction of its own",
        (
            Edit(
                "migrations/versions/0001_notes.py",
                CREATED,
                f'{CREATED}    op.execute("CREATE TABLE charges (note_id uuid, words int)")\n',
            ),
            Edit(
                "src/orders/notes/jobs.py",
                FETCHED,
                f"{FETCHED}"
                '        charge = "INSERT INTO charges (note_id, words) VALUES (%s, %s)"\n'
                "        async with work.resources.postgres.connection() as apart:\n"
                "            await apart.execute(charge, (note_id, len(text.split())))\n",
            ),
        ),
        neighbours=("VIII.1", "VIII.2", "IX.3"),
        also=("IX.3",),
    ),
    Sabotage(
        "IX.2",
        "what follows from an answer is written a second after it",
        (
            Edit(
                ROUTES,
                LOCATION,
                "    task = asyncio.create_task(_note_down(database, note.id))\n    TASKS.add(task)\n"
                "    task.add_done_callback(TASKS.discard)\n" + LOCATION,
            ),
            Edit(
                ROUTES,
                ROUTER,
                ROUTER + "TASKS: set[asyncio.Task[None]] = set()\n\n\n"
                "async def _note_down(database: Database, note_id: UUID) -> None:\n    await asyncio.sleep(1)\n"
                "    async with database.connection() as connection:\n"
                '        await connection.execute("INSERT INTO created_notes VALUES (%s)", (note_id,))\n',
            ),
            Edit(ROUTES, "from typing import Annotated\n", "import asyncio\nfrom typing import Annotated\n"),
            Edit(
                "migrations/versions/0001_notes.py",
                CREATED,
                CREATED + '    op.execute("CREATE TABLE created_notes (id uuid)")\n',
            ),
        ),
        neighbours=("IX.1", "VII.2"),
    ),
]
