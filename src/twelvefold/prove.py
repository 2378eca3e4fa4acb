"""`twelvefold prove`: runs the experiments on a service, shows how they go, and writes down what they found."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from . import described, sabotages
from .harness import containers, plugin, workspace
from .harness.contract import Contract, ContractError
from .harness.processes import descendants
from .harness.tools import PreparationError
from .harness.workspace import Workspace
from .looking import Unreadable, not_installable
from .machine import machine
from .progress import Progress
from .results import FACTORS, Claim, Result, Run, Verdict
from .scorecard import check_page, write_evidence, write_page
from .signals import handled, interrupt

CLAIMS = Path(__file__).parent / "claims"
OWN_CLAIMS = "claims"  # the team's, below the project
PAGE = "TWELVE_FACTOR.md"
EVIDENCE = Path(".twelvefold")
PR_SET_CHILD_SUBREAPER = 36
AT_ONCE_PER_CORE = 3
OF_PYTEST = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")  # somebody's options for tests of their own
ROMAN = re.compile(r"(?=.)X{0,3}(IX|IV|V?I{0,3})")  # a factor that comes one day has such a number too
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PROVED, FAILED, NOTHING_DONE, INTERRUPTED = 0, 1, 2, 130


class NothingProved(Exception):
    """The experiments could not be run: a text that says why."""


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    project: Path
    claims: str = ""
    fast: bool = False
    image: str = ""
    at_once: int | None = None
    evidence: Path | None = None
    check: bool = False
    """Whether the page is only compared with what was found, as CI does, and never written."""

    @property
    def complete(self) -> bool:
        """Whether every claim is asked for."""
        return not self.claims and not self.fast


class Collector:
    """Remembers which experiments there are."""

    def __init__(self) -> None:
        self.claims: dict[str, Claim] = {}
        self.there: list[Claim] = []
        """The claims of the suite in the files that were read, before any was left out."""
        self.trouble: list[str] = []

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """An experiment has been found."""
        if item.path.parent == CLAIMS:
            self.there.append(plugin.claim_of(item))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """All experiments have been found."""
        self.claims = {item.nodeid: plugin.claim_of(item) for item in session.items}
        self.trouble += [trouble for item in session.items if (trouble := _trouble_with(item))]
        twice = [name for name, number in Counter(claim.id for claim in self.claims.values()).items() if number > 1]
        self.trouble += [f"{name} is the number of two claims: give each its own." for name in twice]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file may not be readable."""
        if report.failed:
            self.trouble.append(str(report.longrepr))


def _trouble_with(item: pytest.Item) -> str:
    """What is wrong with a claim of the team's: it must not pass for one of the suite's."""
    claim = plugin.claim_of(item)
    if item.path.parent == CLAIMS:
        return ""
    if not re.fullmatch(r"[\w.-]+", claim.id) or ROMAN.fullmatch(claim.id.partition(".")[0].upper()):
        return f"{item.path.name}: the number {claim.id!r} is no name of your own, such as NOTES.1."
    return (
        "" if claim.statement and claim.threshold else f"{item.path.name}: {claim.id} lacks a statement or a threshold."
    )


class Controller:
    """Follows the experiments, and hands on what their processes tell."""

    def __init__(self, progress: Progress, claims: dict[str, Claim], contract: Contract) -> None:
        self.results: list[Result] = []
        self.trouble: list[str] = []
        self._progress = progress
        self._claims = claims
        self._contract = contract

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """An experiment begins."""
        if nodeid in self._claims:
            self._progress.began(self._claims[nodeid].id)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A part of an experiment has ended; the last part brings its result."""
        if found := plugin.result_in(report):
            result = described.told(found, self._contract)
            self.results.append(result)
            self._progress.ended(result)

    def pytest_internalerror(self, excrepr: object) -> None:
        """The engine itself went wrong."""
        self.trouble.append(str(excrepr))


def prove(options: Options) -> int:
    """Runs the experiments; returns the exit code: 0 proved, 1 a claim failed, 2 nothing was done."""
    if refused := _refused(options):
        sys.stderr.write(f"{refused}\n")
        return NOTHING_DONE
    _adopt_orphans()
    for name in OF_PYTEST:
        os.environ.pop(name, None)
    swept = containers.swept if options.image else nullcontext
    with handled(interrupt, *STOPPING), _temporary_folder() as folder, swept(folder.name), _ended_in_order():
        began = time.monotonic()
        try:
            image = {"driver": "image", "image": containers.resolved(options.image)} if options.image else {}
            made = workspace.prepare(options.project.resolve(), folder, **image)
            run = _run(options, made, began)
        except (ContractError, PreparationError, NothingProved, Unreadable) as error:
            sys.stderr.write(f"{error}\n")
            return NOTHING_DONE
        except KeyboardInterrupt:
            sys.stderr.write("Interrupted: nothing was written.\n")
            return INTERRUPTED
        write_evidence(run, options.evidence or made.project / EVIDENCE)
        if not options.check:
            write_page(run, made.project / PAGE)
        if trouble := check_page(run, made.project / PAGE):
            told = f"{PAGE} is not what this run found: {trouble}. Run `{run.again}` and commit what it writes.\n"
            sys.stderr.write(told)
        if options.check and run.complete and not (made.project / PAGE).exists():
            sys.stderr.write(f"There is no {PAGE} to compare: `{run.again}` writes it; commit it.\n")
    verdicts = {result.verdict for result in run.results}
    if verdicts & {Verdict.FAIL, Verdict.ERROR} or trouble:
        return FAILED
    return PROVED if verdicts - {Verdict.NOT_RUN, Verdict.NOT_APPLICABLE} else NOTHING_DONE


def _refused(options: Options) -> str:
    """What keeps the experiments from being run, as far as it can be told before; nothing where they can be."""
    if options.at_once is not None and options.at_once < 1:
        return f"--at-once {options.at_once}: how many run side by side is a number above zero."
    if shutil.which("git") is None:
        return "git is missing: install it, then run this again."
    if not options.project.is_dir():
        return f"{options.project} is no folder: name the folder of a service."
    if options.claims and not asked_for(options):
        return f"--claim {options.claims} names nothing: give a number such as IX.2, or a factor such as IX."
    place = (options.evidence or options.project / EVIDENCE).absolute()
    there = next(one for one in (place, *place.parents) if one.exists())
    if not there.is_dir():
        return f"The evidence cannot be written to {place}, since {there} is a file: name a folder by --evidence."
    if (options.project / PAGE).is_dir():
        return f"{options.project / PAGE} is a folder, where the page goes: move it away."
    return _unwritable(there) or (_unwritable(options.project) if options.complete and not options.check else "")


def _unwritable(folder: Path) -> str:
    """Why no file can be made in a folder: that is to be known before the experiments, not after them."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return (
            f"Nothing can be written to {folder.resolve()}: {error.strerror}. Mend that, or use --evidence and --check."
        )


def asked_for(options: Options) -> list[str]:
    """The claims and factors that are named, as they are written in the suite."""
    return [word.strip().upper() for word in options.claims.split(",") if word.strip()]


def _run(options: Options, made: Workspace, began: float) -> Run:
    if not made.contract.processes:
        raise NothingProved("No process type is known: name their commands in factors.toml, under [processes].")
    if trouble := described.misnamed(made.contract) or _not_installed(made):
        raise NothingProved(trouble)
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    claims = collect(options, made)
    _check_attested(made.contract, {claim.id for claim in claims.values()}, options)
    with Progress() as progress:
        progress.start(sorted(claims.values(), key=lambda claim: claim.order))
        controller = Controller(progress, claims, made.contract)
        at_once = min(options.at_once or AT_ONCE_PER_CORE * (os.cpu_count() or 1), len(claims))
        code = _pytest(options, made, controller, "--numprocesses", str(at_once), "--dist", "worksteal")
        if code == pytest.ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        if controller.trouble or len(controller.results) != len(claims):
            left = {claim.id for claim in claims.values()} - {result.claim.id for result in controller.results}
            ended = f"Not every experiment came to an end: {', '.join(sorted(left))} did not."
            raise NothingProved("\n".join(controller.trouble) or ended)
        run = Run(
            service=made.contract.name,
            commit=made.commit,
            changed=made.changed,
            driver=made.driver,
            artifact=made.image or workspace.digest_of(made),
            suite=suite_version(),
            suite_hash=suite_hash(),
            date=date,
            seconds=round(time.monotonic() - began, 1),
            machine=machine(made),
            results=_attested(sorted(controller.results, key=lambda result: result.claim.order), made.contract),
            complete=options.complete,
            repeat=_how_to_repeat(made),
        )
        run = sabotages.proven(run, sabotages.load())
        progress.finish(run)
    return run


def _not_installed(made: Workspace) -> str:
    """Which packages a service asks for that are not installed here: without them, everything would seem to fail."""
    if (
        made.installed != "none"
        or made.driver == "image"
        or not (file := not_installable(made.source, made.contract.processes.values()))
    ):
        return ""
    return (
        f"The packages of {file} cannot be installed here, where uv.lock, [project] in pyproject.toml and\n"
        "requirements.txt are understood: prove the service's image, by --image."
    )


def _check_attested(contract: Contract, claims: set[str], options: Options) -> None:
    """Raises NothingProved when somebody vouches for what is no claim, or nobody for what is one."""
    if options.complete and (unknown := contract.attested.keys() - claims):
        raise NothingProved(
            f"factors.toml vouches for {', '.join(sorted(unknown))}, which is no claim: see [attested]."
        )
    if nobody := [name for name, who in contract.attested.items() if not who.strip()]:
        raise NothingProved(f"factors.toml does not say who vouches for {', '.join(nobody)}: see [attested].")


def _attested(results: list[Result], contract: Contract) -> list[Result]:
    """The results, with what people vouch for in the place of what no machine could see."""
    vouched = contract.attested
    return [
        replace(result, verdict=Verdict.ATTESTED, reason=vouched[result.claim.id])
        if result.verdict is Verdict.NOT_RUN and result.claim.id in vouched
        else result
        for result in results
    ]


def collect(options: Options, made: Workspace) -> dict[str, Claim]:
    """The claims that the options ask for, by the name of their experiment; raises NothingProved without any."""
    collector = Collector()
    if _places(options, made):  # without a place, pytest would look where it was started
        code = _pytest(options, made, collector, "--collect-only")
        if code == pytest.ExitCode.INTERRUPTED and not collector.trouble:
            raise KeyboardInterrupt
        if not collector.trouble and code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            raise NothingProved(f"pytest could not look for the experiments, and ended with {code}.")
    if collector.trouble:
        raise NothingProved("\n".join(collector.trouble))
    found = {name for claim in collector.claims.values() for name in (claim.id.upper(), claim.id.partition(".")[0])}
    if unknown := [word for word in asked_for(options) if word not in found]:
        where = "in the short selection of --fast " if options.fast else ""
        raise NothingProved(
            f"No claim {where}is called {', '.join(unknown)}: give a number such as IX.2, or a factor such as IX."
        )
    chosen = {claim.id for claim in collector.there if not options.claims and (claim.fast or not options.fast)}
    if left := chosen - {claim.id for claim in collector.claims.values()}:
        raise NothingProved(f"Something in {OWN_CLAIMS}/ leaves out {', '.join(sorted(left))}: --claim chooses claims.")
    return collector.claims


def _pytest(options: Options, made: Workspace, plugin_: object, *arguments: str) -> int:
    folder = made.folder / "pytest"
    folder.mkdir(exist_ok=True)
    (folder / "pytest.ini").write_text("[pytest]\npython_files = factor_*.py claim_*.py\n")
    words = [
        *map(str, _places(options, made)),
        *("-p", plugin.__name__, "-p", "no:cacheprovider", "-p", "no:terminal", "-p", "no:schemathesis"),
        *("-c", str(folder / "pytest.ini"), "--rootdir", str(folder), "--basetemp", str(folder / "tmp")),
        *("--import-mode", "importlib", "--claims", ",".join(asked_for(options))),
        *(["--fast-claims"] if options.fast else []),
        *arguments,
    ]
    return int(pytest.main(words, plugins=[plugin_]))


def _places(options: Options, made: Workspace) -> list[Path]:
    """Where the claims that are asked for are: only those files are read."""
    own = made.source / OWN_CLAIMS
    asked = {word.partition(".")[0] for word in asked_for(options)}
    if not asked:
        return [place for place in (CLAIMS, own) if place.is_dir()]
    numbers = [number for number, factor in enumerate(FACTORS, 1) if factor in asked]
    files = [file for number in numbers for file in sorted(CLAIMS.glob(f"factor_{number:02}_*.py"))]
    return [*files, *([own] if own.is_dir() and asked - FACTORS.keys() else [])]


def _how_to_repeat(made: Workspace) -> str:
    """The command that runs one claim again: a service of the template has a Makefile for it."""
    makefile = made.project / "Makefile"
    if makefile.is_file() and "\nprove:" in makefile.read_text("utf-8", errors="replace"):
        return "make prove IMAGE={image} CLAIM={id}" if made.image else "make prove CLAIM={id}"
    return "twelvefold prove --image {image} --claim {id}" if made.image else "twelvefold prove --claim {id}"


def suite_version() -> str:
    """The version of Twelvefold."""
    try:
        return version("twelvefold")
    except PackageNotFoundError:
        return "0"


def suite_hash() -> str:
    """A hash of the experiments and their machinery."""
    total = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted([*(root / "claims").rglob("*.py"), *(root / "harness").rglob("*.py")]):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return f"sha256:{total.hexdigest()[:16]}"


def _adopt_orphans() -> None:
    """Becomes the parent of whatever an experiment's process leaves behind, so that it can be ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Ends every process that is left; whoever is impatient does not keep it from tidying up."""
    try:
        yield
    finally:
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        while left := descendants(os.getpid()):
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(-1, 0)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder of this run, in which other programs too leave what they leave; it is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="twelvefold-"))
    temporary = folder / "tmp"
    temporary.mkdir()
    before, os.environ["TMPDIR"] = os.environ.get("TMPDIR"), str(temporary)
    try:
        yield folder
    finally:
        os.environ.pop("TMPDIR")
        if before is not None:
            os.environ["TMPDIR"] = before
        shutil.rmtree(folder, ignore_errors=True)
