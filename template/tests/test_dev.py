"""The development launcher: what it starts, in which order, and that nothing outlives it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from dev import postgres, project, tether

ROOT = Path(__file__).parent.parent
NO_DATABASE = "postgresql://someone:pa:ss@w@rd@127.0.0.1:1/none"

# A process type of its own: says who it is, and upon SIGTERM whether the database still runs.
FAKE = """
import os, re, signal, socket, sys, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer
name, url = sys.argv[1], os.environ["DATABASE_URL"]
port = int(re.search(r":(\\d+)/", url)[1])
print(f"argv {sys.argv[1:]} pid {os.getpid()} database {port}")
if name == "release":
    time.sleep(0.2)
    print("released")
    sys.exit(int(sys.argv[2]) if sys.argv[2:] else 0)
if "crash" in sys.argv:
    sys.exit(int(sys.argv[-1]))
def end(*_):
    time.sleep(0.1)
    with socket.create_connection(("127.0.0.1", port)) as database:
        print("stopping before the database")
    os._exit(0)
class Ready(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, end)
if name == "web":
    server = HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Ready)
    threading.Thread(target=server.serve_forever, daemon=True).start()
while True:
    signal.pause()
"""


def eventually(holds: Callable[[], object], what: str = "", seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # no /proc here, or gone since
        return sys.platform != "linux"
    return state != "Z"


def server_pid(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


def ask(url: str, query: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row
    return str(row[0])


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data that nothing runs on at the moment."""
    folder = tmp_path_factory.mktemp("dev") / "18"
    with postgres.server(folder) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'still here' AS text")
    return folder


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server for throw-away data, in a folder where a first run was interrupted."""
    folder = tmp_path_factory.mktemp("throw-away")
    (folder / "data.new").mkdir()
    (folder / "data.new" / "PG_VERSION").write_text(str(postgres.MAJOR))
    with postgres.server(folder, durable=False) as url:
        yield url
    assert not (folder / "data").exists()


class Run:
    """`python -m dev.run` in a folder of its own; `output` grows while it runs."""

    def __init__(self, folder: Path, *arguments: str, **env: str) -> None:
        self.log = folder / "output"
        self.port = postgres.free_port()
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PORT": str(self.port)} | env
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dev.run", *arguments],
                cwd=folder,
                env=env,
                stdout=output,
                stderr=output,
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        eventually(lambda: self.output.count(text) >= times, f"no {text!r} in\n{self.output}")

    def pids(self, name: str) -> list[int]:
        return [int(n) for n in re.findall(rf"^{name} +\| argv .* pid (\d+)", self.output, re.M)]

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


Start = Callable[..., Run]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the launcher on a Procfile whose commands are fakes."""
    runs: list[Run] = []

    def start(procfile: str, **env: str) -> Run:
        (tmp_path / "src").mkdir()
        (tmp_path / "migrations").mkdir()
        (tmp_path / "fake.py").write_text(FAKE)
        (tmp_path / "Procfile").write_text(procfile.replace("fake", "python fake.py"))
        runs.append(Run(tmp_path, **env))
        return runs[-1]

    yield start
    for run in runs:
        run.process.kill()
        run.process.wait()


# The database


def test_the_server_has_the_declared_version_encoding_and_locale(url: str) -> None:
    assert ask(url, "SHOW server_version").split(".")[0] == str(postgres.MAJOR)
    facts = "pg_encoding_to_char(encoding), datlocprovider, datlocale, datcollate"
    query = f"SELECT concat_ws(' ', {facts}) FROM pg_database WHERE datname = current_database()"
    assert ask(url, query) == "UTF8 b C.UTF-8 C"


def test_the_server_listens_on_loopback_and_wants_the_password(url: str, kept: Path) -> None:
    assert ask(url, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(url, "SHOW unix_socket_directories") == ""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url, password="guess")
    assert (kept / "data" / "pgpass").stat().st_mode & 0o777 == 0o600


def test_a_database_is_made_from_a_template(url: str) -> None:
    template = postgres.create_database(url, "a template")
    with psycopg.connect(template) as connection:
        connection.execute("CREATE TABLE copied AS SELECT 1")
    assert ask(postgres.create_database(url, "copy", template="a template"), "TABLE copied") == "1"


def test_the_data_survives_a_restart(kept: Path) -> None:
    with postgres.server(kept) as url:
        assert ask(url, "TABLE kept") == "still here"


def test_a_second_server_is_refused_or_shared(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0)
    with postgres.server(kept) as url:
        refused = pytest.raises(postgres.UnavailableError, match="stop that, or set DATABASE_URL")
        with refused, postgres.server(kept):
            pass
        with postgres.server(kept, share=True) as shared:
            assert shared == url
        assert ask(url, "SELECT 1") == "1"


def test_what_a_crash_left_behind_heals(kept: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(kept, tmp_path / "18")
    # After a reboot another program may well have the number of the server that was cut off.
    with subprocess.Popen(["sleep", "20"]) as other:
        left = f"{other.pid}\n{folder}\n1\n1\n\n\n\nready\n"
        (folder / "data" / "postmaster.pid").write_text(left)
        with postgres.server(folder) as url:
            assert ask(url, "TABLE kept") == "still here"
        other.kill()


def test_no_server_outlives_a_killed_launcher(kept: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(kept, tmp_path / "18")
    code = (
        "import pathlib, sys, time; from dev import postgres\n"
        "with postgres.server(pathlib.Path(sys.argv[1])): print(flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as launcher:
        assert launcher.stdout
        launcher.stdout.readline()
        pid = server_pid(folder)
        launcher.kill()
    eventually(lambda: not alive(pid))
    with postgres.server(folder) as url:
        assert ask(url, "TABLE kept") == "still here"


def test_the_watchdog_does_the_same_where_the_kernel_does_not() -> None:
    code = (
        "import signal, subprocess, time; from dev import tether\n"
        "process = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        "tether.watch(process, signal.SIGKILL, group=True)\n"
        "print(process.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as launcher:
        assert launcher.stdout
        pid = int(launcher.stdout.readline())
        assert alive(pid)
        launcher.kill()
    eventually(lambda: not alive(pid))


def test_a_program_that_is_not_there_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert tether.spawn(["no-such-program"]).wait() == tether.NOT_FOUND
    assert capfd.readouterr().err.endswith("no-such-program: No such file or directory\n")


# The launcher


def test_release_goes_first_and_the_database_last(start: Start, kept: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(kept, tmp_path / postgres.FOLDER)
    run = start("web: fake web --name 'a b'\nrelease: fake release\nworker: fake worker\n")
    run.wait_for("to stop")
    run.wait_for("worker  | argv")
    pids = [*run.pids("web"), *run.pids("worker"), server_pid(folder)]
    lines = run.output.splitlines()
    assert lines.index("release | released") < min(
        next(i for i, line in enumerate(lines) if line.startswith(name)) for name in ("web", "work")
    )
    assert all(re.match(r"(dev    |web    |worker |release) \| ", line) for line in lines)
    assert "web     | argv ['web', '--name', 'a b']" in run.output
    assert f"service   http://127.0.0.1:{run.port}\n" in run.output
    assert re.search(r"database  postgresql://app@127.0.0.1:\d+/app\?passfile=", run.output)
    assert run.end() == 0
    assert run.output.count("stopping before the database") == 2
    assert not any(map(alive, pids))


def test_a_change_restarts_what_it_concerns(start: Start, tmp_path: Path) -> None:
    run = start("release: fake release\nweb: fake web\n", DATABASE_URL=NO_DATABASE)
    run.wait_for("ready after")
    (tmp_path / "src" / "module.py").touch()
    run.wait_for("ready after", times=2)
    (tmp_path / "migrations" / "0001.py").touch()
    run.wait_for("ready after", times=3)
    assert len(set(run.pids("web"))) == 3
    assert run.output.count("web     | argv ['web'] ") == 3
    assert len(run.pids("release")) == 2
    assert "dev     | src/module.py changed: restarting\n" in run.output
    assert "dev     | migrations/0001.py changed: restarting after release\n" in run.output
    assert "pa:ss" not in run.output
    assert run.end(signal.SIGTERM) == 0


def test_a_crash_leaves_the_others_alone_until_a_change(start: Start, tmp_path: Path) -> None:
    run = start("web: fake web\nworker: fake worker crash 3\n", DATABASE_URL=NO_DATABASE)
    run.wait_for("worker ended with code 3: it starts again when a file changes")
    run.wait_for("ready after")
    (tmp_path / "src" / "module.py").touch()
    run.wait_for("worker ended with code 3", times=2)
    assert run.end(signal.SIGHUP) == 0


@pytest.mark.parametrize(
    ("procfile", "code"),
    [("release: fake release 7\nweb: fake web\n", 7), ("web: fake web crash 78\n", 78)],
    ids=["release", "configuration"],
)
def test_what_cannot_start_stops_all(start: Start, procfile: str, code: int) -> None:
    run = start(procfile, DATABASE_URL=NO_DATABASE)
    assert run.process.wait(20) == code
    assert f"ended with code {code}: stopping" in run.output


def test_nothing_outlives_a_killed_launcher(start: Start) -> None:
    run = start("web: fake web\nworker: fake worker\n", DATABASE_URL=NO_DATABASE)
    run.wait_for("ready after")
    pids = [*run.pids("web"), *run.pids("worker")]
    run.end(signal.SIGKILL)
    eventually(lambda: not any(map(alive, pids)))


def test_a_second_interrupt_kills_at_once(start: Start) -> None:
    stubborn = "sh -c 'trap : TERM; echo up; while :; do sleep 1; done'"
    run = start(f"web: {stubborn}\n", DATABASE_URL=NO_DATABASE)
    run.wait_for("up")
    run.process.send_signal(signal.SIGINT)
    run.wait_for("stopping")
    time.sleep(0.4)
    assert run.end() == 130


def test_a_command_can_run_beside_the_database(kept: Path, tmp_path: Path) -> None:
    shutil.copytree(kept, tmp_path / postgres.FOLDER)
    run = Run(tmp_path, "--with-database", "--", "sh", "-c", "echo $DATABASE_URL; exit 3")
    assert run.process.wait(20) == 3
    assert run.output.startswith(f"postgresql://{postgres.USER}:")


def test_a_port_that_is_taken_is_said_before_anything_starts(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        run = start("release: fake release\nweb: fake web\n", PORT=str(port))
        assert run.process.wait(20) == 1
    assert re.fullmatch(rf"Another program has port {port}: .* `PORT=\d+ make dev`\.\n", run.output)


def test_the_environment_outranks_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PORT=1\nHOST=::1\nURL='a # ${PORT}'\nEMPTY=\n")
    (tmp_path / "GRACE_SECONDS").write_text("3\n")
    monkeypatch.setenv("PORT", "2")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    env = project.environment(tmp_path)
    assert (env["PORT"], env["HOST"], env["URL"]) == ("2", "::1", "a # ${PORT}")
    assert (env["LOG_FORMAT"], env.get("EMPTY")) == ("console", None)
    assert project.stop_seconds(env) == 3 + project.STOP_MARGIN_SECONDS
