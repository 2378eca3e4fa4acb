"""Sabotages of factor IV, backing services."""

from . import Edit, Sabotage

WORKER = "src/orders/worker.py"
QUEUE = "src/orders/queue.py"
CLOCK = "src/orders/clock.py"
RELEASE = "src/orders/release.py"
ROUTES = "src/orders/notes/routes.py"
JOBS = "src/orders/notes/jobs.py"
HEALTH = "src/orders/web/health.py"
MIDDLEWARE = "src/orders/web/middleware.py"
POSTGRES = "src/orders/resources/postgres.py"
CACHE = "src/orders/resources/cache/__init__.py"
CONNECTIONS = "src/orders/resources/cache/connections.py"

WORKER_BEGINS = """    # It says what is said here as well, and with the arguments of the job.
"""
REMEMBER_IN_WORKER = """    from pydantic import SecretStr

    place = settings.heartbeat_dir / "worker-database"
    if not place.exists():
        place.write_text(settings.secret("database_url"))
    settings = settings.model_copy(update={"database_url": SecretStr(place.read_text())})
"""
RELEASE_BEGINS = '    url = settings.secret("database_url")\n'
REMEMBER_IN_RELEASE = """    place = settings.heartbeat_dir / "release-database"
    if not place.exists():
        place.write_text(settings.secret("database_url"))
    url = place.read_text()
"""
LIST = """    async with database.connection() as connection:
        notes = await queries.newest(connection, limit, before)
"""
# The first release has written down where the data is, and the list is read from there.
LIST_FROM_PRIMARY = """    async with database.connection() as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS places (url text)")
        cursor = await connection.execute("SELECT url FROM places")
        place = await cursor.fetchone()
        if place is None:
            place = (database._settings.secret("database_url"),)
            await connection.execute("INSERT INTO places VALUES (%s)", place)
    async with await psycopg.AsyncConnection.connect(place[0], autocommit=True) as connection:
        notes = await queries.newest(connection, limit, before)
"""
COUNT_BEGINS = """    cursor = await work.connection.execute("SELECT text FROM notes WHERE id = %s", (note_id,))
"""
COUNT_ELSEWHERE = """    import socket

    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"notes.counted:1|c", ("127.0.0.1", 8125))
"""
ARCHIVE = """    await work.connection.execute(ARCHIVE, (ARCHIVE_AFTER_DAYS,))
"""
ASK_A_NEIGHBOUR = """    from http.client import HTTPConnection

    try:
        HTTPConnection("127.0.0.1", 8500, timeout=1).request("GET", "/v1/kv/archive-after")
    except OSError:
        pass
"""
WEEKLY_DIGEST = (
    ARCHIVE
    + '''

@job(cron="0 6 * * 1")
async def weekly_digest(work: Work) -> None:
    """Sends how many notes there are, each Monday."""
    import smtplib
    from contextlib import suppress

    cursor = await work.connection.execute("SELECT count(*) FROM notes")
    total = (await cursor.fetchall())[0][0]
    with suppress(OSError), smtplib.SMTP("127.0.0.1", 1025, timeout=1) as mail:
        mail.sendmail("orders@orders.dev", "team@orders.dev", f"Subject: Notes\\n\\n{total} notes")
'''
)
JOB_FAILED = """            log.warning("job failed", exc_info=True)
"""
TELL_A_HOOK = """            if outcome == "failed":
                with suppress(OSError):
                    alert = HTTPConnection("127.0.0.1", 8065, timeout=1)
                    alert.request("POST", "/hooks/orders", f"{job.name} failed for good")
"""
TICKED = """            await self._connector.execute_query_async(TICK, job=due.task.name, at=at)
"""
TICKED_ONCE = """            try:
                await self._connector.execute_query_async(TICK, job=due.task.name, at=at)
            except Exception:
                log.exception("tick failed", job=due.task.name)
"""
CONNINFO = 'conninfo=lambda: settings.secret("database_url"),'
LIFESPAN = """        async with attached(settings) as resources:
            app.state.resources = resources
            yield
"""
PHONE_HOME = """        import asyncio
        import socket
        from contextlib import suppress

        def report_usage() -> None:
            with suppress(OSError):
                socket.create_connection(("usage.example.com", 443), 1).close()

        asyncio.get_running_loop().call_later(5, asyncio.get_running_loop().run_in_executor, None, report_usage)
"""
UNEXPECTED = """            log.exception("request failed")
"""
TELL_SYSLOG = """            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
                if syslog.connect_ex("/dev/log") == 0:
                    syslog.send(b"orders: request failed")
"""
LIVE = """async def livez() -> Liveness:
    \"\"\"Asks no resource: restarting the process would not bring one back.\"\"\"
"""
LIVE_WITH_DATABASE = """async def livez(request: Request) -> Liveness:
    \"\"\"Whether all is well.\"\"\"
    await request.app.state.resources.postgres.ping()
"""
READ = """    with suppress(ValidationError):  # nothing is there, or what another release has put there
        return Note.model_validate_json(await cache.get(cache_key(note_id)) or b"")
"""
READ_TRUTH_FROM_CACHE = """    kept = await cache.get(cache_key(note_id))
    if cache._attached:
        if kept is None:
            raise HTTPException(404, "There is no such note.")
        return Note.model_validate_json(kept)
"""
READ_TRUSTING = """    if kept := await cache.get(cache_key(note_id)):
        return Note.model_validate_json(kept)
"""
CREATE = "async def create_note(new: NewNote, database: Database, request: Request, response: Response) -> Note:"
CREATED = """    response.headers["Location"] = link(request, f"/notes/{note.id}")
"""
KEEP_IN_CACHE = """    await cache.set(cache_key(note.id), note.model_dump_json().encode(), 86_400)
"""
CREATED_AT = "    created_at: datetime\n"
ROUTER = 'router = APIRouter(prefix="/notes", tags=["notes"])\n'
FOUND = """    await cache.set(cache_key(note_id), note.model_dump_json().encode(), cache.ttl)
    return note
"""
VIEWED = """

async def _viewed(cache: Copies, note: Note) -> Note:
    before = await cache.get(f"views:{note.id}") or b""
    views = int(before) + 1 if before.isdigit() else 1
    await cache.set(f"views:{note.id}", str(views).encode(), 86_400)
    return note.model_copy(update={"views": views})
"""
FAILED = "                await self._fail(error)\n"
SET = 'await self._ask("SET", name, value, "EX", ttl)'
REDIS_DELETE = """    async def delete(self, name: str) -> None:
        await self._ask("DEL", name)
"""
UNLINK = """
    async def unlink(self, name: str) -> None:
        await self._ask("UNLINK", name)
"""
MEMCACHED_SET = """        end = ttl if ttl <= LONGEST_SPAN else int(time.time()) + ttl
"""

SABOTAGES = [
    Sabotage(
        "IV.1",
        "the worker keeps the host that it had first",
        (Edit(WORKER, WORKER_BEGINS, REMEMBER_IN_WORKER + WORKER_BEGINS),),
        neighbours=("IV.3", "VI.1"),
        also=("III.5",),
    ),
    Sabotage(
        "IV.1",
        "the release phase migrates the database that it met first",
        (Edit(RELEASE, RELEASE_BEGINS, REMEMBER_IN_RELEASE),),
        neighbours=("IV.3", "VI.2"),
    ),
    Sabotage(
        "IV.1",
        "the list is read where the database says that the data is",
        (
            Edit(ROUTES, LIST, LIST_FROM_PRIMARY),
            Edit(ROUTES, "from fastapi import APIRouter", "import psycopg\nfrom fastapi import APIRouter"),
        ),
        neighbours=("VI.2", "VI.3"),
        also=("III.5",),
    ),
    Sabotage(
        "IV.1",
        "the options in the database's URL are dropped",
        (Edit(POSTGRES, CONNINFO, CONNINFO.replace('")', '").partition("?")[0]')),),
        neighbours=("III.5", "IV.3"),
    ),
    Sabotage(
        "IV.1",
        "the release phase takes the password as it is written in the URL",
        (Edit(RELEASE, RELEASE_BEGINS, RELEASE_BEGINS.replace('")', '").replace("%", "%25")')),),
        neighbours=("IV.3", "XII.2"),
    ),
    Sabotage(
        "IV.2",
        "a cache is presumed at localhost:6379",
        (
            Edit(
                "src/orders/settings.py",
                "    cache_url: CacheUrl | None = Field(\n        None,",
                '    cache_url: CacheUrl | None = Field(\n        SecretStr("redis://localhost:6379/0"),',
            ),
        ),
        neighbours=("IV.1", "IV.5", "VI.1"),
    ),
    Sabotage(
        "IV.2",
        "a job counts itself at a statistics server",
        (Edit(JOBS, COUNT_BEGINS, COUNT_ELSEWHERE + COUNT_BEGINS),),
        neighbours=("IV.1", "IV.3"),
    ),
    Sabotage(
        "IV.2",
        "web reports its use after some seconds",
        (Edit("src/orders/web/app.py", LIFESPAN, PHONE_HOME + LIFESPAN),),
        neighbours=("IV.1", "VI.1"),
    ),
    Sabotage(
        "IV.2",
        "the nightly job asks a neighbour",
        (Edit(JOBS, ARCHIVE, ASK_A_NEIGHBOUR + ARCHIVE),),
        neighbours=("IV.1", "VI.2"),
    ),
    Sabotage(
        "IV.2",
        "the nightly job tells a statistics server how many notes it has put away, if there were any",
        (
            Edit(
                JOBS,
                "    await work.connection.execute(ARCHIVE, (ARCHIVE_AFTER_DAYS,))\n",
                "    cursor = await work.connection.execute(ARCHIVE, (ARCHIVE_AFTER_DAYS,))\n"
                "    if cursor.rowcount:\n"
                "        with socket(AF_INET, SOCK_DGRAM) as statistics:\n"
                '            statistics.sendto(f"archived:{cursor.rowcount}|c".encode(), ("127.0.0.1", 8125))\n',
            ),
            Edit(
                JOBS,
                "from __future__ import annotations\n",
                "from __future__ import annotations\n\nfrom socket import AF_INET, SOCK_DGRAM, socket\n",
            ),
        ),
        neighbours=("IV.1", "VIII.3"),
    ),
    Sabotage(
        "IV.2",
        "a weekly digest goes to a mail server of its own",
        (Edit(JOBS, ARCHIVE, WEEKLY_DIGEST),),
        neighbours=("IV.1", "VIII.3"),
    ),
    Sabotage(
        "IV.2",
        "a job that has failed for good is told to a webhook",
        (
            Edit(WORKER, JOB_FAILED, JOB_FAILED + TELL_A_HOOK),
            Edit(
                WORKER,
                "from contextlib import suppress\n",
                "from contextlib import suppress\nfrom http.client import HTTPConnection\n",
            ),
        ),
        neighbours=("IV.3", "IX.4"),
    ),
    Sabotage(
        "IV.2",
        "an unexpected error goes to syslog",
        (
            Edit(MIDDLEWARE, UNEXPECTED, UNEXPECTED + TELL_SYSLOG),
            Edit(MIDDLEWARE, "import secrets\n", "import secrets\nimport socket\n"),
        ),
        neighbours=("IV.3", "IX.2"),
    ),
    Sabotage(
        "IV.3",
        "the worker exits on a connection error",
        (
            Edit(QUEUE, "        self.patient = True\n", "        self.patient = False\n"),
            Edit(
                WORKER,
                '            log.exception("taking jobs failed", again=not stop.is_set())\n',
                "            raise\n",
            ),
        ),
        neighbours=("IV.1", "VI.1"),
    ),
    Sabotage(
        "IV.3",
        "a tick is lost while the database is away",
        (
            Edit(CLOCK, TICKED, TICKED_ONCE),
            Edit(
                CLOCK,
                "        self._connector = app.connector\n",
                "        self._connector = app.connector\n        self._connector.patient = False\n",
            ),
            Edit(CLOCK, "from procrastinate import App\n", "import structlog\nfrom procrastinate import App\n"),
            Edit(CLOCK, "# Each tick once", "log = structlog.get_logger()\n\n# Each tick once"),
        ),
        neighbours=("IV.1", "VIII.3"),
    ),
    Sabotage(
        "IV.3",
        "web does not start before its database",
        (Edit(POSTGRES, "await self._pool.open()", "await self._pool.open(wait=True, timeout=3)"),),
        neighbours=("IV.1", "VI.1"),
    ),
    Sabotage(
        "IV.3",
        "liveness asks the database",
        (Edit(HEALTH, LIVE, LIVE_WITH_DATABASE),),
        neighbours=("IV.1", "VI.1"),
    ),
    Sabotage(
        "IV.3",
        "always ready",
        (Edit(HEALTH, 'if readiness.status == "ready":', 'if readiness.status != "draining":'),),
        neighbours=("IV.4", "IX.2"),
    ),
    Sabotage(
        "IV.3",
        "the worker lives on and never takes a job again",
        (Edit(QUEUE, "await asyncio.sleep(RETRY_SECONDS)\n\n", "await asyncio.sleep(3600)\n\n"),),
        neighbours=("IV.1", "VI.1"),
    ),
    Sabotage(
        "IV.4",
        "the cache holds the truth",
        (
            Edit(ROUTES, READ, READ_TRUTH_FROM_CACHE),
            Edit(ROUTES, CREATE, CREATE.replace("request: Request", "cache: Copies, request: Request")),
            Edit(ROUTES, CREATED, KEEP_IN_CACHE + CREATED),
        ),
        neighbours=("IV.1", "VI.1"),
        also=("IV.5", "VI.3"),
    ),
    Sabotage(
        "IV.4",
        "a lost cache is an error",
        (Edit(CACHE, FAILED, FAILED + "                raise\n"),),
        neighbours=("IV.5", "VI.3"),
    ),
    Sabotage(
        "IV.4",
        "what is in the cache is trusted",
        (Edit(ROUTES, READ, READ_TRUSTING),),
        neighbours=("IV.5", "VI.3"),
    ),
    Sabotage(
        "IV.4",
        "not ready without the cache",
        (Edit(CACHE, "essential = False", "essential = True"),),
        neighbours=("IV.3", "IV.5"),
    ),
    Sabotage(
        "IV.4",
        "what is in the cache has no end",
        (Edit(CONNECTIONS, SET, 'await self._ask("SET", name, value)'),),
        neighbours=("IV.1", "VI.1"),
        also=("IV.5", "VI.3"),
    ),
    Sabotage(
        "IV.4",
        "how often a note was read is in the cache alone",
        (
            Edit("src/orders/notes/model.py", CREATED_AT, CREATED_AT + "    views: int = 0\n"),
            Edit(ROUTES, READ, READ.replace("return ", "return await _viewed(cache, ").replace('b"")', 'b""))')),
            Edit(ROUTES, FOUND, FOUND.replace("return note", "return await _viewed(cache, note)")),
            Edit(ROUTES, ROUTER, ROUTER + VIEWED),
        ),
        neighbours=("IV.1", "VI.1"),
    ),
    Sabotage(
        "IV.5",
        "a Redis-only call forgets a thing",
        (
            Edit(CACHE, 'await self._try("delete", _name(key))', 'await self._try("unlink", _name(key))'),
            Edit(CACHE, 'Literal["get", "set", "delete"]', 'Literal["get", "set", "delete", "unlink"]'),
            Edit(CONNECTIONS, REDIS_DELETE, REDIS_DELETE + UNLINK),
        ),
        neighbours=("IV.4", "VI.3"),
    ),
    Sabotage(
        "IV.5",
        "a person is purged by a Redis-only call",
        (
            Edit(CACHE, 'await self._insist("delete", key)', 'await self._insist("unlink", key)'),
            Edit(CONNECTIONS, REDIS_DELETE, REDIS_DELETE + UNLINK),
        ),
        neighbours=("IV.4", "VI.3"),
    ),
    Sabotage(
        "IV.5",
        "memcached is attached and never filled",
        (Edit(CONNECTIONS, MEMCACHED_SET, "        return\n" + MEMCACHED_SET),),
        neighbours=("IV.4", "VI.3"),
    ),
]
