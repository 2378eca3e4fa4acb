"""`twelvefold prove`, seen from outside: what it says, what it writes, and what it leaves behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hooks import contract_page
from twelvefold.harness.stock import VARIABLE as STOCK

from . import copies
from .sabotages import verdicts_in

SUBMITTED = {**os.environ, "PYTHONPATH": str(copies.ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
RED = ("fail", "error")


def twelvefold(*arguments: object, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "twelvefold", *map(str, arguments)],
        cwd=folder,
        env=SUBMITTED | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )


def evidence(service: Path) -> dict[str, dict[str, object]]:
    return verdicts_in(service / ".twelvefold")


@pytest.fixture(scope="module", autouse=True)
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Lets the runs share one environment: to compile its packages takes longer than most of them."""
    SUBMITTED[STOCK] = str(tmp_path_factory.mktemp("stock"))
    yield
    del SUBMITTED[STOCK]


@pytest.fixture
def service(default_service: Path, tmp_path: Path) -> Path:
    copies.git(tmp_path, "clone", "--quiet", default_service, "orders")
    return tmp_path / "orders"


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Path]:
    """Where a run keeps what it makes; at the end nothing of it is there, and nothing runs in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []
    assert copies.running_below(folder) == []


# What is asked wrongly


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "factors.toml"),
        ("name = ", "factors.toml is no TOML"),
        ("name = 'orders'\n[thing]\ncreate = 'notes'\nbody = {}\nread = 'GET /'", "thing.create: must be a method"),
        ("name = 'orders'\n[webb]\n", "webb"),
        ("name = 'orders'\nprocesses = ['web']\n", "processes"),
        ("name = 'orders'\n[processes]\nweb = 'x'\n[web]\nprocess = 'wbe'\n", "[web] speaks of the process type wbe"),
        ("name = 'orders'\n[processes]\nweb = 'x'\n[attested]\n'V.1' = ' '\n", "does not say who vouches for V.1"),
        ("name = 'orders'\n[processes]\nweb = 'x'\n[attested]\n'V.99' = 'Ada'\n", "vouches for V.99, which is no"),
    ],
)
def test_a_contract_that_cannot_be_used_is_one_message(
    tmp_path: Path, temporary: Path, text: str | None, told: str
) -> None:
    folder = tmp_path / "service"
    folder.mkdir()
    if text is not None:
        (folder / "factors.toml").write_text(text)
    run = twelvefold("prove", ".", folder=folder, TMPDIR=str(temporary))
    assert run.returncode == 2
    assert told in run.stderr
    assert "Traceback" not in run.stderr
    assert sorted(path.name for path in folder.iterdir()) == ([] if text is None else ["factors.toml"])


def test_a_claim_that_there_is_not_is_refused(service: Path, temporary: Path) -> None:
    run = twelvefold("prove", "--claim", "IX.99", folder=service, TMPDIR=str(temporary))
    assert run.returncode == 2
    assert "No claim is called IX.99" in run.stderr
    assert copies.changed(service) == []
    assert not (service / ".twelvefold").exists()


def test_a_procfile_that_is_no_text_is_named(tmp_path: Path, temporary: Path) -> None:
    (tmp_path / "factors.toml").write_text("name = 'orders'\n")
    (tmp_path / "Procfile").write_bytes(b"web: caf\xe9\n")
    run = twelvefold("prove", folder=tmp_path, TMPDIR=str(temporary))
    assert run.returncode == 2
    assert "Procfile is no text in UTF-8" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--claim", ","), "--claim , names nothing"),
        (("--claim", "I.2, NOPE"), "No claim is called NOPE"),
        (("--claim", "I.2", "--fast"), "No claim in the short selection of --fast is called I.2"),
        (("no-such-folder",), "no-such-folder is no folder"),
        (("--evidence", "README.md"), "README.md is a file"),
        (("--evidence", "/proc/nowhere"), "Nothing can be written to /proc"),
    ],
)
def test_what_cannot_be_run_is_refused(service: Path, temporary: Path, arguments: tuple[str, ...], told: str) -> None:
    run = twelvefold("prove", *arguments, folder=service, TMPDIR=str(temporary))
    assert run.returncode == 2
    assert told in run.stderr
    assert "Traceback" not in run.stderr


def test_where_no_page_can_go_nothing_is_run(service: Path, temporary: Path) -> None:
    (service / "TWELVE_FACTOR.md").mkdir()
    run = twelvefold("prove", folder=service, TMPDIR=str(temporary))
    assert (run.returncode, run.stdout) == (2, "")
    assert "is a folder, where the page goes" in run.stderr


OWN_CLAIM = """\
from twelvefold.harness.claim import claim


@claim("{number}", "It is so", threshold="{threshold}")
def first() -> None: ...
{more}
"""
ANOTHER = '\n\n@claim("NOTES.2", "It is so too", threshold="one")\ndef second() -> None: ...\n'


@pytest.mark.parametrize(
    ("number", "threshold", "more", "told"),
    [
        ("I.1", "one", "", "the number 'I.1' is no name of your own"),
        ("XV.1", "one", "", "the number 'XV.1' is no name of your own"),
        ("cli.I", "", "", "cli.I lacks a statement or a threshold"),
        ("ix.2", "one", "", "the number 'ix.2' is no name of your own"),
        ("MINE 1", "one", "", "the number 'MINE 1' is no name of your own"),
        ("NOTES.2", "", "", "NOTES.2 lacks a statement or a threshold"),
        ("NOTES.2", "one", ANOTHER, "NOTES.2 is the number of two claims"),
    ],
)
def test_a_claim_of_the_team_cannot_pass_for_another(
    service: Path, temporary: Path, number: str, threshold: str, more: str, told: str
) -> None:
    text = OWN_CLAIM.format(number=number, threshold=threshold, more=more)
    (service / "claims/claim_more.py").write_text(text)
    run = twelvefold("prove", folder=service, TMPDIR=str(temporary))
    assert run.returncode == 2
    assert told in run.stderr


LEAVES_OUT = (
    "def pytest_collection_modifyitems(items):\n    items[:] = [one for one in items if 'foreground' in one.name]\n"
)


def test_no_file_of_the_team_takes_a_claim_away(service: Path, temporary: Path) -> None:
    (service / "claims/conftest.py").write_text(LEAVES_OUT)
    run = twelvefold("prove", folder=service, TMPDIR=str(temporary))
    assert run.returncode == 2
    assert "Something in claims/ leaves out I.1, I.2" in run.stderr


def test_options_for_other_tests_change_nothing(service: Path, temporary: Path) -> None:
    run = twelvefold("prove", "--claim", "NOTES.1", folder=service, TMPDIR=str(temporary), PYTEST_ADDOPTS="-k nothing")
    assert (run.returncode, evidence(service)["NOTES.1"]["verdict"]) == (0, "pass")


# What is described


def described(folder: Path, text: str) -> Path:
    """A service of which nothing is known but a `factors.toml`."""
    folder.mkdir()
    (folder / "factors.toml").write_text(f"name = 'orders'\n{text}")
    return folder


@pytest.mark.parametrize(
    ("text", "verdict", "reason"),
    [
        ("processes = { web = 'sleep 60' }\n[web]\n", "not_applicable", "there is no worker process"),
        ("processes = { web = 'sleep 60', clock = 'true' }\n[web]\n", "not_applicable", "there is no worker process"),
        (
            "processes = { web = 'sleep 60', worker = 'true' }\n[web]\n",
            "not_run",
            "no [jobs], though its process may be worker",
        ),
        (
            "processes = { web = 'sleep 60', mailer = 'true' }\n[web]\n",
            "not_run",
            "no [jobs], though its process may be mailer",
        ),
    ],
)
def test_what_nobody_describes_is_not_what_there_is_not(
    tmp_path: Path, temporary: Path, text: str, verdict: str, reason: str
) -> None:
    service = described(tmp_path / "service", text)
    run = twelvefold(
        "prove", "--claim", "IX.4", "--evidence", tmp_path / "evidence", folder=service, TMPDIR=str(temporary)
    )
    found = verdicts_in(tmp_path / "evidence")["IX.4"]
    assert found["verdict"] == verdict
    assert reason in str(found["reason"])
    assert run.returncode == 2  # nothing passed


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("package.json", '{"dependencies": {"express": "^5"}}'),
        ("pyproject.toml", '[tool.poetry.dependencies]\npython = "^3.12"\nflask = "*"\n'),
        ("Pipfile", '[packages]\nflask = "*"\n'),
        ("setup.py", "setup(install_requires=['flask'])\n"),
        ("requirements/production.txt", "flask\n"),
    ],
)
def test_packages_that_cannot_be_installed_fail_no_claim(tmp_path: Path, temporary: Path, file: str, text: str) -> None:
    service = described(tmp_path / "service", "processes = { web = 'npm start' }\n[web]\n")
    (service / file).parent.mkdir(exist_ok=True)
    (service / file).write_text(text)
    run = twelvefold("prove", "--claim", "VII.1", folder=service, TMPDIR=str(temporary))
    assert run.returncode == 2
    assert f"The packages of {file} cannot be installed here" in run.stderr


# What is written


def test_spaces_between_claims_and_a_service_below_the_top(service: Path, temporary: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(service, whole / "services/orders", ignore=shutil.ignore_patterns(".git"))
    place = whole / "services/orders"
    copies.commit(whole, "Begin")
    (place / "production.env").write_text("DATABASE_URL=postgresql://orders:Tr0ub4dor-h7Kq2@db.internal/orders\n")
    copies.git(whole, "add", "--all", "--force")
    copies.commit(whole, "Try something")
    (place / "production.env").unlink()
    copies.commit(whole, "Think again")
    (place / ".env").write_text("DATABASE_URL=postgresql://ada:hunter2@localhost/orders\n")  # which git ignores
    run = twelvefold("prove", "--claim", " I.3, iii.3 ", folder=place, TMPDIR=str(temporary))
    assert run.returncode == 1, run.stdout + run.stderr
    found = evidence(place)
    assert found["I.3"]["verdict"] == "pass"
    assert found["III.3"]["verdict"] == "fail"
    assert "production.env" in str(found["III.3"]["reason"])
    assert "in .env" not in str(found["III.3"]["reason"])


def test_where_nothing_could_be_seen_nothing_is_proved_unless_somebody_vouches(tmp_path: Path, temporary: Path) -> None:
    service = tmp_path / "service"
    service.mkdir()
    (service / "factors.toml").write_text("name = 'orders'\nprocesses = { web = 'sleep 60' }\n")
    command = ("prove", "--claim", "XII.1", "--evidence", tmp_path / "evidence")
    assert twelvefold(*command, folder=service, TMPDIR=str(temporary)).returncode == 2
    with (service / "factors.toml").open("a") as file:
        file.write("[attested]\n'XII.1' = 'Ada looks at each release'\n")
    assert twelvefold(*command, folder=service, TMPDIR=str(temporary)).returncode == 0
    found = verdicts_in(tmp_path / "evidence")["XII.1"]
    assert (found["verdict"], found["reason"]) == ("attested", "Ada looks at each release")


def test_a_run_whose_output_nobody_reads_is_written_down(service: Path, temporary: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "twelvefold", "prove", "--claim", "NOTES.1"],
            cwd=service,
            env=SUBMITTED | {"TMPDIR": str(temporary)},
            stdout=closed,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert evidence(service)["NOTES.1"]["verdict"] == "pass"


def test_one_claim_leaves_evidence_and_no_page(service: Path, temporary: Path) -> None:
    run = twelvefold("prove", "--claim", "IX.2,NOTES.1", folder=service, TMPDIR=str(temporary))
    assert run.returncode == 0, run.stdout + run.stderr
    assert "\x1b" not in run.stdout
    assert {name: claim["verdict"] for name, claim in evidence(service).items()} == {"IX.2": "pass", "NOTES.1": "pass"}
    assert (service / ".twelvefold/junit.xml").exists()
    assert not (service / "TWELVE_FACTOR.md").exists()
    assert copies.changed(service) == []


def test_a_page_that_was_edited_by_hand_is_refused(service: Path, temporary: Path) -> None:
    (service / "TWELVE_FACTOR.md").write_text("# 12 of 12 factors hold\n")
    run = twelvefold("prove", "--claim", "VII.1", "--check", folder=service, TMPDIR=str(temporary))
    assert run.returncode == 1
    assert "TWELVE_FACTOR.md is not what this run found" in run.stderr


def test_a_violation_is_told_with_what_was_seen(service: Path, temporary: Path) -> None:
    file = service / "Procfile"
    file.write_text(file.read_text().replace("web: orders web", "web: env HOST=127.0.0.1 orders web"))
    run = twelvefold("prove", "--claim", "VII.1", folder=service, TMPDIR=str(temporary))
    assert run.returncode == 1
    claim = evidence(service)["VII.1"]
    assert claim["verdict"] == "fail"
    assert claim["reason"]


# What is left behind


@pytest.mark.parametrize(
    ("number", "times"),
    [(signal.SIGINT, 1), (signal.SIGINT, 5), (signal.SIGHUP, 1)],  # SIGTERM ends it the same way
    ids=["Ctrl-C", "Ctrl-C again and again", "SIGHUP"],
)
def test_an_interrupted_run_leaves_nothing(service: Path, temporary: Path, number: signal.Signals, times: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "twelvefold", "prove", "--claim", "IX"],
        cwd=service,
        env=SUBMITTED | {"TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        # Whoever runs these tests in the background has Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not any("environment/bin/orders" in line for line in copies.running_below(temporary)):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no process of the service was ever seen"
        time.sleep(0.05)
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.7)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "Traceback" not in output
    assert copies.changed(service) == []


# As a team has it


def test_where_no_process_is_known_nothing_is_proved(tmp_path: Path) -> None:
    (tmp_path / "factors.toml").write_text('name = "nothing"\n')
    copies.commit(tmp_path, "Begin")
    run = twelvefold("prove", folder=tmp_path)
    assert run.returncode == 2
    assert "No process type is known" in run.stderr
    assert not (tmp_path / "TWELVE_FACTOR.md").exists()


def test_make_prove_takes_the_suite_from_where_it_is_told(service: Path) -> None:
    told = copies.make(service, "prove", "CLAIM=NOTES.1", env={"TWELVEFOLD": str(copies.ROOT)})
    assert "NOTES.1" in told
    assert evidence(service)["NOTES.1"]["verdict"] == "pass"


def test_leaving_the_template_costs_one_commit(service: Path, tmp_path: Path) -> None:
    eject = ("uv", "tool", "run", "--quiet", "--from", copies.ROOT, "twelvefold", "eject")
    copies.run(*eject, cwd=service, env=copies.service_environment(None))
    assert not (service / ".copier-answers.yml").exists()
    assert "update" not in copies.make(service, "help")
    assert (service / "twelvefold/LICENSE").read_text() == (copies.ROOT / "LICENSE").read_text()
    copies.commit(service, "Leave the template")
    copies.make(service, "prove", "CLAIM=NOTES.1")
    assert evidence(service)["NOTES.1"]["verdict"] == "pass"
    for check in (("check",), ("format", "--check")):
        copies.run(Path(sys.executable).with_name("ruff"), *check, cwd=service)
    shutil.rmtree(service / "twelvefold")


@pytest.mark.alone
def test_a_new_service_is_green(service: Path, temporary: Path) -> None:
    run = twelvefold("prove", folder=service, TMPDIR=str(temporary), **{STOCK: ""})
    red = {name: claim["reason"] for name, claim in evidence(service).items() if claim["verdict"] in RED}
    assert red == {}
    assert run.returncode == 0
    assert (service / "TWELVE_FACTOR.md").exists()


def test_the_page_about_factors_toml_has_every_entry() -> None:
    assert contract_page.PAGE.read_text() == contract_page.page()
