"""The service as its developers run and test it: in a clone, by the commands that they type.

It is looked at once in a run, for all claims that ask.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from . import http, repository, tether
from .claim import NotRun
from .contract import Contract
from .processes import descendants, free_port, parent_of
from .sockets import listeners
from .tools import tool_environment
from .workspace import Workspace

READY_SECONDS = 60.0
TEST_SECONDS = 60.0
SETTLE_SECONDS = 8.0  # how long what is expected may be missing once something listens
END_SECONDS = 20.0
# What keeps a command from running here that is no fault of the service.
NO_NETWORK = re.compile(
    r"failed to (fetch|download)|could not connect|dns error|network is unreachable|name resolution|"
    r"not found in the cache|No interpreter found|cannot be fetched",
    re.I,
)
NOT_HERE = re.compile(r"command not found|: not found|No such file or directory", re.I)
ENGINES = re.compile(r"^(postgres|redis-server|valkey-server|memcached|mysqld|mariadbd|mongod)$")


@dataclass
class Program:
    """A process that development has started."""

    argv: list[str]
    variables: dict[str, str]
    program: str
    """The file that is executed."""
    ports: list[int] = field(default_factory=list)
    """The TCP ports on which it listens."""
    fork: bool = False
    """Whether it is its parent once more."""

    @property
    def words(self) -> list[str]:
        """Its command as a person types it: without the interpreter that the kernel has put before a script."""
        argv = self.argv
        if len(argv) > 1 and re.match(r"(python|node|ruby|sh|bash)", Path(argv[0]).name) and "/" in argv[1]:
            argv = argv[1:]
        return [Path(argv[0]).name, *argv[1:]] if argv else []


@dataclass
class Seen:
    """What was seen of development."""

    programs: list[Program] = field(default_factory=list)
    """All processes, once the service was ready."""
    port: int = 0
    """Where web was told to listen."""
    databases: dict[str, str] = field(default_factory=dict)
    """The engine and version behind the URL that a process was given, by the process's command."""
    in_tests: list[str] = field(default_factory=list)
    """The engines and versions that the tests have used."""
    pythons: dict[str, str] = field(default_factory=dict)
    """The version of Python, by what ran with it."""
    trouble: str = ""
    """Why the service did not run."""
    not_run: str = ""
    """What this machine lacks."""
    tests_not_run: str = ""
    """Why nothing was seen of the tests."""


def observe(workspace: Workspace) -> Seen:
    """Runs the service and some of its tests as its developers do; raises NotRun when that is not possible here."""
    if not workspace.contract.code.dev:
        raise NotRun("factors.toml has no [code] dev")
    file = workspace.folder / "development.json"
    with (workspace.folder / "development.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            file.write_text(json.dumps(asdict(_look(workspace))))
    values = json.loads(file.read_text())
    seen = Seen(**{**values, "programs": [Program(**one) for one in values["programs"]]})
    if seen.not_run:
        raise NotRun(seen.not_run)
    return seen


def _look(workspace: Workspace) -> Seen:
    contract = workspace.contract
    clone = repository.clone(workspace, workspace.folder / "development")
    seen = Seen(port=free_port())
    given = {contract.web.port: str(seen.port)} if contract.web else {}
    with _running(clone, contract.code.dev or "", given) as (process, log):
        _wait_for_service(process, contract, seen)
        said = log.read_text(errors="replace")
        if process.poll() is not None:
            _explain(seen, contract.code.dev or "", process.returncode, said)
            return seen
        with _tests(clone, contract, workspace.folder / "tests.jsonl") as tests:
            _ask_databases(seen, contract)
            _follow_tests(seen, tests, workspace.folder / "tests.jsonl")
    return seen


def _explain(seen: Seen, command: str, code: int, said: str) -> None:
    tail = "\n".join(said.strip().splitlines()[-4:])
    missing = NO_NETWORK.search(said) or (code in (126, 127) and NOT_HERE.search(said))
    told = f"`{command}` ended with {code}: {tail}"
    seen.not_run, seen.trouble = (told, "") if missing else ("", told)


@contextmanager
def _running(clone: Path, command: str, given: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Runs a command until the context ends, then stops it as Ctrl-C does, and kills whatever it has left."""
    log = clone.with_name(f"{clone.name}-{abs(hash(command))}.log")
    with log.open("wb") as output:
        environment = tool_environment({"TERM": "dumb", **given})
        process = tether.spawn(
            shlex.split(command), cwd=clone, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    family: set[int] = set()
    try:
        yield process, log
    finally:
        family |= {process.pid, *descendants(process.pid)}
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
        for pid in family & set(descendants(os.getpid())) | family & _below(clone):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def _below(folder: Path) -> set[int]:
    """The processes that work in a folder."""
    found = set()
    for place in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if place.readlink().is_relative_to(folder):
                found.add(int(place.parts[2]))
    return found


def _wait_for_service(process: subprocess.Popen[bytes], contract: Contract, seen: Seen) -> None:
    """Waits until every process type runs and web answers, or for a while after something else listens."""
    began, listening_since = time.monotonic(), 0.0
    while process.poll() is None and time.monotonic() - began < READY_SECONDS:
        programs = _programs(process.pid)
        seen.programs = programs or seen.programs
        if all(match(programs, words) for words in expected(contract, seen.port).values()) and _answers(contract, seen):
            seen.programs = _programs(process.pid)
            return
        others = [one for one in programs if one.ports and not ENGINES.match(Path(one.program).name)]
        listening_since = (listening_since or time.monotonic()) if others else 0.0
        if listening_since and time.monotonic() - listening_since > SETTLE_SECONDS:
            return
        time.sleep(0.1)


def expected(contract: Contract, port: int) -> dict[str, list[str]]:
    """The command of each long-running process type, as production runs it."""
    variables = {contract.web.port: str(port)} if contract.web else {}
    return {name: contract.argv(name, variables) for name in contract.long_running}


def match(programs: list[Program], words: list[str]) -> list[Program]:
    """The programs that are run by this command."""
    wanted = [Path(words[0]).name, *words[1:]]
    started = [one for one in programs if not one.fork]
    return [one for one in started if wanted in (one.words, [Path(one.argv[0]).name, *one.argv[1:]])]


def _answers(contract: Contract, seen: Seen) -> bool:
    web = contract.web
    if web is None or web.process not in contract.processes:
        return True
    with suppress(*http.NO_ANSWER):
        return http.request(seen.port, "GET", web.ready or web.live or "/", timeout=2).status < 500
    return False


def _programs(leader: int) -> list[Program]:
    found: dict[int, Program] = {}
    for pid in descendants(leader):
        with suppress(OSError):
            place = Path("/proc", str(pid))
            argv = [os.fsdecode(word) for word in place.joinpath("cmdline").read_bytes().split(b"\0")[:-1]]
            lines = place.joinpath("environ").read_bytes().split(b"\0")
            pairs = (os.fsdecode(line).partition("=") for line in lines if line)
            if argv:
                program = str(place.joinpath("exe").readlink())
                parent = found.get(parent_of(pid))
                again = parent is not None and parent.argv == argv
                found[pid] = Program(argv, {name: value for name, _, value in pairs}, program, fork=again)
    for listener in listeners(found):
        owners = [found[owner] for owner in listener.owners if owner in found and listener.protocol == "tcp"]
        for owner in [one for one in owners if not one.fork] or owners:
            owner.ports.append(listener.port)
    return list(found.values())


# What it runs on


def _ask_databases(seen: Seen, contract: Contract) -> None:
    resource = contract.resource("postgres")
    known: dict[str, str] = {}
    for program in seen.programs:
        told = " ".join(program.words[:3])
        if re.match(r"python[\d.]*$", Path(program.program).name):
            seen.pythons[f"`{told}` in development"] = version_of(program.program)
        url = program.variables.get(resource.url) if resource else None
        if url:
            known[url] = known.get(url) or engine_of(url)
            seen.databases[f"`{told}`"] = known[url]


def engine_of(url: str) -> str:
    """The engine behind a URL and its major version, such as `postgres 18`."""
    scheme = urlsplit(url).scheme.partition("+")[0]
    if not scheme.startswith("postgres"):
        return scheme or "an unknown engine"
    try:
        with psycopg.connect(re.sub(r"^postgres\w*(\+\w+)?", "postgresql", url), connect_timeout=10) as connection:
            return f"postgres {connection.info.server_version // 10000}"
    except psycopg.Error as error:
        return f"postgres, which does not answer: {error}"


def version_of(program: str) -> str:
    """The major and minor version of an interpreter, or the major one of a database server."""
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run([program, "-V"], capture_output=True, text=True, timeout=20, check=False)
        found = re.search(r"(\d+)\.(\d+)", done.stdout + done.stderr)
        if found and "PostgreSQL" in done.stdout:
            return found[1]
        if found:
            return f"{found[1]}.{found[2]}"
    return ""


# What tests run on


@contextmanager
def _tests(clone: Path, contract: Contract, output: Path) -> Iterator[subprocess.Popen[bytes] | None]:
    """Runs a few tests, if factors.toml says how."""
    if not contract.code.test:
        yield None
        return
    place = Path(__file__).parent / "inside"
    given = {"PYTHONPATH": str(place), "PYTEST_PLUGINS": "twelvefold_tests", "TWELVEFOLD_TESTS": str(output)}
    with _running(clone, contract.code.test, given) as (process, _):
        yield process


def _follow_tests(seen: Seen, process: subprocess.Popen[bytes] | None, output: Path) -> None:
    if process is None:
        seen.tests_not_run = "factors.toml has no [code] test"
        return
    engines: dict[str, None] = {}
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < TEST_SECONDS:
        for program in {one.program for one in _quietly(lambda: _programs(process.pid))}:
            if program not in engines and ENGINES.match(Path(program).name):
                engines[program] = None
        time.sleep(0.1)
    seen.in_tests = [f"{Path(program).name} {version_of(program)}" for program in engines]
    events = [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []
    seen.in_tests += sorted({f"sqlite ({event['sqlite']})" for event in events if "sqlite" in event})
    if found := [event["python"] for event in events if "python" in event]:
        seen.pythons["tests"] = found[0]
    if not any("ran" in event for event in events):
        seen.tests_not_run = "no test that asks for a database could be run"


def _quietly(look: Callable[[], list[Program]]) -> list[Program]:
    with suppress(OSError, NotRun):
        return look()
    return []
