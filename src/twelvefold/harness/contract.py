"""`factors.toml`: where the experiments have to look. It says nothing about what they will see there.

Every table may be missing; the claims that need it are then not run, and say which entry they miss.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

FILE = "factors.toml"
VARIABLE = re.compile(r"\$(?:\{(?P<name>\w+)(?::?-(?P<default>[^}]*))?\}|(?P<bare>[A-Za-z_]\w*))")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class ContractError(Exception):
    """The file cannot be used: a text that says where, and how to mend it."""


def _route(value: str) -> str:
    method, _, path = value.partition(" ")
    if method not in METHODS or not path.startswith("/"):
        raise ValueError("must be a method and a path, as in POST /notes")
    return value


def _command(value: str) -> str:
    try:
        if not shlex.split(value):
            raise ValueError("must not be empty")
    except ValueError as error:
        raise ValueError(f"must be a command line: {error}") from None
    return value


Route = Annotated[str, AfterValidator(_route)]
Command = Annotated[str, AfterValidator(_command)]
Path_ = Annotated[str, Field(pattern=r"^/")]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Code(_Table):
    """The service's own code, and what it is built by."""

    packages: list[str] = []
    """The import names of its own Python packages."""
    folders: list[str] = ["src"]
    """Where its own code lies, below the project."""
    settings: list[str] = []
    """The files that may read the environment."""
    build: Command | None = None
    """The command that builds the image, as a person types it."""
    setup: Command | None = None
    """The command that installs what development and CI need."""
    dev: Command | None = None
    """The command that runs the service on a developer's machine."""
    test: Command | None = None
    """The command that runs the service's tests, with pytest."""


class Config(_Table):
    """The environment that the service reads."""

    example: str | None = None
    """A file that lists every variable, one `NAME=` a line; those that have a default may be commented out."""
    required: list[Variable] = []
    """The variables without which nothing runs."""
    malformed: dict[Variable, str] = {}
    """For each of some variables a value that cannot be right."""
    given: dict[Variable, str] = {}
    """What every process is given beside the URLs of its resources; `{folder}` stands for each deploy's own folder."""
    secrets: list[Variable] = []
    """The variables whose values are secret."""
    secret_forms: dict[Variable, str] = {}
    """How the value of a secret looks that is no URL of a resource; `{secret}` stands for what nobody may see."""
    show: Command | None = None
    """The command that prints the configuration, without its secrets."""
    file_suffix: str | None = None
    """`_FILE` where NAME_FILE may name a file that holds NAME's value."""


class Web(_Table):
    """The HTTP process type."""

    process: str = "web"
    port: Variable = "PORT"
    host: Variable | None = None
    """The variable of the address to listen on, if there is one. It is left unset but for the claims about it."""
    ready: Path_ | None = None
    live: Path_ | None = None
    metrics: Path_ | None = None
    requests_metric: str = "http_requests_total"
    """The counter of requests."""
    contract: Path_ | None = None
    """Where the OpenAPI document is served."""
    committed_contract: str | None = None
    """The file that holds it in the repository."""
    undocumented: list[Path_] = []
    """What is served beside the document on purpose, such as the page that shows it to people."""
    public_url: Variable | None = None
    """The variable of the address under which clients reach the service."""
    drain: Variable | None = None
    """The variable of how many seconds it still answers after SIGTERM."""
    grace: Variable | None = None
    """The variable of how many seconds what has begun may take to finish."""


class Thing(_Table):
    """How to create, read and delete one thing, which is kept in the database."""

    create: Route
    body: dict[str, Any]
    """The JSON that is sent; `{marker}` and `{email}` stand for unique values."""
    status: int = 201
    id: str = "/id"
    """The JSON pointer to its identifier in the answer."""
    read: Route
    list: Route | None = None
    delete: Route | None = None
    marker: str = "/text"
    """The JSON pointer to what was sent as `{marker}`, in the answer to `read`."""
    table: str | None = None
    """The table that keeps it."""
    change: str | None = None
    """SQL that changes the marker behind the service's back: `%(id)s` and `%(marker)s`."""
    stale_seconds: float = 0
    """How old an answer may be at most."""


class Jobs(_Table):
    """The work that creating a thing causes, and that the worker does later."""

    process: str = "worker"
    effect: str
    """SQL that gives a row once the job of the thing `%(id)s` has had its effect."""
    table: str
    """The table in which it has its effect, by an UPDATE or INSERT."""
    waiting: str | None = None
    """SQL that counts the jobs that wait."""
    gauge: str | None = None
    """The metric that tells the same, as `name{label="value"}`."""
    counter: str | None = None
    """The metric of a worker that counts such jobs once they are done, in the same form."""
    metrics_port: Variable | None = None
    """The variable of the port on which worker and clock tell their readiness and metrics."""
    fast: dict[Variable, str] = {}
    """Variables with which the jobs of a killed worker start again within 5 seconds."""


class Telemetry(_Table):
    """Traces, sent by OTLP over HTTP."""

    endpoint: Variable = "OTEL_EXPORTER_OTLP_ENDPOINT"
    """The variable of the collector's address."""
    given: dict[Variable, str] = {}
    """Variables with which every trace is kept, and sent soon."""


class Clock(_Table):
    """The process type that makes periodic jobs."""

    process: str = "clock"
    schedule: str | None = None
    """When the jobs of `jobs` are due, as five fields of cron, in UTC."""
    jobs: str | None = None
    """SQL that counts all jobs that were ever made for this schedule."""
    nudge: dict[Variable, str] = {}
    """Variables with which the process wakes up several times a second."""


class Admin(_Table):
    """One-offs; `{email}` stands for a person's address."""

    process: str = "release"
    succeeds: Command | None = None
    """A one-off that only reads."""
    fails: Command | None = None
    """A one-off that cannot succeed, whatever the database holds."""
    purge: Command | None = None
    """The one-off that erases a person."""
    others: list[Command] = []
    """The other one-offs that work with the database, each as a command line that succeeds; `{email}` may be in it."""


class Release(_Table):
    """How what was built becomes a release, and how a release runs; `{release}` stands for its name."""

    make: Command
    """The command that makes a release of what was built last, with the configuration of now."""
    run: Command
    """The command that runs a release."""
    rollback: Command | None = None
    """The command that runs the release before the one that runs."""
    admin: Command | None = None
    """The command that runs a one-off in the release that runs; `{arguments}` stands for the one-off."""
    record: str
    """The file that lists all releases: one JSON object a line, whose `id` is the release's name."""


class Resource(_Table):
    """A backing service, attached by the URL in one variable."""

    kind: Literal["postgres", "cache", "other"]
    url: Variable
    schemes: list[str] = []
    """For a cache, the schemes that its URL may have."""
    required: bool = True


class Contract(_Table):
    """The whole file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    processes: dict[str, Command] = {}
    """The command of each process type; the Procfile has those that are not named here."""
    code: Code = Code()
    config: Config = Config()
    web: Web | None = None
    thing: Thing | None = None
    jobs: Jobs | None = None
    clock: Clock | None = None
    telemetry: Telemetry | None = None
    admin: Admin | None = None
    release: Release | None = None
    resources: dict[str, Resource] = {}
    attested: dict[str, str] = {}
    """Who vouches for a claim that no machine can see, by the claim's number."""

    def argv(self, process: str, environment: Mapping[str, str]) -> list[str]:
        """The command line of a process type. As in a shell, `$PORT` and `${PORT:-8000}` stand for variables."""

        def value(match: re.Match[str]) -> str:
            return environment.get(match["name"] or match["bare"]) or match["default"] or ""

        return [VARIABLE.sub(value, word) for word in shlex.split(self.processes[process])]

    @property
    def long_running(self) -> list[str]:
        """The process types that are to run until they are told to stop."""
        return [name for name in self.processes if name != "release"]

    @property
    def works_apart(self) -> bool:
        """Whether another process type than web completes what web has created."""
        own = self.jobs and self.jobs.process in self.processes
        return bool(self.jobs and own and not (self.web and self.jobs.process == self.web.process))

    def resource(self, kind: str) -> Resource | None:
        """The first resource of this kind."""
        return next((resource for resource in self.resources.values() if resource.kind == kind), None)


def load(project: Path) -> Contract:
    """The contract of the service in a folder; raises ContractError."""
    file = project / FILE
    if not file.is_file():
        raise ContractError(f"{project} has no {FILE}: `twelvefold init` drafts one.")
    try:
        values = tomllib.loads(file.read_text("utf-8"))
        if isinstance(named := values.get("processes", {}), dict):
            values["processes"] = procfile(project) | named
        return Contract.model_validate(values)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ContractError(f"{FILE} is no TOML: {error}.") from None
    except ValidationError as error:
        problems = (f"  {'.'.join(map(str, one['loc']))}: {_words(one['msg'])}" for one in error.errors())
        raise ContractError("\n".join((f"{FILE} cannot be used:", *problems))) from None


def procfile(project: Path) -> dict[str, str]:
    """The process types in the Procfile, if there is one; raises ContractError."""
    file = project / "Procfile"
    try:
        lines = file.read_text("utf-8-sig").splitlines() if file.is_file() else []
    except UnicodeDecodeError as error:
        raise ContractError(f"{file} is no text in UTF-8: {error}.") from None
    found = (re.fullmatch(r"([A-Za-z0-9_-]+):\s*(\S.*)", line) for line in lines)
    return {match[1]: match[2].strip() for match in found if match}


def _words(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Input ")
