"""Every two choices together: a service with both is generated, locked, tidy, and passes its own checks.

`pytest tests/test_matrix.py -k "3.12 and MIT"` runs some cases. Where this machine lacks a case's Python, its service
is generated, resolved and checked for that version by the tools of another, and its tests are reported as not run.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from . import copies
from .interpreters import real_interpreter
from .pairwise import all_pairs, cases, pairs_in

# The files of an option, and the words that only a service with that option has.
NOTHING: tuple[list[str], str] = ([], r"(?!)")
TRACES = {
    ("shape", "web-worker-clock"): NOTHING,
    ("shape", "web"): NOTHING,
    ("shape", "worker-clock"): NOTHING,
    ("cache", False): NOTHING,
    ("cache", True): (
        ["src/orders/resources/cache", "tests/test_cache.py"],
        r"\bcache_(url|ttl)|resources\.cache|\bredis\b|valkey|memcached",
    ),
    ("more", False): NOTHING,
    ("more", True): NOTHING,
    ("python", "3.11"): ([], r"python[: ]?3\.11|py311"),
    ("python", "3.12"): ([], r"python[: ]?3\.12|py312"),
    ("python", "3.13"): ([], r"python[: ]?3\.13|py313"),
    ("python", "3.14"): ([], r"python[: ]?3\.14|py314"),
    ("licence", "proprietary"): ([], r"all rights reserved|proprietary"),
    ("licence", "MIT"): ([], r"\bMIT\b|free of charge"),
    ("licence", "Apache-2.0"): ([], r"apache"),
    ("ci", "github"): ([".github"], r"github actions|workflow|renovate|\.github\b|dependabot"),
    ("ci", "none"): NOTHING,
    ("devcontainer", False): NOTHING,
    ("devcontainer", True): ([".devcontainer"], r"dev ?container"),
    ("catalog", False): NOTHING,
    ("catalog", True): (["catalog-info.yaml"], r"catalog-info|backstage"),
    ("ops", False): NOTHING,
    ("ops", True): (["ops", "tests/test_ops.py"], r"grafana|promql|otelcol"),
}

# What a shape must not have, and the others must: the process types that it lacks.
LACKS = {
    "web-worker-clock": NOTHING,
    "web": (
        [
            *("src/orders/worker.py", "src/orders/clock.py", "src/orders/queue.py", "src/orders/jobs.py"),
            *("src/orders/process.py", "src/orders/operations.py", "src/orders/notes/jobs.py"),
            *("src/orders/admin/jobs.py", "migrations/platform", "tests/test_jobs.py"),
        ],
        r"\bworker\b|\bclock\b|procrastinate|heartbeat|\bqueue_|enqueue|dead letter|METRICS_PORT|archive_|archived",
    ),
    "worker-clock": (
        ["src/orders/web", "src/orders/notes/routes.py", "openapi.json", "tests/test_web.py"],
        r"\bweb\b|fastapi|starlette|uvicorn|httptools|uvloop|openapi|routes\.py|`routes`|DRAIN_SECONDS|PUBLIC_URL|MAX_BODY",
    ),
}

# Braces that are not Jinja's: expressions of GitHub Actions and Renovate, values in alerts, labels in a dashboard.
FOREIGN_BRACES = re.compile(r"\$\{\{.*?\}\}|\{\{\{.+\}\}\}|\{\{ \$.*?\}\}|\{\{(\w+|\(\.\+\?\))\}\}")
JINJA = re.compile(r"\{\{|\{%|\{#")


@dataclass(frozen=True)
class Case:
    """A service with some answers, and the interpreter of its Python where this machine has one."""

    answers: dict[str, Any]
    service: Path
    interpreter: Path | None

    @property
    def python(self) -> str:
        return str(self.answers["python"])


def name_of(answers: dict[str, Any]) -> str:
    flags = {True: "{}", False: "no_{}"}
    return "-".join(flags[value].format(key) if isinstance(value, bool) else value for key, value in answers.items())


CASES = {name_of(answers): answers for answers in cases(copies.choices())}
in_each_case = pytest.mark.parametrize("case", CASES, indirect=True)


@pytest.fixture
def case(request: pytest.FixtureRequest, case_of: Callable[[str], Case]) -> Case:
    return case_of(request.param)


@pytest.fixture(scope="module")
def case_of(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Case]]:
    """Makes the service of a case, with its packages installed and locked, when it is first asked for."""
    made = []

    @cache
    def make(name: str) -> Case:
        answers = CASES[name]
        service = tmp_path_factory.mktemp("matrix") / "orders"
        copies.generate_committed(copier_template, service, **answers)
        case = Case(answers, service, real_interpreter(answers["python"]))
        made.append(service)
        if case.interpreter:
            copies.make(service, "setup")
            copies.commit(service, "Lock the packages")
        else:
            install_for_another_python(case)
        return case

    yield make
    for service in made:
        for folder in (".venv", ".postgres"):
            shutil.rmtree(service / folder, ignore_errors=True)


@pytest.fixture(scope="module")
def own_tests(request: pytest.FixtureRequest, case_of: Callable[[str], Case]) -> Iterator[Callable[[Case], str]]:
    """What a service's own tests print: those of all cases run side by side, as many as there are processors."""
    wanted = [item for item in request.session.items if getattr(item, "originalname", "") == "test_its_own_tests_pass"]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {
            case.service: pool.submit(run_own_tests, case)
            for case in (
                case_of(str(item.callspec.params["case"])) for item in wanted if isinstance(item, pytest.Function)
            )
            if case.interpreter
        }
        yield lambda case: running[case.service].result()
        pool.shutdown(cancel_futures=True)


def test_every_pair_of_choices_is_in_a_case() -> None:
    pairs = set(all_pairs(copies.choices()))
    assert set.union(*(pairs_in(answers) for answers in CASES.values())) == pairs
    assert len(pairs) > len(CASES)


def test_every_choice_says_what_it_leaves_behind() -> None:
    assert TRACES.keys() == {(question, value) for question, values in copies.choices().items() for value in values}


@in_each_case
def test_it_is_generated_as_answered(case: Case) -> None:
    assert copies.answers(case.service).items() >= case.answers.items()
    assert (case.service / ".python-version").read_text() == f"{case.python}\n"
    for (question, value), (files, _) in TRACES.items():
        for file in files:
            assert (case.service / file).exists() == (case.answers[question] == value), file
    for shape, (files, _) in LACKS.items():
        for file in files:
            assert (case.service / file).exists() == (shape != case.answers["shape"]), file


@in_each_case
def test_options_that_were_not_taken_leave_no_trace(case: Case) -> None:
    for (question, value), (_, words) in TRACES.items():
        if case.answers[question] != value:
            naming = [name for name, text in texts(case.service).items() if re.search(words, text, re.IGNORECASE)]
            assert naming == [], f"{question}={value}"
    words = LACKS[case.answers["shape"]][1]
    naming = [name for name, text in texts(case.service).items() if re.search(words, text, re.IGNORECASE)]
    assert naming == [], case.answers["shape"]


@in_each_case
def test_it_reads_as_if_typed_by_a_careful_person(case: Case) -> None:
    for name, text in texts(case.service).items():
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), f"a blank at the end of a line of {name}"
        assert not JINJA.search(FOREIGN_BRACES.sub("", text)), f"a brace left over in {name}"
        assert "\r" not in text, f"a foreign line break in {name}"
        assert not text or re.search(r"[^\n]\n\Z", text), f"{name} must end with one line break"
        assert not text.startswith("\n"), f"{name} begins with an empty line"
        most = 2 if name.endswith((".py", ".py.mako")) else 1  # the formatter puts two empty lines between functions
        assert not re.search(rf"\n{{{most + 2},}}", text), f"too many empty lines in {name}"


@in_each_case
def test_its_own_checks_pass(case: Case) -> None:
    if case.interpreter:
        copies.make(case.service, "lint")
    else:
        check_for_another_python(case)


@in_each_case
def test_formatting_and_deriving_change_nothing(case: Case) -> None:
    if case.interpreter:
        copies.make(case.service, "format", "derive")
    else:
        for command in (["format"], ["check", "--fix"]):
            copies.run(case.service / ".venv/bin/ruff", *command, cwd=case.service)
    assert copies.changed(case.service) == []


@in_each_case
def test_its_own_tests_pass(case: Case, own_tests: Callable[[Case], str]) -> None:
    if not case.interpreter:
        pytest.skip(f"not run: no Python {case.python} here")
    told = own_tests(case)
    assert re.search(r"\b\d+ passed", told)
    assert not re.search(r"\b\d+ (failed|errors?|skipped|xfailed|deselected)", told), told
    assert copies.changed(case.service) == []
    assert copies.running_below(case.service) == []


def texts(service: Path) -> dict[str, str]:
    """What was generated, without what only records the answers or the packages."""
    records = (copies.ANSWERS_FILE, "uv.lock")
    return {name: text for name, text in copies.contents(service).items() if name not in records}


def run_own_tests(case: Case) -> str:
    """All of them once for each shape, since they take minutes; elsewhere those that start every process."""
    return copies.make(case.service, "test") if case.answers in thorough() else copies.run_starting_tests(case.service)


@cache
def thorough() -> list[dict[str, Any]]:
    """For each shape the case that has most to test, of those whose Python is here."""
    here = [answers for answers in CASES.values() if real_interpreter(answers["python"])]
    shapes = {answers["shape"] for answers in here}
    return [
        max(
            (answers for answers in here if answers["shape"] == shape),
            key=lambda answers: (answers["cache"], answers["ops"]),
        )
        for shape in sorted(shapes)
    ]


def install_for_another_python(case: Case) -> None:
    """Resolves and installs the packages for the service's Python with an interpreter that is here.

    uv locks a project only with an interpreter that the project accepts, but resolves for any version.
    """
    here = real_interpreter(copies.default_python())
    assert here
    environment = copies.service_environment(None) | {"VIRTUAL_ENV": str(case.service / ".venv")}
    resolved = case.service.parent / "requirements.txt"
    resolve = ("--universal", "--python-version", case.python, "--group", "dev", "--output-file", resolved)
    copies.run("uv", "pip", "compile", "--quiet", "pyproject.toml", *resolve, cwd=case.service, env=environment)
    copies.run("uv", "venv", "--quiet", "--no-project", "--python", here, ".venv", cwd=case.service, env=environment)
    copies.run("uv", "pip", "install", "--quiet", "--requirements", resolved, cwd=case.service, env=environment)


def check_for_another_python(case: Case) -> None:
    """Does what `make lint` does, for the service's Python, though another one runs it."""
    environment = copies.service_environment(None) | {"MYPYPATH": f"src{os.pathsep}."}
    tools = case.service / ".venv/bin"
    copies.run(tools / "ruff", "format", "--check", cwd=case.service, env=environment)
    copies.run(tools / "ruff", "check", cwd=case.service, env=environment)
    copies.run(tools / "mypy", "--python-version", case.python, cwd=case.service, env=environment)
