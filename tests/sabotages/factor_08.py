"""Sabotages of factor VIII, concurrency."""

from . import Edit, Sabotage

ROUTES = "src/orders/notes/routes.py"
ANSWER = '    response.headers["Location"] = link(request, f"/notes/{note.id}")\n    return note\n'
APP = "src/orders/web/app.py"
ATTACHED = "            app.state.resources = resources\n            yield\n"
COUNT_ALL = "UPDATE notes SET words = 1 WHERE words IS NULL"

CLOCK = "src/orders/clock.py"
TICKING = "    ticking = asyncio.create_task(Clock(app).worker())\n"
ENQUEUE_DUE = "            await self._connector.execute_query_async(TICK, job=due.task.name, at=at)\n"
ONCE = "ON CONFLICT (job) DO UPDATE SET at = excluded.at WHERE job_ticks.at < excluded.at"

WORKER = "src/orders/worker.py"
TAKE = "            if (await connection.execute(TAKE_EFFECT, (job_id,))).rowcount:\n"
RESCUING = "        rescuing = asyncio.create_task(self._rescue())\n"

MAIN = "src/orders/__main__.py"
CONFIGURE = "    logs.configure(arguments.command)  # before the imports below"
GIVEN = "    run: Callable[[argparse.Namespace], int] = arguments.run\n"

SABOTAGES = [
    Sabotage(
        "VIII.1",
        "a task in web does the job",
        (
            Edit(
                ROUTES,
                ANSWER,
                "    async def count() -> None:\n"
                "        await asyncio.sleep(1)\n"
                "        async with database.connection() as connection:\n"
                f'            await connection.execute("{COUNT_ALL}")\n'
                "\n"
                "    request.app.state.counting = asyncio.create_task(count())\n" + ANSWER,
            ),
            Edit(ROUTES, "from contextlib import suppress\n", "import asyncio\nfrom contextlib import suppress\n"),
        ),
        neighbours=("VII.1", "IX.2"),
    ),
    Sabotage(
        "VIII.1",
        "a worker runs inside of web",
        (
            Edit(
                APP,
                ATTACHED,
                "            app.state.resources = resources\n"
                "            stop = asyncio.Event()\n"
                "            working = asyncio.create_task(Worker(settings, resources).work(stop))\n"
                "            yield\n"
                "            stop.set()\n"
                "            await working\n",
            ),
            Edit(
                APP,
                "from ..settings import Settings\n",
                "from ..settings import Settings\nfrom ..worker import Worker\n",
            ),
            Edit(APP, "from collections.abc", "import asyncio\nfrom collections.abc"),
        ),
        neighbours=("VII.1", "VII.2"),
    ),
    Sabotage(
        "VIII.1",
        "web does what waits while it stops",
        (
            Edit(
                APP,
                ATTACHED,
                f"{ATTACHED}"
                "            async with resources.postgres.connection() as connection:\n"
                f'                await connection.execute("{COUNT_ALL}")\n',
            ),
        ),
        neighbours=("VII.1", "VII.2"),
    ),
    Sabotage(
        "VIII.1",
        "the clock does jobs itself",
        (
            Edit(
                CLOCK,
                TICKING,
                f"{TICKING}"
                "\n"
                "    async def count() -> None:\n"
                "        while True:\n"
                "            async with resources.postgres.connection() as connection:\n"
                f'                await connection.execute("{COUNT_ALL}")\n'
                "            await asyncio.sleep(3)\n"
                "\n"
                "    counting = asyncio.create_task(count())\n",
            ),
            Edit(CLOCK, "    await process.end(ticking)\n", "    await process.end(ticking)\n    counting.cancel()\n"),
        ),
        neighbours=("VIII.3", "VIII.4"),
    ),
    Sabotage(
        "VIII.1",
        "the list does what waits",
        (
            Edit(
                ROUTES,
                "        notes = await queries.newest(",
                f'        await connection.execute("{COUNT_ALL}")\n        notes = await queries.newest(',
            ),
        ),
        neighbours=("VII.1", "IX.1", "IX.2"),
    ),
    Sabotage(
        "VIII.1",
        "web makes the nightly job as it starts",
        (
            Edit(
                APP,
                ATTACHED,
                "            app.state.resources = resources\n"
                "            nightly = asyncio.create_task(_nightly(resources))\n"
                "            yield\n"
                "            nightly.cancel()\n",
            ),
            Edit(
                APP,
                "def create_app(",
                "async def _nightly(resources: Resources) -> None:\n"
                "    while True:\n"
                "        async with resources.postgres.connection() as connection:\n"
                "            await archive_old.enqueue(connection)\n"
                "        await asyncio.sleep(86_400)\n"
                "\n"
                "\n"
                "def create_app(",
            ),
            Edit(APP, "from collections.abc", "import asyncio\nfrom collections.abc"),
            Edit(
                APP,
                "from ..resources import attached\n",
                "from ..notes.jobs import archive_old\nfrom ..resources import Resources, attached\n",
            ),
        ),
        neighbours=("VII.1", "IX.1", "IX.2"),
    ),
    Sabotage(
        "VIII.2",
        "a global lock",
        (Edit(WORKER, TAKE, f'            await connection.execute("SELECT pg_advisory_xact_lock(1)")\n{TAKE}'),),
        neighbours=("VIII.1", "IX.3", "IX.4"),
    ),
    Sabotage(
        "VIII.2",
        "a job locks the whole table",
        (
            Edit(
                "src/orders/notes/jobs.py",
                '    cursor = await work.connection.execute("SELECT text',
                '    await work.connection.execute("LOCK TABLE notes IN EXCLUSIVE MODE")\n'
                '    cursor = await work.connection.execute("SELECT text',
            ),
        ),
        neighbours=("VIII.1", "IX.3", "IX.4"),
    ),
    Sabotage(
        "VIII.2",
        "only one worker works at a time",
        (
            Edit(
                WORKER,
                RESCUING,
                f"{RESCUING}"
                "        leading = self._resources.postgres.dedicated()\n"
                "        leader = await leading.__aenter__()\n"
                '        while not (await (await leader.execute("SELECT pg_try_advisory_lock(1)")).fetchone())[0]:\n'
                "            await asyncio.sleep(0.2)\n",
            ),
        ),
        neighbours=("VIII.1", "IX.4"),
    ),
    Sabotage(
        "VIII.2",
        "each job is put into the queue twice",
        (
            Edit(
                "src/orders/notes/queries.py",
                "        await jobs.count_words.enqueue(connection, note_id=str(kept.id))\n",
                "        for _ in range(2):\n"
                "            await jobs.count_words.enqueue(connection, note_id=str(kept.id))\n",
            ),
        ),
        neighbours=("VII.1", "IX.1", "IX.2"),
        also=("VIII.1", "IX.3", "IX.4"),
    ),
    Sabotage(
        "VIII.3",
        "a naive loop",
        (Edit(CLOCK, ONCE, "ON CONFLICT (job) DO UPDATE SET at = excluded.at"),),
        neighbours=("VIII.1", "VIII.4"),
    ),
    Sabotage(
        "VIII.3",
        "looks whether the tick was taken, and then takes it",
        (
            Edit(CLOCK, ONCE, "ON CONFLICT (job) DO UPDATE SET at = excluded.at"),
            Edit(
                CLOCK,
                ENQUEUE_DUE,
                '            taken = "SELECT FROM job_ticks WHERE job = %(job)s AND at >= to_timestamp(%(at)s)"\n'
                "            if not await self._connector.execute_query_all_async(taken, job=due.task.name, at=at):\n"
                "                await self._connector.execute_query_async(TICK, job=due.task.name, at=at)\n",
            ),
        ),
        neighbours=("VIII.1", "VIII.4"),
    ),
    Sabotage(
        "VIII.3",
        "the first clock leads for good",
        (
            Edit(
                CLOCK,
                ENQUEUE_DUE,
                "            who = {'job': 'leader', 'at': os.getpid()}\n"
                "            values = 'VALUES (%(job)s, to_timestamp(%(at)s))'\n"
                '            lead = f"INSERT INTO job_ticks {values} ON CONFLICT DO NOTHING"\n'
                "            await self._connector.execute_query_async(lead, **who)\n"
                '            leads = "SELECT 1 FROM job_ticks WHERE job = %(job)s AND at = to_timestamp(%(at)s)"\n'
                "            if await self._connector.execute_query_all_async(leads, **who):\n"
                "                await self._connector.execute_query_async(TICK, job=due.task.name, at=at)\n",
            ),
            Edit(CLOCK, "import asyncio\n", "import asyncio\nimport os\n"),
        ),
        neighbours=("VIII.1", "VIII.4"),
    ),
    Sabotage(
        "VIII.3",
        "the worker ticks too",
        (
            Edit(
                WORKER,
                RESCUING,
                f"{RESCUING}"
                "        from .clock import _tick\n"
                "\n"
                "        self._ticking = asyncio.create_task(_tick(self._resources, stop))\n",
            ),
        ),
        neighbours=("VIII.1", "VIII.2", "IX.3"),
    ),
    Sabotage(
        "VIII.4",
        "goes into the background",
        (
            Edit(
                MAIN,
                CONFIGURE,
                '    if arguments.command in ("web", "worker", "clock"):\n'
                "        if os.fork():\n"
                "            os._exit(0)\n"
                "        os.setsid()\n"
                "        if os.fork():\n"
                f"            os._exit(0)\n{CONFIGURE}",
            ),
        ),
        neighbours=("VII.3", "XII.3"),
        also=("VII.3",),
    ),
    Sabotage(
        "VIII.4",
        "leaves its number in a file",
        (
            Edit(
                MAIN,
                GIVEN,
                f'    with open("orders.pid", "w") as file:\n        file.write(f"{{os.getpid()}}\\n")\n{GIVEN}',
            ),
        ),
        neighbours=("VIII.1", "IX.2"),
    ),
    Sabotage(
        "VIII.4",
        "the worker works in a child",
        (
            Edit(
                MAIN,
                GIVEN,
                '    if arguments.command == "worker" and (child := os.fork()):\n'
                "        signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))\n"
                f"        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n{GIVEN}",
            ),
        ),
        neighbours=("VIII.1", "VIII.2", "IX.3"),
    ),
    Sabotage(
        "VIII.4",
        "an answer leaves work to a process of its own",
        (
            Edit(ROUTES, "from contextlib import suppress\n", "import subprocess\nfrom contextlib import suppress\n"),
            Edit(
                ROUTES,
                ANSWER,
                '    subprocess.Popen(["sleep", "20"], start_new_session=True, env={})\n' + ANSWER,
            ),
        ),
        neighbours=("VII.1", "VIII.1"),
        also=("IX.2",),
    ),
    Sabotage(
        "VIII.4",
        "a job leaves work to a process that nobody knows",
        (
            Edit("src/orders/notes/jobs.py", "from ..jobs", "import subprocess\n\nfrom ..jobs"),
            Edit(
                "src/orders/notes/jobs.py",
                "    for (text,) in await cursor.fetchall():\n",
                "    for (text,) in await cursor.fetchall():\n"
                '        subprocess.run(["/bin/sh", "-c", "setsid sleep 20 &"], env={}, check=True)\n',
            ),
        ),
        neighbours=("VII.1", "VIII.1"),
    ),
    Sabotage(
        "VIII.1",
        "web puts old notes away once an hour, by itself",
        (
            Edit(
                APP,
                "            app.state.resources = resources\n            yield\n",
                "            app.state.resources = resources\n"
                "            putting_away = asyncio.create_task(_put_away(resources.postgres))\n"
                "            yield\n            putting_away.cancel()\n",
            ),
            Edit(
                APP,
                "def create_app(",
                "async def _put_away(postgres: Any) -> None:\n    while True:\n        await asyncio.sleep(3600)\n"
                "        async with postgres.connection() as connection:\n"
                "            await connection.execute(ARCHIVE, (90,))\n\n\ndef create_app(",
            ),
            Edit(
                APP,
                "from collections.abc import AsyncIterator\nfrom contextlib import asynccontextmanager\n",
                "import asyncio\nfrom collections.abc import AsyncIterator\n"
                "from contextlib import asynccontextmanager\nfrom typing import Any\n",
            ),
            Edit(
                APP,
                "from ..resources import attached\n",
                "from ..notes.jobs import ARCHIVE\nfrom ..resources import attached\n",
            ),
            Edit("src/orders/notes/jobs.py", '@job(cron="30 3 * * *")\n', "@job()\n"),
        ),
        neighbours=("VIII.2", "IX.3"),
    ),
]
