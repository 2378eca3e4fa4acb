"""Sabotages of factor III, config."""

from . import Edit, Sabotage

SETTINGS = "src/orders/settings.py"
CACHE = "src/orders/resources/cache/__init__.py"
SERVER = "src/orders/web/server.py"
MAIN = "src/orders/__main__.py"
WORKER = "src/orders/worker.py"
CLOCK = "src/orders/clock.py"
ROUTES = "src/orders/notes/routes.py"
LEVEL = "    logs.configure(process, style=loaded.log_format, level=loaded.log_level)\n"
DATABASE = '    database_url: PostgresUrl = Field(description="The database'
VALIDATOR = '    @field_validator("log_level", "log_format", mode="before")\n'
DOCS = 'docs_url="/docs" if settings.feature_api_docs else None,'
POOL = "    database_pool_size: Annotated[int"
POOL_LISTED = "# The most connections that one process holds to the database.\n"


def setting(name: str, field: str) -> tuple[Edit, Edit]:
    """One setting more, and listed."""
    listed = f"# One more.\n# {name.upper()}=\n\n{POOL_LISTED}"
    return Edit(SETTINGS, POOL, f"    {name}: {field}\n{POOL}"), Edit(".env.example", POOL_LISTED, listed)


SABOTAGES = [
    Sabotage(
        "III.1",
        "a handler reads a variable of its own",
        (
            Edit(ROUTES, "from contextlib import suppress\n", "import os\nfrom contextlib import suppress\n"),
            Edit(
                ROUTES,
                "        notes = await queries.newest(connection, limit, before)\n",
                '        notes = await queries.newest(connection, min(limit, int(os.getenv("MOST", "9"))), before)\n',
            ),
        ),
        neighbours=("III.5", "VII.1", "XIII.1"),
    ),
    Sabotage(
        "III.1",
        "a feature has settings of its own",
        (
            Edit(
                "src/orders/notes/jobs.py",
                "from ..jobs import Work, job\n",
                "from pydantic_settings import BaseSettings\n\nfrom ..jobs import Work, job\n\n\n"
                "class Archive(BaseSettings):\n    archive_after: int = 90\n\n",
            ),
            Edit("src/orders/notes/jobs.py", "(ARCHIVE_AFTER_DAYS,)", "(Archive().archive_after,)"),
        ),
        neighbours=("III.5", "VIII.1", "IX.3"),
    ),
    Sabotage(
        "III.1",
        "a variable whose name is put together, by a roundabout way",
        (
            Edit("src/orders/clock.py", "import asyncio\n", "import asyncio\nimport shutil\n"),
            Edit(
                "src/orders/clock.py",
                "    known = jobs.known()\n",
                '    known = {} if vars(shutil.os)["envi" + "ron"].get("_".join(("NO", "CLOCK"))) else jobs.known()\n',
            ),
        ),
        neighbours=("III.5", "VIII.1"),
    ),
    Sabotage(
        "III.1",
        "the settings know a variable that they do not declare",
        (
            Edit(
                SETTINGS,
                "    given = _read(field.upper())\n",
                '    given = os.environ.get(f"FORCE_{field.upper()}") or _read(field.upper())\n',
            ),
        ),
        neighbours=("III.5", "VII.1"),
    ),
    Sabotage(
        "III.1",
        "a file in /etc is read before the environment",
        (
            Edit(
                SETTINGS,
                "def load() -> Settings:\n",
                'def _host_wide() -> None:\n    file = Path("/etc/orders.env")\n    if file.exists():\n'
                '        os.environ.update(line.split("=", 1) for line in file.read_text().splitlines())\n\n\n'
                "_host_wide()\n\n\ndef load() -> Settings:\n",
            ),
        ),
        neighbours=("III.2", "III.5", "VII.1"),
    ),
    Sabotage(
        "III.1",
        "the worker takes its settings from a file in the folder where it starts",
        (
            Edit(WORKER, "import asyncio\n", "import asyncio\nimport tomllib\n"),
            Edit(
                WORKER,
                "from contextlib import suppress\n",
                "from contextlib import suppress\nfrom pathlib import Path\n",
            ),
            Edit(
                WORKER,
                '    return process.run("worker", settings,',
                '    if (own := Path("worker.toml")).exists():\n'
                "        settings = settings.model_copy(update=tomllib.loads(own.read_text()))\n"
                '    return process.run("worker", settings,',
            ),
        ),
        neighbours=("III.5", "VIII.1"),
    ),
    Sabotage(
        "III.2",
        "a silent default for the database",
        (Edit(SETTINGS, DATABASE, DATABASE.replace("Field(", 'Field(SecretStr("postgresql://localhost/app"), ')),),
        neighbours=("III.5", "VII.1"),
    ),
    Sabotage(
        "III.2",
        "names the first problem only",
        (
            Edit(
                SETTINGS,
                '        problems[field.upper()] = f"{wrong}. {Settings.model_fields[field].description}"\n',
                '        problems[field.upper()] = f"{wrong}. {Settings.model_fields[field].description}"\n'
                "        break\n",
            ),
        ),
        neighbours=("III.5", "VII.1"),
    ),
    Sabotage(
        "III.2",
        "shows the value that is wrong",
        (
            Edit(SETTINGS, "include_context=False, include_input=False", "include_context=False, include_input=True"),
            Edit(
                SETTINGS,
                "        problems[field.upper()] = ",
                '        if isinstance(given := detail.get("input"), str):\n'
                '            wrong = f"{wrong}, not {given}"\n'
                "        problems[field.upper()] = ",
            ),
        ),
        neighbours=("III.5", "VII.1"),
    ),
    Sabotage(
        "III.2",
        "web opens its port before it looks at its configuration",
        (
            Edit(
                MAIN,
                "    from .web import server\n\n    return server.run(_settings(arguments.command))\n",
                "    import socket\n\n    from . import settings\n\n"
                "    port = settings.peek('port')\n"
                "    early = socket.create_server(('127.0.0.1', int(port) if port.isdigit() else 0))\n"
                "    from .web import server\n\n    loaded = _settings(arguments.command)\n    early.close()\n"
                "    return server.run(loaded)\n",
            ),
        ),
        neighbours=("III.5",),
        also=("VII.1",),  # until then it is on one interface
    ),
    Sabotage(
        "III.2",
        "ends with 0, so that nobody is alarmed",
        (Edit(MAIN, "        return CONFIGURATION_ERROR\n", "        return 0\n"),),
        neighbours=("III.5", "VII.1"),
    ),
    Sabotage(
        "III.2",
        "an address of the cache that cannot be used is taken for none",
        (
            Edit(
                SETTINGS,
                VALIDATOR,
                '    @field_validator("cache_url", mode="before")\n    @classmethod\n'
                "    def _optional(cls, value: object) -> object:\n        try:\n"
                "            return _cache_url(SecretStr(value)) if isinstance(value, str) else value\n"
                f"        except ValueError:\n            return None\n\n{VALIDATOR}",
            ),
        ),
        neighbours=("III.5", "IV.4"),
    ),
    Sabotage(
        "III.2",
        "instead of a number that is none the default is taken",
        (
            Edit(
                SETTINGS,
                VALIDATOR,
                '    @field_validator("worker_concurrency", "database_pool_size", "cache_ttl_seconds", mode="before")\n'
                "    @classmethod\n    def _lenient(cls, value: object, info: ValidationInfo) -> object:\n"
                "        usable = not isinstance(value, str) or value.isdigit()\n"
                f"        return value if usable else cls.model_fields[str(info.field_name)].default\n\n{VALIDATOR}",
            ),
        ),
        neighbours=("III.5", "VII.1"),
    ),
    Sabotage(
        "III.3",
        "logs the settings at boot",
        (
            Edit(
                MAIN,
                LEVEL,
                f'{LEVEL}    log.debug("settings", database=loaded.database_url.get_secret_value())\n',
            ),
        ),
        neighbours=("III.2", "VII.1"),
    ),
    Sabotage(
        "III.3",
        "the answer to an outage tells where the database is",
        (
            Edit(
                "src/orders/web/errors.py",
                "async def _unavailable(_: Request,",
                "async def _unavailable(request: Request,",
            ),
            Edit(
                "src/orders/web/errors.py",
                'return problem(503, "The database cannot be reached now.",',
                "where = request.app.state.settings.secret('database_url')\n"
                '    return problem(503, f"The database at {where} cannot be reached now.",',
            ),
        ),
        neighbours=("III.2", "VII.1"),
    ),
    Sabotage(
        "III.3",
        "`config show` tells the half of each secret",
        (
            Edit(
                "src/orders/config.py",
                "        return MASK\n",
                "        return value.get_secret_value()[: len(value) // 2 + 12] + MASK\n",
            ),
        ),
        neighbours=("III.2", "VII.1"),
    ),
    Sabotage(
        "III.3",
        "`config show` tells how each password begins",
        (
            Edit(
                "src/orders/config.py",
                "        return MASK\n",
                '        return value.get_secret_value().rpartition("@")[0].rpartition(":")[2][:8] + MASK\n',
            ),
        ),
        neighbours=("III.2", "VII.1"),
    ),
    Sabotage(
        "III.3",
        "a password is in the code",
        (
            Edit(
                "src/orders/mail.py",
                "",
                '"""How mail is sent."""\n\nRELAY = "smtps://orders:wheel7-Barrow-Tin@mail.orders.dev:465"\n',
            ),
        ),
        neighbours=("III.2", "VII.1"),
    ),
    Sabotage(
        "III.3",
        "the credentials of the mail service are in the code",
        (
            Edit(
                "src/orders/mail.py",
                "",
                '"""How mail is sent."""\n\nSEND = "https://mail.orders.dev/v1/send"\n'
                'HEADERS = {"Authorization": "Basic b3JkZXJzOndoZWVsNy1CYXJyb3ctVGlu"}\n',
            ),
        ),
        neighbours=("III.2", "VII.1"),
    ),
    Sabotage(
        "III.3",
        "traces tell where the database is",
        (
            Edit(
                "src/orders/tracing.py",
                '"process.type": process}\n',
                '"process.type": process}\n            | {"db.url": settings.secret("database_url")}\n',
            ),
        ),
        neighbours=("III.2", "XIV.2"),
    ),
    Sabotage(
        "III.3",
        "each job keeps where the database is",
        (
            Edit(
                "src/orders/jobs.py",
                "ORIGIN: _origin()})\n",
                'ORIGIN: _origin() | {"queue": settings.load().secret("database_url")}})\n',
            ),
            Edit(
                "src/orders/jobs.py",
                "from . import parts, telemetry, tracing\n",
                "from . import parts, settings, telemetry, tracing\n",
            ),
        ),
        neighbours=("III.2", "VIII.1"),
    ),
    Sabotage(
        "III.4",
        "production hides the documentation",
        (
            *setting("app_env", 'str = Field("development", description="Where it runs.")'),
            Edit(
                "src/orders/web/app.py",
                DOCS,
                DOCS.replace(" else", ' and settings.app_env != "production" else'),
            ),
        ),
        neighbours=("III.5", "VII.1"),
    ),
    Sabotage(
        "III.4",
        "a tier hides the documentation",
        (
            *setting("tier", 'str = Field("", description="Which tier it is.")'),
            Edit(
                "src/orders/web/app.py",
                DOCS,
                DOCS.replace(" else", ' and {"production": False}.get(settings.tier, True) else'),
            ),
        ),
        neighbours=("III.5", "VII.1"),
    ),
    Sabotage(
        "III.4",
        "a switch that is declared tells that it is production",
        (
            *setting("is_production", 'bool = Field(False, description="Whether it is production.")'),
            Edit("src/orders/web/app.py", DOCS, DOCS.replace(" else", " and not settings.is_production else")),
        ),
        neighbours=("III.5", "VII.1"),
    ),
    Sabotage(
        "III.4",
        "the documentation is hidden where there is Kubernetes",
        (
            Edit(
                "src/orders/web/app.py",
                DOCS,
                DOCS.replace(" else", ' and not Path("/var/run/secrets/kubernetes.io").is_dir() else'),
            ),
            Edit(
                "src/orders/web/app.py",
                "from contextlib import asynccontextmanager\n",
                "from contextlib import asynccontextmanager\nfrom pathlib import Path\n",
            ),
        ),
        neighbours=("III.1", "III.5", "VII.1"),
    ),
    Sabotage(
        "III.4",
        "the name of the host tells that it is production",
        (
            Edit(
                "src/orders/web/app.py", DOCS, DOCS.replace(" else", ' and not gethostname().startswith("prod-") else')
            ),
            Edit(
                "src/orders/web/app.py",
                "from contextlib import asynccontextmanager\n",
                "from contextlib import asynccontextmanager\nfrom socket import gethostname\n",
            ),
        ),
        neighbours=("III.5", "VII.1"),
    ),
    Sabotage(
        "III.4",
        "a stage chooses how much is logged",
        (
            *setting("stage", 'str = Field("", description="Where it runs.")'),
            Edit(
                MAIN, LEVEL, LEVEL.replace("level=loaded.log_level", "level=LEVELS.get(loaded.stage, loaded.log_level)")
            ),
            Edit(MAIN, "CONFIGURATION_ERROR = 78", 'LEVELS = {\n    "test": "error",\n}\n\nCONFIGURATION_ERROR = 78'),
        ),
        neighbours=("III.5", "VII.1"),
    ),
    Sabotage(
        "III.4",
        "WEB_CONCURRENCY makes more processes",
        (
            *setting("web_concurrency", 'int = Field(1, description="How many processes.")'),
            Edit(SERVER, "import gc\n", "import gc\nimport os\n"),
            Edit(
                SERVER,
                "    server.run([listener])\n",
                "    for _ in range(settings.web_concurrency - 1):\n"
                "        if os.fork() == 0:\n            break\n    server.run([listener])\n",
            ),
        ),
        neighbours=("III.5", "VII.1"),
    ),
    Sabotage(
        "III.5",
        "the secret is read once",
        (
            Edit(
                SETTINGS,
                "        current = load() if origin(field).file else self\n"
                "        secret: SecretStr = getattr(current, field)\n",
                "        secret: SecretStr = getattr(self, field)\n",
            ),
        ),
        neighbours=("III.2", "VII.1"),
    ),
    Sabotage(
        "III.5",
        "the pool keeps the address with which it began",
        (
            Edit(
                "src/orders/resources/postgres.py",
                'conninfo=lambda: settings.secret("database_url"),',
                'conninfo=settings.secret("database_url"),',
            ),
        ),
        neighbours=("III.2", "VII.1"),
    ),
    Sabotage(
        "III.5",
        "the cache keeps the password with which it began",
        (
            Edit(
                CACHE,
                "        self._settings = settings\n",
                '        self._url = settings.secret("cache_url") if settings.cache_url else ""\n',
            ),
            Edit(CACHE, 'connection_to(self._settings.secret("cache_url"))', "connection_to(self._url)"),
        ),
        neighbours=("III.2", "IV.4"),
    ),
    Sabotage(
        "III.5",
        "the secret is read again once a minute",
        (
            Edit(
                SETTINGS,
                "        current = load() if origin(field).file else self\n",
                "        current = _some_time_ago(int(time.monotonic() / 60)) if origin(field).file else self\n",
            ),
            Edit(SETTINGS, "import re\n", "import re\nimport time\nfrom functools import cache\n"),
            Edit(
                SETTINGS,
                "def peek(field: str)",
                "@cache\ndef _some_time_ago(_: int) -> Settings:\n    return load()\n\n\ndef peek(field: str)",
            ),
        ),
        neighbours=("III.2", "VII.1"),
    ),
    Sabotage(
        "III.5",
        "the clock ticks on a connection with the password that it began with",
        (
            Edit(
                CLOCK,
                "            await self._connector.execute_query_async(TICK, job=due.task.name, at=at)\n",
                "            async with await AsyncConnection.connect(self._url, autocommit=True) as connection:\n"
                '                await connection.execute(TICK, {"job": due.task.name, "at": at})\n',
            ),
            Edit(
                CLOCK,
                "        self._connector = app.connector\n",
                '        self._url = load().secret("database_url")\n',
            ),
            Edit(
                CLOCK,
                "from procrastinate import App\n",
                "from procrastinate import App\nfrom psycopg import AsyncConnection\n",
            ),
            Edit(CLOCK, "from .settings import Settings\n", "from .settings import Settings, load\n"),
        ),
        neighbours=("VIII.3", "IV.1"),
    ),
    Sabotage(
        "III.5",
        "a new password is told to the log",
        (
            Edit(
                SETTINGS,
                "        secret: SecretStr = getattr(current, field)\n",
                "        secret: SecretStr = getattr(current, field)\n        if secret != getattr(self, field):\n"
                '            logging.getLogger("orders").warning("%s is now %s", field, secret.get_secret_value())\n',
            ),
            Edit(SETTINGS, "import os\nimport re\n", "import logging\nimport os\nimport re\n"),
        ),
        neighbours=("III.2", "VII.1"),
    ),
]
