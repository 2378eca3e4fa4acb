"""Sabotages of factor XI, logs."""

from . import Edit, Sabotage

LOGS = "src/orders/logs.py"
ROUTES = "src/orders/notes/routes.py"
HANDLERS = "    root.handlers = [_ToEvents()]\n"
LIBRARIES = "from types import TracebackType\n"
REQUEST = '    log.info("request", **what, **tracing.current())\n'
JOB = '            log.info("job", outcome=outcome, duration=round(seconds, 6))\n'
ARCHIVE = "    await work.connection.execute(ARCHIVE, (ARCHIVE_AFTER_DAYS,))\n"
PURGED = '    log.info("purged", **found)'
CONFIGURE = "    logs.configure(process, style=loaded.log_format, level=loaded.log_level)\n"
MIDDLEWARE = "src/orders/web/middleware.py"
FAILED = '            log.exception("request failed")\n'
ERRORS_OF_REQUESTS = Edit(
    MIDDLEWARE, FAILED, f'{FAILED}            logging.getLogger("orders").error("request failed")\n'
)
SENT = """\
    collector = logging.handlers.HTTPHandler("127.0.0.1:{port}", "/push", method="POST")
    collector.setLevel(logging.ERROR)
    collector.handleError = lambda record: None
    root.handlers = [_ToEvents(), collector]
"""
EVENT = "{'timestamp': datetime.now(UTC).isoformat(), 'level': 'info', 'event': "


def errors_sent_to(port: int) -> tuple[Edit, ...]:
    """A collector of logs on that port, which is told of requests that failed."""
    return (
        Edit(LOGS, "import logging\n", "import logging\nimport logging.handlers\n"),
        Edit(LOGS, HANDLERS, SENT.format(port=port)),
        ERRORS_OF_REQUESTS,
        Edit(MIDDLEWARE, "import re\n", "import logging\nimport re\n"),
    )


SABOTAGES = [
    Sabotage(
        "XI.1",
        "a rotating file keeps what libraries say",
        (
            Edit(LOGS, "import logging\n", "import logging\nimport logging.handlers\n"),
            Edit(
                LOGS,
                HANDLERS,
                "    kept = logging.handlers.RotatingFileHandler('orders.log', maxBytes=9_000, delay=True)\n"
                "    root.handlers = [_ToEvents(), kept]\n",
            ),
        ),
        neighbours=("XI.2", "VII.1"),
        also=("V.3", "VI.2", "XI.3"),  # what it cannot format, it complains of in its own form
    ),
    Sabotage(
        "XI.1",
        "syslog is told as well",
        (
            Edit(LOGS, "import logging\n", "import logging\nimport logging.handlers\n"),
            Edit(LOGS, HANDLERS, "    root.handlers = [_ToEvents(), logging.handlers.SysLogHandler()]\n"),
        ),
        neighbours=("XI.2", "VII.1"),
        also=("IV.2", "XI.3"),
    ),
    Sabotage(
        "XI.1",
        "the worker keeps a journal, written as it ends",
        (
            Edit("src/orders/worker.py", "import asyncio\n", "import asyncio\nimport tempfile\n"),
            Edit(
                "src/orders/worker.py",
                "        finally:\n            await process.end(rescuing)\n",
                "        finally:\n            await process.end(rescuing)\n"
                "            with tempfile.NamedTemporaryFile('w', dir='.', prefix='journal-', delete=False) as file:\n"
                "                file.write(f'{perf_counter()} INFO took part\\nINFO ended\\n')\n",
            ),
        ),
        neighbours=("XI.3", "VIII.1"),
        also=("V.3", "VI.2"),
    ),
    Sabotage(
        "XI.1",
        "a variable names a file that keeps the log as well",
        (
            Edit(
                ".env.example",
                "# LOG_LEVEL=info\n",
                "# LOG_LEVEL=info\n\n# Where the log is kept as well.\n# LOG_FILE=\n",
            ),
            Edit(
                "src/orders/settings.py",
                "    log_format: Literal[",
                '    log_file: str | None = Field(None, description="Where the log is kept as well.")\n'
                "    log_format: Literal[",
            ),
            Edit(
                "src/orders/__main__.py",
                CONFIGURE,
                f"{CONFIGURE}    if loaded.log_file:\n        import logging\n\n"
                "        logging.getLogger().addHandler(logging.FileHandler(loaded.log_file))\n",
            ),
        ),
        neighbours=("XI.2", "XI.3"),
    ),
    Sabotage(
        "XI.1",
        "errors go to Loki as well",
        errors_sent_to(3100),
        neighbours=("XI.2", "XI.3"),
        also=("IV.2",),
    ),
    Sabotage(
        "XI.1",
        "errors go to a collector of the platform's, at a port of its own",
        errors_sent_to(9713),
        neighbours=("XI.2", "XI.3"),
        also=("IV.2",),
    ),
    Sabotage(
        "XI.1",
        "a file notes each person that was erased",
        (
            Edit(
                "src/orders/admin/people.py",
                PURGED,
                '    with open("erasures", "a") as file:\n        file.write(f"purged {found}\\n")\n' + PURGED,
            ),
        ),
        neighbours=("XI.3", "XII.3"),
    ),
    Sabotage(
        "XI.1",
        "the nightly job notes in a file what it did",
        (
            Edit(
                "src/orders/notes/jobs.py",
                ARCHIVE,
                f"    done = {ARCHIVE.lstrip()}"
                '    with open("archived.txt", "a") as file:\n        file.write(f"archived {done.rowcount}\\n")\n',
            ),
        ),
        neighbours=("XI.3", "VIII.3"),
    ),
    Sabotage(
        "XI.2",
        "web prints its access log, and nothing flushes it",
        (
            Edit("src/orders/web/middleware.py", "import re\n", "import json\nimport re\n"),
            Edit(
                "src/orders/web/middleware.py",
                "from functools import cache\n",
                "from datetime import UTC, datetime\nfrom functools import cache\n",
            ),
            Edit(
                "src/orders/web/middleware.py",
                REQUEST,
                f"    print(json.dumps({{**{EVENT}'request'}}, **what, **tracing.current()}}))\n",
            ),
        ),
        neighbours=("VII.1", "XIII.1"),
    ),
    Sabotage(
        "XI.2",
        "the worker collects its lines and writes them now and then",
        (
            Edit(
                "src/orders/worker.py", "import asyncio\n", "import asyncio\nimport io\nimport sys\nimport threading\n"
            ),
            Edit(
                "src/orders/worker.py",
                '    logging.getLogger("procrastinate.worker").disabled = True\n',
                '    logging.getLogger("procrastinate.worker").disabled = True\n    _collect()\n',
            ),
            Edit(
                "src/orders/worker.py",
                "class Worker:\n",
                "def _collect() -> None:\n"
                "    direct, lines = sys.stdout.buffer.raw, []  # type: ignore[attr-defined]\n\n"
                "    class Later(io.RawIOBase):\n"
                "        def write(self, line: bytes) -> int:\n"
                "            lines.append(bytes(line))\n"
                "            return len(line)\n\n"
                "    def now_and_then() -> None:\n"
                "        while True:\n"
                "            threading.Event().wait(0.9)\n"
                "            while lines:\n"
                "                direct.write(lines.pop(0))\n\n"
                "    structlog.configure(logger_factory=structlog.BytesLoggerFactory(Later()))\n"
                "    threading.Thread(target=now_and_then, daemon=True).start()\n\n\n"
                "class Worker:\n",
            ),
        ),
        neighbours=("VIII.1",),
    ),
    Sabotage(
        "XI.2",
        "the release phase prints its steps, and nothing flushes them",
        (
            Edit("src/orders/release.py", "import time\n", "import json\nimport time\n"),
            Edit(
                "src/orders/release.py",
                "from contextlib import contextmanager\n",
                "from contextlib import contextmanager\nfrom datetime import UTC, datetime\n",
            ),
            Edit(
                "src/orders/release.py",
                '    log.info("migrated", revision=step.up_revision_id, about=step.up_revision.doc)\n',
                f"    print(json.dumps({EVENT}'migrated', 'revision': step.up_revision_id}}))\n",
            ),
        ),
        neighbours=("XII.2", "XII.3"),
    ),
    Sabotage(
        "XI.2",
        "what libraries say is kept in memory until there are a hundred lines",
        (
            Edit(LOGS, "import logging\n", "import logging\nimport logging.handlers\n"),
            Edit(LOGS, HANDLERS, "    root.handlers = [logging.handlers.MemoryHandler(100, target=_ToEvents())]\n"),
        ),
        neighbours=("VII.1", "XI.1"),
    ),
    Sabotage(
        "XI.2",
        "the clock prints, and nothing flushes it",
        (
            Edit(
                "src/orders/clock.py",
                "    known = jobs.known()\n",
                "    known = jobs.known()\n    import json\n    from datetime import UTC, datetime\n\n"
                f"    print(json.dumps({EVENT}'knows its jobs'}}))\n",
            ),
        ),
        neighbours=("VIII.3", "XI.1"),
    ),
    Sabotage(
        "XI.3",
        "a crash leaves a stock traceback",
        (Edit(LOGS, "    sys.excepthook = _log_crash\n", ""),),
        neighbours=("XI.2", "VII.1"),
    ),
    Sabotage(
        "XI.3",
        "a route prints a remark",
        (
            Edit(
                ROUTES,
                "        note = await queries.insert(connection, new)\n",
                "        note = await queries.insert(connection, new)\n    print(f'kept {note.id}', flush=True)\n",
            ),
        ),
        neighbours=("XI.2", "VII.1"),
    ),
    Sabotage(
        "XI.3",
        "warnings of libraries go to stderr as they are",
        (Edit(LOGS, "    logging.captureWarnings(True)\n", ""),),
        neighbours=("XI.2", "VII.1"),
    ),
    Sabotage(
        "XI.3",
        "a failed request is told, its traceback printed",
        (
            Edit("src/orders/web/middleware.py", "import secrets\n", "import secrets\nimport traceback\n"),
            Edit(
                "src/orders/web/middleware.py",
                '            log.exception("request failed")\n',
                '            log.error("request failed")\n            traceback.print_exc()\n',
            ),
        ),
        neighbours=("XI.2", "VII.1"),
    ),
    Sabotage(
        "XI.3",
        "the nightly job prints what it did",
        (
            Edit(
                "src/orders/notes/jobs.py",
                ARCHIVE,
                f'    done = {ARCHIVE.lstrip()}    print(f"archived {{done.rowcount}} notes")\n',
            ),
        ),
        neighbours=("XI.1", "VIII.3"),
    ),
    Sabotage(
        "XI.3",
        "a cache that fails prints a traceback",
        (
            Edit("src/orders/resources/cache/__init__.py", "import time\n", "import time\nimport traceback\n"),
            Edit(
                "src/orders/resources/cache/__init__.py",
                "    async def _fail(self, error: Exception) -> None:\n",
                "    async def _fail(self, error: Exception) -> None:\n        traceback.print_exception(error)\n",
            ),
        ),
        neighbours=("XI.2", "VII.1"),
    ),
    Sabotage(
        "XI.3",
        "a file keeps the last words of a crash as well",
        (
            Edit(
                LOGS,
                "    sys.excepthook = _log_crash\n",
                "    sys.excepthook = _crashed\n",
            ),
            Edit(
                LOGS,
                "def _for_people() -> list[Processor]:\n",
                "def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:\n"
                '    with open("/tmp/orders-crash.log", "a") as file:\n'
                "        traceback.print_exception(kind, error, trace, file=file)\n"
                "    _log_crash(kind, error, trace)\n\n\n"
                "def _for_people() -> list[Processor]:\n",
            ),
            Edit(LOGS, "import threading\n", "import threading\nimport traceback\n"),
        ),
        neighbours=("XI.1", "XI.2"),
    ),
    Sabotage(
        "XI.3",
        "the nightly job prints how many notes it has put away, if there were any",
        (
            Edit(
                "src/orders/notes/jobs.py",
                ARCHIVE,
                f"    cursor = {ARCHIVE.lstrip()}    if cursor.rowcount:\n"
                '        print(f"{cursor.rowcount} notes put away")\n',
            ),
        ),
        neighbours=("XI.1", "XI.2"),
    ),
]
