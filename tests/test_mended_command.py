"""What the companion command does with bad input, with a Ctrl-C, and with what shall stay secret."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from pytest_gitconfig.plugin import GitConfig

from twelvefold.__main__ import main
from twelvefold.adopt.notes import _called_targets
from twelvefold.update.command import update
from twelvefold.update.git import Refusal
from twelvefold.update.template import is_relative, open_template, without_password
from twelvefold.update.trust import require_trust

from . import copies
from .small_templates import MENDED, PAGE, QUESTION, make_template, picture, release

SERVER = "git+https://bob:hunter2@h.invalid"


@pytest.fixture(autouse=True)
def team(default_gitconfig: GitConfig) -> None:
    """Somebody whose name git knows."""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return make_template(tmp_path / "template", {"page.md": PAGE})


@pytest.fixture
def service(template: Path, tmp_path: Path) -> Path:
    """A service that is a release behind."""
    made = copies.generate_committed(template, tmp_path / "orders")
    release(template, "2.0.0", {"page.md": MENDED})
    return made


def run(*words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own, as a person does."""
    environment = {**os.environ, "PYTHONPATH": str(copies.ROOT / "src"), **env}
    command = [sys.executable, "-m", "twelvefold", *map(str, words)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, check=False)


# -- Stopping ----------------------------------------------------------------------------------------------------------


def test_ctrl_c_stops_an_update_for_all_services_that_are_left(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    services = [copies.generate_committed(template, tmp_path / name) for name in ("one", "two", "three")]
    release(template, "2.0.0", {"page.md": MENDED})
    before = [picture(service) for service in services[1:]]
    real: Callable[..., object] = open_template
    opened: list[str] = []

    def second_is_stopped(*arguments: object) -> object:
        opened.append("a template")
        if len(opened) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr("twelvefold.update.updating.open_template", second_is_stopped)

    assert update(services, yes=True) == 130

    said = capsys.readouterr()
    assert str(services[1]) in said.err
    assert str(services[2]) in said.err
    assert (services[0] / "page.md").read_text() == MENDED
    assert [picture(service) for service in services[1:]] == before
    assert len(opened) == 2


# -- Where the text of a pull request goes -----------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["nowhere/body.md", "folder"])
def test_a_body_that_cannot_be_written_is_refused_before_the_update(service: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    before = picture(service)

    told = run("update", service, "--yes", "--body", tmp_path / place)

    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith(f"--body {tmp_path / place}")
    assert told.stderr.count("\n") == 1
    assert picture(service) == before


# -- What stays secret -------------------------------------------------------------------------------------------------


def with_a_password(service: Path, template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a service record an address with a password, and git find the template there all the same."""
    answers = service / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace(str(template), f"{SERVER}/template.git?token=swordfish"))
    copies.commit(service, "chore: a password")
    address = f"{SERVER.removeprefix('git+')}/template.git?token=swordfish"
    settings = {f"url.file://{template}.insteadOf": address, "protocol.file.allow": "always"}
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(settings)))
    for number, (name, value) in enumerate(settings.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", name)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)


def test_an_update_says_nothing_of_a_password(
    service: Path, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_a_password(service, template, monkeypatch)
    body = tmp_path / "body.md"

    refused = run("update", service, "--yes", "--to", "9.9.9")
    drifted = run("drift", service, "--json")
    updated = run("update", service, "--yes", "--body", body)

    assert refused.returncode == 2
    assert "The template at git+https://h.invalid/template.git has no version 9.9.9" in refused.stderr
    assert (updated.returncode, updated.stderr) == (0, "")
    assert "h.invalid/template.git at commit" in updated.stdout
    message = copies.git(service, "log", "-1", "--format=%B")
    assert_secret(refused.stderr, drifted.stdout, drifted.stderr, updated.stdout, body.read_text(), message)


@pytest.mark.parametrize("command", ["update", "drift", "status"])
@pytest.mark.parametrize(
    "secret", ["bob:p'hunter2@h.invalid/a", "bob:p/hunter2@h.invalid/a", "h.invalid/a'b?t='hunter2"]
)
def test_a_password_of_odd_signs_is_not_shown(service: Path, command: str, secret: str) -> None:
    answers = service / ".copier-answers.yml"
    answers.write_text(f'_commit: v1.0.0\n_src_path: "git+https://{secret}"\n')
    copies.commit(service, "chore: a password")

    for options in ((), ("--json",)):
        told = run(command, service, *options)

        assert told.returncode in (1, 2)
        assert_secret(told.stdout, told.stderr)


@pytest.mark.parametrize(
    ("said", "without"),
    [
        ("access 'https://u:p'w@h/a?t=x/': no", "access 'https://h/a/': no"),
        ("https://h:8080/@scope/a", "https://h:8080/@scope/a"),
        ("from https://h/a@v1", "from https://h/a@v1"),
        ("https://u:p/w@h/a#main", "https://h/a#main"),
    ],
)
def test_only_what_is_secret_is_left_out(said: str, without: str) -> None:
    assert without_password(said) == without


@pytest.mark.parametrize("command", ["update", "drift", "status"])
def test_a_template_that_cannot_be_read_is_named_without_its_password(service: Path, command: str) -> None:
    answers = service / ".copier-answers.yml"
    answers.write_text(f"_commit: v1.0.0\n_src_path: {SERVER}/template.git?token=swordfish\n")
    copies.commit(service, "chore: a password")

    for options in ((), ("--json",)):
        told = run(command, service, *options)

        assert told.returncode in (1, 2)
        assert "h.invalid/template.git" in told.stdout + told.stderr or command == "status"
        assert_secret(told.stdout, told.stderr)


def test_status_shows_an_address_without_its_query() -> None:
    place = "https://h.invalid/a.git?private_token=swordfish"

    for options in ((), ("--json",)):
        told = run("status", place, *options, "--timeout", "20")

        assert "unreachable" in told.stdout
        assert_secret(told.stdout, told.stderr)


def assert_secret(*texts: str) -> None:
    for text in texts:
        assert "hunter2" not in text
        assert "swordfish" not in text


# -- One line instead of a traceback -----------------------------------------------------------------------------------


def assert_one_line(told: subprocess.CompletedProcess[str], said: str) -> None:
    assert (told.returncode, told.stdout) == (2, "")
    assert said in told.stderr
    assert told.stderr.count("\n") == 1


def test_prove_says_that_git_is_missing(service: Path, tmp_path: Path) -> None:
    assert_one_line(run("prove", service, PATH=str(tmp_path)), "git is missing")


def test_prove_looks_before_the_run_where_its_evidence_goes(service: Path) -> None:
    for place in (service / "page.md", service / "page.md" / "below"):
        assert_one_line(run("prove", service, "--evidence", place), f"The evidence cannot be written to {place}")


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b"\xff", b'{"keep": []}'])
def test_undo_says_that_its_journal_is_broken(service: Path, content: bytes) -> None:
    folder = service / ".git/twelvefold"
    folder.mkdir()
    (folder / "last.json").write_bytes(content)

    assert_one_line(run("undo", service), "last.json is broken")


@pytest.mark.parametrize("words", [("status",), ("update", "--check")])
def test_a_reader_that_has_gone_is_no_error(service: Path, words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "twelvefold", *words, str(service)]
    environment = {**os.environ, "PYTHONPATH": str(copies.ROOT / "src")}
    with os.fdopen(writing, "wb") as gone:
        told = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, env=environment, check=False)

    assert (told.returncode, told.stderr) == (141, b"")


def test_what_else_the_system_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> int:
        raise PermissionError(13, "Permission denied", "pyproject.toml")

    monkeypatch.setattr("twelvefold.draft.init", fails)
    monkeypatch.setattr(sys, "argv", ["twelvefold", "init"])

    assert main() == 2
    assert capsys.readouterr().err == "twelvefold: [Errno 13] Permission denied: 'pyproject.toml'\n"


def test_trusted_sources_may_hold_any_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "twelvefold").mkdir()
    (tmp_path / "twelvefold/trusted").write_bytes(b"caf\xe9\nhttps://h.invalid/a.git\n")

    require_trust("https://h.invalid/a.git", "0" * 40, "Its update", yes=False)
    with pytest.raises(Refusal, match="--yes trusts it"):
        require_trust("https://h.invalid/b.git", "0" * 40, "Its update", yes=False)


@pytest.mark.parametrize(("trusted", "other"), [("good", "evil"), ("good", "")])
def test_a_source_is_not_trusted_for_another_one_s_query(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: str, other: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("twelvefold.update.trust.at_a_terminal", lambda: True)
    monkeypatch.setattr("questionary.confirm", lambda *_, **__: SimpleNamespace(unsafe_ask=lambda: True))
    require_trust(f"https://h.invalid/a?repo={trusted}", "0" * 40, "Its update", yes=False)
    monkeypatch.setattr("twelvefold.update.trust.at_a_terminal", lambda: False)

    require_trust(f"https://h.invalid/a?repo={trusted}", "0" * 40, "Its update", yes=False)
    for source in (f"https://h.invalid/a?repo={other}", "https://h.invalid/a"):
        with pytest.raises(Refusal, match="--yes trusts it"):
            require_trust(source, "0" * 40, "Its update", yes=False)
    assert trusted not in (tmp_path / "twelvefold/trusted").read_text()


# -- What it tells of itself, and of what it did -----------------------------------------------------------------------


def test_it_tells_its_version_and_its_exit_codes() -> None:
    version = run("--version")

    assert version.returncode == 0
    assert re.fullmatch(r"twelvefold \d\S*\n", version.stdout)
    for command in ("prove", "update", "adopt", "undo", "drift"):
        assert "Ends with 0" in run(command, "--help").stdout


def test_undo_says_what_it_has_undone(service: Path, template: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "bills"
    foreign.mkdir()
    copies.git(tmp_path, "init", "--quiet", foreign)
    (foreign / "app.py").write_text("")
    copies.commit(foreign, "feat: begin")
    assert run("adopt", foreign, "--from", template, "--yes").returncode == 0
    assert run("update", service, "--yes").returncode == 0

    assert run("undo", foreign).stdout.endswith("as it was before: chore: adopt version 2.0.0 of the template.\n")
    assert run("undo", service).stdout.endswith("before: chore: update the template from 1.0.0 to 2.0.0.\n")


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_an_update_is_told_whatever_the_names_are(service: Path, template: Path, tmp_path: Path, encoding: str) -> None:
    body = tmp_path / "body.md"
    (service / "page.md").rename(service / os.fsdecode(b"caf\xe9.md"))
    copies.commit(service, "chore: an odd name")

    told = run("update", service, "--yes", "--body", body, PYTHONIOENCODING=encoding)

    assert (told.returncode, told.stderr) == (0, "")
    assert "caf\\udce9.md" in told.stdout
    assert "caf\\udce9.md" in body.read_text("utf-8")


@pytest.mark.parametrize("name", [b'a"b', b"a\\b", b"a\nb", b"caf\xe9"])
def test_a_service_lies_in_a_folder_of_any_name(service: Path, tmp_path: Path, name: bytes) -> None:
    moved = service.rename(tmp_path / os.fsdecode(name))

    told = run("update", moved, "--yes")

    assert (told.returncode, told.stderr) == (0, "")
    assert (moved / "page.md").read_text() == MENDED


def test_what_a_git_hook_sets_leads_nothing_away(service: Path) -> None:
    told = run("update", service, "--yes", GIT_DIR=str(service / ".git"))

    assert (told.returncode, told.stderr) == (0, "")
    assert (service / "page.md").read_text() == MENDED


def test_comments_that_copier_does_not_keep_are_told(service: Path) -> None:
    answers = service / ".copier-answers.yml"
    answers.write_text("# Asked by Ann.\n" + answers.read_text())
    copies.commit(service, "chore: say who asked")

    assert "  # Asked by Ann.\n" in run("update", service, "--yes").stdout


def test_hidden_questions_are_not_offered(template: Path, service: Path) -> None:
    release(
        template, "3.0.0", {}, f"{QUESTION}\nsecrets_of_a_platform:\n  type: yaml\n  default: {{}}\n  when: false\n"
    )

    told = run("update", service, "--yes", "-d", "nope=1")

    assert told.returncode == 2
    assert "has no question nope: it has name." in told.stderr


# -- Who has made it ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["name = Bob\n\temail = bob@h.invalid", "useConfigOnly = true"])
def ann(service: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Who a person is in this folder, and somebody else, or nobody, elsewhere."""
    (tmp_path / "there").write_text("[user]\n\tname = Ann\n\temail = ann@h.invalid\n")
    there = f'[includeIf "gitdir:{service}/"]\n\tpath = {tmp_path}/there\n'
    (tmp_path / "settings").write_text(f"[user]\n\t{request.param}\n{there}")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "settings"))
    return "Ann <ann@h.invalid>, Ann <ann@h.invalid>\n"


WHO = "--format=%an <%ae>, %cn <%ce>"


def test_the_commit_has_the_name_that_a_person_has_in_that_folder(service: Path, ann: str) -> None:
    assert update([service], yes=True) == 0

    assert copies.git(service, "log", "-1", WHO) == ann


def test_so_has_the_commit_that_resolves_conflicts(service: Path, ann: str) -> None:
    (service / "page.md").write_text("ours\n")
    copies.commit(service, "feat: ours")

    assert update([service], yes=True) == 1

    copies.commit(service, "chore: resolved")
    assert copies.git(service, "log", "-1", WHO) == ann


def test_an_author_without_a_name_is_refused(
    service: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "settings").write_text("[committer]\n\tname = Bob\n\temail = bob@h.invalid\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "settings"))
    before = picture(service)

    assert update([service], yes=True) == 2

    assert "git does not know your name yet" in capsys.readouterr().err
    assert picture(service) == before


# -- What a workflow calls ---------------------------------------------------------------------------------------------


def test_only_commands_of_a_workflow_are_calls_of_make() -> None:
    workflow = """
    # make coffee
    on: {push: {}}
    jobs:
      one:
        steps:
          - name: make haste
            run: make setup lint IMAGE=service
          - run: |
              # make tea
              cd service && make prove || true
              echo "It changes workflows. Run make update yourself, or" \\
              make build
    """

    assert _called_targets(workflow) == {"setup", "lint", "prove", "build"}
    assert _called_targets("jobs: [") == set()


# -- Answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["maybe", "", "2"])
def test_a_yes_or_no_question_takes_no_other_word(service: Path, template: Path, answer: str) -> None:
    release(template, "3.0.0", {}, f"{QUESTION}cache:\n  type: bool\n  default: false\n")
    before = picture(service)

    assert_one_line(run("update", service, "--yes", "-d", f"cache={answer}"), f"-d cache={answer} is no answer")
    assert picture(service) == before


@pytest.mark.parametrize(("answer", "taken"), [("YES", True), ("off", False)])
def test_a_yes_or_no_question_takes_either(service: Path, template: Path, answer: str, taken: bool) -> None:
    release(template, "3.0.0", {}, f"{QUESTION}cache:\n  type: bool\n  default: false\n")

    assert run("update", service, "--yes", "-d", f"cache={answer}").returncode == 0
    assert copies.answers(service)["cache"] is taken


DEEP = "[" * 20_000 + "]" * 20_000


@pytest.mark.parametrize("line", ["since: 2026-13-45\n", f"deep: {DEEP[18_000:22_000]}\n"], ids=["date", "depth"])
@pytest.mark.parametrize("command", ["update", "drift"])
def test_answers_that_cannot_be_read_are_one_message(service: Path, command: str, line: str) -> None:
    with (service / copies.ANSWERS_FILE).open("a") as answers:
        answers.write(line)
    copies.commit(service, "Break the answers")
    told = run(command, service)
    assert told.returncode == 2
    assert f"{copies.ANSWERS_FILE} cannot be read" in told.stdout + told.stderr
    assert "Traceback" not in told.stderr


def test_waivers_and_evidence_of_any_depth_break_nothing(service: Path) -> None:
    (service / "drift.toml").write_text(f"a = {DEEP}\n")
    told = run("drift", service)
    assert told.returncode == 2
    assert "drift.toml cannot be read" in told.stdout + told.stderr
    (service / ".twelvefold").mkdir()
    (service / ".twelvefold/twelve-factor.json").write_text(DEEP)
    (service / "TWELVE_FACTOR.md").write_text("# orders\n")
    told = run("status", service)
    assert "orders" in told.stdout
    assert "Traceback" not in told.stderr


def test_a_body_in_the_service_is_refused(service: Path) -> None:
    before = picture(service)
    told = run("update", service, "--check", "--body", service / "page.md")
    assert told.returncode == 2
    assert "lies in the service" in told.stderr
    assert picture(service) == before


def test_an_older_release_of_another_branch_is_no_update(template: Path, tmp_path: Path) -> None:
    copies.git(template, "switch", "--quiet", "--create", "maintained")
    release(template, "1.0.1", {"page.md": MENDED})
    copies.git(template, "switch", "--quiet", "-")
    release(template, "1.1.0", {"new.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    assert "1.1.0" in (service / copies.ANSWERS_FILE).read_text()
    told = run("update", service, "--to", "1.0.1")
    assert told.returncode == 2
    assert "older" in told.stdout + told.stderr


@pytest.mark.parametrize("number", ["-3", "0"])
def test_prove_refuses_to_run_nothing_at_once(service: Path, number: str) -> None:
    assert_one_line(run("prove", service, "--at-once", number), f"--at-once {number}")


# -- A template's address that is relative -----------------------------------------------------------------------------


@pytest.mark.parametrize("source", [".", "../template", "template"])
@pytest.mark.parametrize("words", [("update", "--yes"), ("drift",), ("status",)])
def test_a_relative_address_is_refused_wherever_the_command_is_started(
    service: Path, template: Path, monkeypatch: pytest.MonkeyPatch, source: str, words: tuple[str, ...]
) -> None:
    answers = service / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace(str(template), source))
    copies.commit(service, "chore: a relative address")
    monkeypatch.chdir(template)

    told = run(*words, service)

    assert told.returncode == (1 if words == ("status",) else 2)
    said = " ".join((told.stdout + told.stderr).split())
    assert ".copier-answers.yml has" in said
    assert "_src_path" in said
    assert f": {source}" in said


@pytest.mark.parametrize("source", ["gh:a/b", "git@h.invalid:a/b.git", "git+https://h.invalid/a", "/srv/a", "~/a"])
def test_an_address_and_a_whole_path_are_not_relative(source: str) -> None:
    assert not is_relative(source)
