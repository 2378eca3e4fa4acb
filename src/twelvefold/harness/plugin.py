"""pytest as the engine of the experiments: what they are given, and how their outcome becomes a verdict."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from ..results import Claim, Result, Verdict
from . import databases, workspace
from .claim import HarnessError, NotApplicable, NotRun, Observations, Violation
from .containers import ImageDriver
from .databases import Server
from .deploy import Deploy, Deploys
from .postgres import UnavailableError
from .processes import Driver, ProcessDriver
from .workspace import Workspace

RESULT = "twelvefold"
CLAIM_SECONDS = 600  # it only has to end what hangs
VERDICTS = {NotRun: Verdict.NOT_RUN, NotApplicable: Verdict.NOT_APPLICABLE, AssertionError: Verdict.FAIL}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds what `twelvefold prove` says to its experiments."""
    parser.addoption("--claims", default="", help="run these claims or factors only, with commas between")
    parser.addoption("--fast-claims", action="store_true", help="run the short selection only")


def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> pytest.Item | list[Any] | None:
    """Takes the functions that are experiments, whatever they are called, and no others."""
    if not isinstance(collector, pytest.Module):
        return None
    if isinstance(getattr(obj, "claim", None), Claim) and callable(obj):
        return list(collector._genfunctions(name, obj))
    return []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what was not asked for, and begins with what takes longest."""
    wanted = [word.upper() for word in config.getoption("--claims").split(",") if word]
    fast = config.getoption("--fast-claims")

    def chosen(claim: Claim) -> bool:
        own = [claim.id.upper(), claim.id.upper().partition(".")[0]]
        return (not wanted or any(word in own for word in wanted)) and (not fast or claim.fast)

    items[:] = [item for item in items if chosen(claim_of(item))]
    items.sort(key=lambda item: -claim_of(item).seconds)


def claim_of(item: pytest.Item) -> Claim:
    """The claim of an experiment."""
    assert isinstance(item, pytest.Function)
    found: Claim = vars(item.function)["claim"]
    return found


def _given(item: pytest.Item) -> dict[str, Any]:
    """What an experiment was given, by name."""
    assert isinstance(item, pytest.Function)
    return item.funcargs


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Any:
    """Ends an experiment that hangs."""

    def over(_: int, __: FrameType | None) -> None:
        raise HarnessError(f"the experiment did not end within {CLAIM_SECONDS} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(CLAIM_SECONDS)
    try:
        return (yield)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Sends the verdict along with pytest's own report."""
    report: pytest.TestReport = yield
    verdicts = item.__dict__.setdefault("verdicts", [])
    verdicts.append(_verdict(item, call))
    if call.when == "teardown":
        worst = next((one for one in verdicts if one.verdict is not Verdict.PASS), verdicts[0])
        worst.seconds = round(sum(one.seconds for one in verdicts), 2)
        worst.observed = _seen(item)
        report.user_properties.append((RESULT, json.dumps(asdict(worst))))
    return report


def _verdict(item: pytest.Item, call: pytest.CallInfo[None]) -> Result:
    result = Result(claim_of(item), Verdict.PASS, seconds=call.duration)
    if call.excinfo is None:
        return result
    error = call.excinfo.value
    result.verdict = next((verdict for kind, verdict in VERDICTS.items() if isinstance(error, kind)), Verdict.ERROR)
    result.reason = str(error) if isinstance(error, (Violation, NotRun, NotApplicable)) else _described(error)
    if result.verdict in (Verdict.FAIL, Verdict.ERROR):
        result.log = "\n".join((_where(call.excinfo), *_logs(item)))
    return result


def _where(excinfo: pytest.ExceptionInfo[BaseException]) -> str:
    """The way to the failure, without the engine's own part of it."""
    own = Path(__file__).parents[1]
    excinfo.traceback = (
        excinfo.traceback.filter(lambda entry: Path(entry.path).is_relative_to(own)) or excinfo.traceback
    )
    return str(excinfo.getrepr(style="short"))


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _logs(item: pytest.Item) -> list[str]:
    deploys: Deploys | None = _given(item).get("deploys")
    processes = [process for deploy in (deploys.made if deploys else []) for process in deploy.processes]
    return [f"--- {process.type} (exit code {process.exit_code})\n{process.output}" for process in processes]


def _seen(item: pytest.Item) -> list[str]:
    observe: Observations | None = _given(item).get("observe")
    return list(observe.seen) if observe else []


def result_in(report: pytest.TestReport) -> Result | None:
    """The result that came along with a report."""
    for name, value in report.user_properties:
        if name == RESULT:
            fields = json.loads(str(value))
            claim = Claim(**fields.pop("claim"))
            return Result(claim, Verdict(fields.pop("verdict")), **fields)
    return None


@pytest.fixture(scope="session", name="workspace")
def _workspace() -> Workspace:
    """What this run has prepared."""
    return workspace.load()


@pytest.fixture(scope="session")
def driver(workspace: Workspace) -> Driver:
    """How programs are run."""
    if workspace.driver == "image":
        return ImageDriver(workspace)
    return ProcessDriver(workspace.search_path)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Server]]:
    """A PostgreSQL that is started when the first experiment asks for it."""
    with ExitStack() as stack:
        running: list[Server] = []

        def get() -> Server:
            if not running:
                try:
                    running.append(stack.enter_context(databases.server(tmp_path_factory.mktemp("postgres"))))
                except UnavailableError as error:
                    raise NotRun(str(error)) from None
            return running[0]

        yield get


@pytest.fixture
def deploys(workspace: Workspace, driver: Driver, server: Callable[[], Server], tmp_path: Path) -> Iterator[Deploys]:
    """Makes deploys; they end with the experiment."""
    made = Deploys(workspace, driver, server, tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def deploy(deploys: Deploys) -> Deploy:
    """A deploy with a released database, and no process yet."""
    return deploys.new()


@pytest.fixture
def observe() -> Observations:
    """Keeps what the experiment sees."""
    return Observations()
