"""`twelvefold adopt` brings a service that no template made under the standards, and overwrites nothing."""

import hashlib
import io
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest
from pytest_gitconfig.plugin import GitConfig
from rich.console import Console

from twelvefold.adopt.adopting import Wish, adopt_service, template_source
from twelvefold.adopt.beside import side_by_side
from twelvefold.adopt.choices import Choices, Decision, defaults
from twelvefold.adopt.command import adopt
from twelvefold.adopt.comparison import Both, Comparison
from twelvefold.adopt.guesses import guess
from twelvefold.adopt.summary import Summary
from twelvefold.harness import contract
from twelvefold.update import transition
from twelvefold.update.command import undo
from twelvefold.update.git import Refusal
from twelvefold.update.options import Options
from twelvefold.update.service import find_repository
from twelvefold.update.trees import make_scratch

from . import copies
from .interpreters import real_interpreter
from .small_templates import (
    EDITED,
    MENDED,
    PAGE,
    QUESTION,
    Files,
    Told,
    edited,
    interrupt_while_removing,
    make_template,
    mended,
    page,
    picture,
    release,
    safe_update,
    told_without_room,
    write,
)

FOREIGN = Path(__file__).parent / "foreign" / "adopt"
OWNERSHIP = "| starter | `README.md`, `notes/` | left alone |\n| derived | `openapi.json` | left alone |\n"
QUESTIONS = (
    QUESTION.replace("default", "help: Which name?\n  default")
    + "description:\n  type: str\n  help: What for?\n  default: Keeps notes.\n"
    + "python:\n  type: str\n  help: Which Python?\n  choices: ['3.12', '3.13']\n  default: '3.13'\n"
    + "region:\n  type: str\n  help: Where?\n  default: eu\n"
)
STANDARD: Files = {
    ".github/workflows/test.yml": page("# The standard's workflow") + "# make deploy\nrun: make setup test\n",
    ".github/workflows/release.yml": page("A release"),
    "Makefile.jinja": page("The commands of {{ name }}"),
    "docs/ownership.md": OWNERSHIP,
    "docs/guide.md": page("A guide"),
    "factors.toml.jinja": 'name = "{{ name }}"\n',
    ".editorconfig": page("A setting"),
    "Dockerfile": page("An image"),
    "src/worker.py": page("# Code"),
    "README.md": page("The standard's readme"),
    "notes/routes.py": page("# The example"),
    "openapi.json": "{}\n",
}
TEAM: Files = {
    "Makefile": "test:\n\tpytest\n\nlint: test\n",
    "README.md": "# Bills\n\nSends bills. And more.\n",
    "Procfile": "web: python -m bills\n",
    "bills.py": "import os\n\nPORT = os.environ['PORT']\n",
    "docs/guide.md": page("Our guide"),
    ".gitignore": "*.ini\n",
}
TAKEN = [
    ".copier-answers.yml",
    ".editorconfig",
    ".github/workflows/release.yml",
    ".github/workflows/test.yml",
    "docs/ownership.md",
    "factors.toml",
]
DECLINED = ["Dockerfile", "notes/routes.py", "openapi.json", "src/worker.py"]


@pytest.fixture(autouse=True)
def team(default_gitconfig: GitConfig, sessionpatch: pytest.MonkeyPatch) -> None:
    """Somebody whose name git knows."""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return make_template(tmp_path / "template", STANDARD, QUESTIONS)


@pytest.fixture
def service(tmp_path: Path) -> Path:
    return foreign(tmp_path / "bills", TEAM)


def foreign(folder: Path, files: Files) -> Path:
    """A service that no template made."""
    write(folder, files)
    copies.commit(folder, "Begin")
    return folder


def adopted(service: Path, template: Path | str, **options: Any) -> Told:
    """Runs `twelvefold adopt --yes --json` in this process."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = adopt(service, str(template), as_json=True, **{"yes": True, **options})
    return Told(code, json.loads(printed.getvalue()))


def adopted_with(service: Path, template: Path, scratch: Path, choices: Choices) -> Summary:
    """Adopts as somebody would who chose at the terminal."""

    def choose(comparison: Comparison) -> Choices:
        return Choices(choices.decisions, choices.take or defaults(comparison).take)

    scratch.mkdir()
    wish = Wish(str(template), asks=False, choose=choose)
    return adopt_service(find_repository(service), scratch, Options(yes=True), wish)


def hashes(service: Path) -> dict[str, str]:
    """The hash of each file of a service."""
    return {name: hashlib.sha256((service / name).read_bytes()).hexdigest() for name in copies.rendered(service)}


def stages(service: Path, name: str) -> list[int]:
    lines = copies.git(service, "ls-files", "--stage", "--", name).splitlines()
    return [int(line.split()[2]) for line in lines]


# -- Without anybody to ask --------------------------------------------------------------------------------------------


def test_by_default_nothing_is_overwritten_and_what_touches_no_code_is_added(template: Path, service: Path) -> None:
    before = hashes(service)
    told = adopted(service, template)
    after = hashes(service)
    assert told.code == 0
    assert told.summary["outcome"] == "adopted"
    assert {name: after[name] for name in before} == before
    assert sorted(after.keys() - before.keys()) == TAKEN == told.files["added"]
    assert told.files["kept"] == ["Makefile", "README.md", "docs/guide.md"]
    assert sorted(name for names in told.files["not_taken"].values() for name in names) == DECLINED
    assert copies.changed(service) == []


def test_it_is_one_commit_that_says_what_it_did(template: Path, service: Path) -> None:
    told = adopted(service, template)
    subjects = copies.git(service, "log", "--format=%s").splitlines()
    assert subjects == ["chore: adopt version 1.0.0 of the template", "Begin"]
    assert copies.git(service, "rev-parse", "HEAD").strip() == told.summary["commit"]
    message = copies.git(service, "log", "-1", "--format=%B")
    assert "Yours kept, though the standard has them too:\n  Makefile\n" in message
    assert "  src/worker.py\n" not in message
    assert "  Code and its tests: src/worker.py\n" in message


def test_the_answers_are_guessed_and_recorded_by_copier(template: Path, service: Path) -> None:
    told = adopted(service, template, data=["region=us"])
    assert copies.answers(service) == {
        "_commit": "v1.0.0",
        "_src_path": str(template),
        "description": "Sends bills.",
        "name": "bills",
        "python": "3.13",
        "region": "us",
    }
    assert told.summary["guessed"] == {"description": "README.md", "name": "the folder's name"}


def test_a_guess_that_the_template_refuses_gives_way_to_its_default(service: Path, tmp_path: Path) -> None:
    validated = QUESTION + "  validator: \"{% if name == 'bills' %}Taken.{% endif %}\"\n"
    old_python = "python:\n  type: str\n  choices: ['3.12', '3.13']\n  default: '3.13'\n"
    template = make_template(tmp_path / "template", {"a.md": PAGE}, validated + old_python)
    write(service, {".python-version": "3.11\n"})
    copies.commit(service, "Pin")
    told = adopted(service, template)
    assert told.code == 0
    assert told.summary["answers"] == {"name": "orders", "python": "3.13"}
    assert told.summary["guessed"] == {}


def test_the_description_for_the_experiments_is_drafted_from_the_service(template: Path, service: Path) -> None:
    told = adopted(service, template)
    found = contract.load(service)
    assert found.processes == {"web": "python -m bills"}
    assert "PORT" in (service / contract.FILE).read_text()
    questions = (service / contract.FILE).read_text().count("\n# ? ")
    assert any(f"answer its {questions} questions" in note for note in told.summary["notes"])


def test_workflows_that_call_what_the_makefile_has_not_are_told(template: Path, service: Path) -> None:
    told = adopted(service, template)
    assert [note for note in told.summary["notes"] if "workflows call make setup," in note]


def test_workflows_that_read_the_standard_s_image_are_told(service: Path, tmp_path: Path) -> None:
    reads = "jobs: {a: {steps: [{run: sed -n s/UV_DIGEST// Dockerfile}]}}\n"
    image = "FROM python:3.13\n"
    standard: Files = {
        ".github/workflows/test.yml": reads,
        "Dockerfile": f"FROM a/uv:0.9.1${{UV_DIGEST}} AS uv\n{image}",
    }
    template = make_template(tmp_path / "template", standard, QUESTIONS)
    write(service, {"Dockerfile": image})
    copies.commit(service, "An image of its own")

    def about_uv(told: Told) -> list[str]:
        return [note for note in told.summary["notes"] if "the version of uv" in note]

    assert len(about_uv(adopted(service, template, check=True))) == 1
    write(service, {"Dockerfile": standard["Dockerfile"]})
    copies.commit(service, "The standard's image")
    assert about_uv(adopted(service, template)) == []


def test_it_says_in_words_what_it_did_and_that_nobody_was_asked(
    template: Path, service: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adopt(service, str(template), yes=True) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{service}: adopted version 1.0.0 of the template\n")
    assert "Nobody was asked: all that exists is kept" in said
    assert "  description: Sends bills.  (from README.md)\n" in said
    assert "twelvefold undo takes it back" in said


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_it_is_done_though_there_is_no_room_to_tell_it(template: Path, service: Path, words: list[str]) -> None:
    code, said = told_without_room("adopt", str(service), "--from", str(template), "--yes", *words)
    assert (code, "What was done could not be told" in said) == (0, True), said
    assert (service / ".copier-answers.yml").exists()


def test_who_stops_it_when_it_is_done_changes_nothing(
    template: Path, service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_while_removing(monkeypatch, "twelvefold-adopt-")
    told = adopted(service, template)
    assert told.code == 0
    assert told.summary["outcome"] == "adopted"


def test_a_check_tells_the_same_and_changes_nothing(
    template: Path, service: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = picture(service, objects=True)
    checked = adopted(service, template, check=True)
    assert adopt(service, str(template), check=True, diff=True) == 0
    assert picture(service, objects=True) == before
    assert not (service / ".git/twelvefold").exists()
    said = capsys.readouterr().out
    assert re.search(r"1 test: +\| +1 The commands of bills, line 1", said)
    assert said.endswith("Nothing was changed.\n")
    assert checked.files == adopted(service, template).files


@pytest.mark.parametrize(
    ("given", "recorded"),
    [
        ("gh:acme/twelvefold", "gh:acme/twelvefold"),
        ("https://github.com/acme/twelvefold", "https://github.com/acme/twelvefold"),
        ("https://git.example.com/twelvefold.git", "https://git.example.com/twelvefold.git"),
        ("https://git.example.com/twelvefold", "git+https://git.example.com/twelvefold"),
        ("ssh://git@git.example.com/twelvefold", "git+ssh://git@git.example.com/twelvefold"),
        ("git@git.example.com:twelvefold", "git@git.example.com:twelvefold"),
        ("somebody@git.example.com:twelvefold", "git+somebody@git.example.com:twelvefold"),
    ],
)
def test_the_address_is_recorded_so_that_copier_knows_it(given: str, recorded: str) -> None:
    assert template_source(given) == recorded


def test_an_address_of_git_s_serves_as_well_as_a_folder(template: Path, service: Path) -> None:
    told = adopted(service, template.as_uri())
    assert told.code == 0
    assert copies.answers(service)["_src_path"] == f"git+{template.as_uri()}"
    assert "Later versions come by twelvefold update." in told.summary["notes"]
    release(template, "2.0.0", {"docs/new.md": PAGE})
    assert safe_update(service).files["added"] == ["docs/new.md"]


def test_a_folder_is_recorded_by_its_whole_path_and_warned_of(
    template: Path, service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(template.parent)
    told = adopted(service, template.name)
    assert copies.answers(service)["_src_path"] == str(template)
    assert any("a folder that other machines have not" in note for note in told.summary["notes"])


@pytest.mark.parametrize(
    "secret",
    [
        "ci:hunter2@h.invalid/a.git",
        "ci:hun/ter2@h.invalid/a.git",
        "hunter2@h.invalid/a.git",
        "h.invalid/a?token=hunter2",
    ],
)
def test_a_password_is_never_recorded(service: Path, secret: str) -> None:
    told = adopted(service, f"https://{secret}")
    assert told.code == 2
    assert "holds credentials" in told.summary["reason"]
    assert "hunter2" not in json.dumps(told.summary).replace("hun/ter2", "hunter2")


def test_a_service_in_a_folder_of_its_repository(template: Path, tmp_path: Path) -> None:
    whole = foreign(tmp_path / "whole", {f"services/bills/{name}": text for name, text in TEAM.items()})
    write(whole, {"Makefile": "all:\n"})
    copies.commit(whole, "Build all")
    told = adopted(whole / "services/bills", template)
    assert told.files["added"] == [f"services/bills/{name}" for name in TAKEN]
    assert (whole / "Makefile").read_text() == "all:\n"
    assert copies.answers(whole / "services/bills")["name"] == "bills"
    assert any("GitHub reads no workflow in services/bills/.github" in note for note in told.summary["notes"])


# -- What comes after --------------------------------------------------------------------------------------------------


def test_the_next_update_brings_what_the_template_changed_and_nothing_that_was_declined(
    template: Path, service: Path
) -> None:
    adopted(service, template)
    write(service, {".editorconfig": edited(page("A setting"))})
    copies.commit(service, "Edit")
    before = hashes(service)
    changed: Files = {name: mended(str(STANDARD[name])) for name in ("Dockerfile", "src/worker.py", "notes/routes.py")}
    changed |= {name: mended(str(STANDARD[name])) for name in (".editorconfig", ".github/workflows/release.yml")}
    release(template, "2.0.0", {**changed, "docs/new.md": PAGE})
    told = safe_update(service)
    assert told.code == 0
    assert told.files["merged"] == [".editorconfig"]
    assert told.files["updated"] == [".github/workflows/release.yml"]
    assert told.files["added"] == ["docs/new.md"]
    assert told.files["kept_deleted"] == ["Dockerfile", "src/worker.py"]
    assert (service / ".editorconfig").read_text() == mended(edited(page("A setting")))
    after = hashes(service)
    touched = {".copier-answers.yml", ".editorconfig", ".github/workflows/release.yml"}
    assert {name for name in before if after[name] != before[name]} == touched
    assert not any((service / name).exists() for name in DECLINED)


def test_an_update_without_a_change_finds_nothing_to_do(template: Path, service: Path) -> None:
    adopted(service, template)
    assert safe_update(service).summary["outcome"] == "up to date"
    release(template, "2.0.0", {})
    told = safe_update(service)
    assert told.code == 0
    assert copies.git(service, "show", "--format=", "--name-only").split() == [copies.ANSWERS_FILE]


def test_a_file_that_was_kept_counts_as_edited(template: Path, service: Path) -> None:
    adopted(service, template)
    release(template, "2.0.0", {"Makefile.jinja": mended(str(STANDARD["Makefile.jinja"]))})
    told = safe_update(service)
    assert told.conflicts == ["Makefile"]
    assert stages(service, "Makefile") == [1, 2, 3]
    assert copies.git(service, "show", ":2:Makefile") == TEAM["Makefile"]


def test_a_file_that_is_another_one_altogether_is_left_to_the_team(template: Path, service: Path) -> None:
    told = adopted(service, template)
    assert any("'Makefile merge=ours'" in note for note in told.summary["notes"])
    write(service, {".gitattributes": "Makefile merge=ours\n"})
    copies.commit(service, "Keep the Makefile")
    changes: Files = {
        "Makefile.jinja": mended(str(STANDARD["Makefile.jinja"])),
        "docs/guide.md": mended(page("A guide")),
    }
    release(template, "2.0.0", changes)
    told = safe_update(service)
    assert told.conflicts == ["docs/guide.md"]
    assert told.files["left_yours"] == ["Makefile"]
    assert (service / "Makefile").read_text() == TEAM["Makefile"]


def test_undo_takes_it_back(template: Path, service: Path) -> None:
    before = picture(service)
    adopted(service, template)
    assert undo(service) == 0
    assert picture(service) == before
    assert adopted(service, template).code == 0


def test_an_error_in_the_middle_leaves_the_service_as_it_was(
    template: Path, service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = picture(service)

    def fail(*arguments: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(transition, "_move_branch", fail)
        told = adopted(service, template)
    assert told.code == 2
    assert "the disk is full" in told.summary["reason"]
    assert picture(service) == before
    assert adopted(service, template).code == 0


# -- With somebody who chooses -----------------------------------------------------------------------------------------


def test_each_file_that_both_have_is_decided_on_its_own(template: Path, service: Path, tmp_path: Path) -> None:
    write(service, {"Dockerfile": "FROM scratch\n"})
    copies.commit(service, "Containerise")
    before = picture(service)
    decisions = {
        "Makefile": Decision.TAKE,
        "docs/guide.md": Decision.MERGE,
        "Dockerfile": Decision.BESIDE,
    }
    summary = adopted_with(service, template, tmp_path / "scratch", Choices(decisions))
    assert summary.exit_code == 1
    assert summary.files.conflicts == ["docs/guide.md"]
    assert summary.files.replaced == ["Makefile"]
    assert summary.files.beside == {"Dockerfile": "Dockerfile.standard"}
    assert (service / "Makefile").read_text() == page("The commands of bills")
    assert (service / "Dockerfile").read_text() == "FROM scratch\n"
    assert (service / "Dockerfile.standard").read_text() == page("An image")
    assert stages(service, "docs/guide.md") == [2, 3]
    merged = (service / "docs/guide.md").read_text()
    assert "<<<<<<< yours\nOur guide, line 1\n" in merged
    assert ">>>>>>> template-v1.0.0\n" in merged
    assert undo(service) == 0
    assert picture(service) == before


def test_what_was_merged_by_hand_is_committed_and_updated(template: Path, service: Path, tmp_path: Path) -> None:
    adopted_with(service, template, tmp_path / "scratch", Choices({"docs/guide.md": Decision.MERGE}))
    write(service, {"docs/guide.md": edited(page("A guide"))})
    copies.git(service, "add", "--all")
    copies.git(service, "commit", "--quiet", "--no-edit")
    assert copies.git(service, "log", "-1", "--format=%s").strip() == "chore: adopt version 1.0.0 of the template"
    release(template, "2.0.0", {"docs/guide.md": mended(page("A guide"))})
    assert safe_update(service).code == 0
    assert (service / "docs/guide.md").read_text() == mended(edited(page("A guide")))


def test_what_was_ticked_besides_is_updated_too(template: Path, service: Path, tmp_path: Path) -> None:
    adopted_with(service, template, tmp_path / "scratch", Choices(take={"src/worker.py"}))
    assert not (service / ".editorconfig").exists()
    release(template, "2.0.0", {"src/worker.py": mended(page("# Code")), ".editorconfig": MENDED})
    assert safe_update(service).files["updated"] == ["src/worker.py"]
    assert not (service / ".editorconfig").exists()


def test_a_file_is_never_written_over_another_one_beside_it(template: Path, service: Path, tmp_path: Path) -> None:
    write(service, {"Makefile.standard": EDITED})
    copies.commit(service, "Have one already")
    before = picture(service)
    with pytest.raises(Refusal, match=r"Makefile\.standard exists"):
        adopted_with(service, template, tmp_path / "scratch", Choices({"Makefile": Decision.BESIDE}))
    assert picture(service) == before


def test_work_that_was_done_amid_the_questions_is_seen(template: Path, service: Path, tmp_path: Path) -> None:
    def choose(comparison: Comparison) -> Choices:
        write(service, {".editorconfig": EDITED})
        return defaults(comparison)

    with pytest.raises(Refusal, match=r"not committed: \.editorconfig"):
        adopt_service(
            find_repository(service), tmp_path, Options(yes=True), Wish(str(template), asks=False, choose=choose)
        )
    assert (service / ".editorconfig").read_text() == EDITED

    def choose_and_commit(comparison: Comparison) -> Choices:
        copies.commit(service, "Go on meanwhile")
        return defaults(comparison)

    copies.commit(service, "Set")
    (tmp_path / "again").mkdir()
    wish = Wish(str(template), asks=False, choose=choose_and_commit)
    with pytest.raises(Refusal, match="a new commit since the first question"):
        adopt_service(find_repository(service), tmp_path / "again", Options(yes=True), wish)
    assert copies.changed(service) == []


# -- What is in the way ------------------------------------------------------------------------------------------------


def test_what_lies_in_the_way_stays(service: Path, tmp_path: Path) -> None:
    standard: Files = {"local.ini": PAGE, "docs/x.md": PAGE, "bills.py/x.md": PAGE, "makefile": PAGE, "LICENSE": PAGE}
    template = make_template(tmp_path / "template", standard)
    write(service, {"local.ini": "ours"})
    before = picture(service)["files"]
    told = adopted(service, template)
    assert told.code == 0
    assert told.files["in_the_way"] == ["bills.py/x.md", "local.ini", "makefile"]
    assert told.files["added"] == [copies.ANSWERS_FILE, "LICENSE", "docs/x.md"]
    after = picture(service)["files"]
    assert {name: after[name] for name in before} == before


def test_a_submodule_stays_as_it_is(service: Path, tmp_path: Path) -> None:
    standard: Files = {"lib/x.md": PAGE, "Lib/y.md": PAGE, "tool": PAGE, "LICENSE": PAGE}
    template = make_template(tmp_path / "template", standard)
    for name in ("lib", "tool"):
        part = foreign(service / name, {"own.md": PAGE})
        copies.git(
            service,
            "update-index",
            "--add",
            "--cacheinfo",
            f"160000,{copies.git(part, 'rev-parse', 'HEAD').strip()},{name}",
        )
    copies.git(service, "commit", "--quiet", "--message", "Take parts of others")
    before = picture(service)
    told = adopted(service, template)
    assert told.code == 0
    assert told.files["in_the_way"] == ["Lib/y.md", "lib/x.md", "tool"]
    assert copies.git(service, "ls-files", "--stage", "lib", "tool").count("160000 ") == 2
    assert [path.name for path in (service / "lib").iterdir() if path.name != ".git"] == ["own.md"]
    assert undo(service) == 0
    assert picture(service) == before


def test_no_file_is_left_out_of_a_tree_in_silence(service: Path, tmp_path: Path) -> None:
    work = make_scratch(tmp_path / "scratch.git", find_repository(service))
    entry = work.tree(copies.git(service, "rev-parse", "HEAD").strip())["Makefile"]
    with pytest.raises(Refusal, match="as file and as folder"):
        work.write({"docs": entry, "docs/x.md": entry})


def test_the_same_content_is_no_question(service: Path, tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"Makefile": TEAM["Makefile"], "docs/guide.md": PAGE})
    told = adopted(service, template)
    assert told.files["same"] == ["Makefile"]
    assert told.files["kept"] == ["docs/guide.md"]
    # It is the template's from now on.
    release(template, "2.0.0", {"Makefile": MENDED})
    assert safe_update(service).files["updated"] == ["Makefile"]


# -- Refusals ----------------------------------------------------------------------------------------------------------


def dirty(service: Path) -> None:
    write(service, {"new.py": "x = 1\n"})


def generated(service: Path) -> None:
    write(service, {copies.ANSWERS_FILE: "_commit: v1.0.0\n"})
    copies.commit(service, "Generate")


def merging(service: Path) -> None:
    write(service, {".git/MERGE_HEAD": copies.git(service, "rev-parse", "HEAD")})


def broken(service: Path) -> None:
    write(service, {"pyproject.toml": "[project\n"})
    copies.commit(service, "Break")


@pytest.mark.parametrize(
    ("prepare", "options", "reason"),
    [
        (dirty, {}, "changes that are not committed: new.py"),
        (generated, {}, "a template has made this service already"),
        (merging, {}, "A merge is under way"),
        (broken, {}, "pyproject.toml cannot be read"),
        (None, {"to": "9.9.9"}, "has no version 9.9.9: its newest is v1.0.0"),
        (None, {"data": ["regoin=us"]}, "has no question regoin: it has name, description, python, region"),
        (None, {"data": ["region"]}, "-d region lacks an answer"),
        (None, {"data": ["python=2.7"]}, "Version 1.0.0 with your answer to python cannot be rendered"),
    ],
)
def test_bad_input_gets_one_clear_error(
    template: Path, service: Path, prepare: Any, options: dict[str, Any], reason: str
) -> None:
    if prepare:
        prepare(service)
    before = picture(service)
    told = adopted(service, template, **options)
    assert told.code == told.summary["exit_code"] == 2
    assert told.summary["outcome"] == "refused"
    assert reason in told.summary["reason"]
    assert picture(service) == before


def test_no_repository_no_commit_no_template(template: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    write(folder, TEAM)
    assert "is in no git repository" in adopted(folder, template).summary["reason"]
    copies.git(folder, "init", "--quiet")
    assert "has no commit yet" in adopted(folder, template).summary["reason"]
    assert "is no folder" in adopted(tmp_path / "missing", template).summary["reason"]
    copies.commit(folder, "Begin")
    assert "cannot be read" in adopted(folder, tmp_path / "no-template").summary["reason"]
    assert copies.changed(folder) == []


def test_a_template_that_records_no_answers_could_not_update(service: Path, tmp_path: Path) -> None:
    template = tmp_path / "template"
    release(template, "1.0.0", {"a.md": PAGE}, QUESTION)
    assert "does not write .copier-answers.yml" in adopted(service, template).summary["reason"]


def test_an_error_goes_to_the_error_output(template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert adopt(tmp_path / "missing", str(template)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"{tmp_path / 'missing'}: nothing was done. ")


# -- Guesses and pictures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"pyproject.toml": '[project]\nname = "Room_Service"\nrequires-python = ">=3.12"\n'},
            {"name": "room-service"},
        ),
        ({"pyproject.toml": '[project]\nrequires-python = ">=3.12,<4"\n'}, {"python": "3.12"}),
        ({"pyproject.toml": '[project]\nrequires-python = ">=3.15"\n'}, {"python": None}),
        ({"pyproject.toml": '[project]\nrequires-python = "three"\n'}, {"python": None}),
        ({"Dockerfile": "FROM docker.io/library/python:3.14-slim AS base\n"}, {"python": "3.14"}),
        ({"Dockerfile": "FROM python:3.9\n"}, {"python": None}),
        ({"shop/__init__.py": "", "tests/__init__.py": ""}, {"package": "shop"}),
        ({"a.py": "", "b.py": ""}, {"package": None}),
        ({"Procfile": "web: x\nworker: y\n"}, {"shape": "web-worker-clock"}),
        ({"Procfile": "consumer: y\nbeat: z\n"}, {"shape": "worker-clock"}),
        ({"Procfile": "release: x\nweb: y\n"}, {"shape": "web"}),
        ({"requirements.txt": "redis\n"}, {"cache": True}),
        ({".gitlab-ci.yml": "{}\n"}, {"ci": "none"}),
        ({".github/CODEOWNERS": "docs @a\n*   @acme/shop # all\n"}, {"owner": "@acme/shop"}),
        ({"LICENSE": "Apache License\nVersion 2.0\n"}, {"licence": None}),
        ({"LICENSE": "MIT License\n"}, {"licence": "MIT"}),
        ({"README.md": "# Shop\n\n![build](x.svg)\n\nSells things.\nA lot.\n"}, {"description": "Sells things."}),
        ({"README.md": f"# Shop\n\n{'long ' * 40}\n"}, {"description": None}),
    ],
)
def test_guesses(tmp_path: Path, files: Files, expected: dict[str, Any]) -> None:
    write(tmp_path, files)
    found = guess(tmp_path)
    assert {name: found[name].answer if name in found else None for name in expected} == expected


def shown(ours: bytes, standard: bytes, *, whole: bool = False) -> list[str]:
    console = Console(width=100, file=io.StringIO(), color_system=None)
    console.print(side_by_side(Both("a", ours, standard), whole=whole))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_both_sides_stand_beside_each_other_in_a_hundred_columns() -> None:
    lines = shown(EDITED.encode(), MENDED.encode())
    assert max(map(len, lines)) <= 100
    assert re.fullmatch(r" 4 The team's own line\. +<", lines[3])
    assert re.fullmatch(r"11 A page, line 10 +\| +10 A page, line 10, mended by the template", lines[-3])
    assert lines[1].split() == "2 A page, line 2 2 A page, line 2".split()


def test_a_long_file_is_shortened_unless_all_of_it_is_wanted() -> None:
    long = "".join(f"line {number}\n" for number in range(300)).encode()
    assert shown(b"", long)[-1].strip() == "… 260 more lines"
    assert shown(b"", long, whole=True)[-1].endswith("300 line 299")


def test_what_a_file_holds_cannot_steer_the_terminal() -> None:
    lines = "\n".join(shown(b"\x1b[2Jgone [red]x[/red]\n", b"\x07\xff\n"))
    assert "\x1b" not in lines
    assert "\x07" not in lines
    assert "[red]x[/red]" in lines
    assert "not text, 3 bytes" in "\n".join(shown(b"a\0b", b"b"))


# -- At a terminal -----------------------------------------------------------------------------------------------------

DOWN, RETURN = b"\x1b[B", b"\r"


def at_a_terminal(service: Path, template: Path, answers: list[tuple[str, bytes]]) -> tuple[int, str]:
    """Runs `twelvefold adopt` at a terminal, and types each answer once its question has been asked."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(copies.ROOT / "src"), "TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-m", "twelvefold", "adopt", str(service), "--from", str(template)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        seen, answered = "", 0
        with suppress(OSError):  # how the end of a terminal is told
            while select.select([ours], [], [], 60)[0] and (chunk := os.read(ours, 4096)):
                seen += chunk.decode("utf-8", "replace")
                if answers and answers[0][0] in seen[answered:]:
                    answered = len(seen)
                    os.write(ours, answers.pop(0)[1])
        if answers:  # a question that was never asked
            process.kill()
        code = process.wait(60)
    os.close(ours)
    return code, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)


def test_at_a_terminal_a_person_decides(service: Path, tmp_path: Path) -> None:
    files: Files = {"Makefile": MENDED, "docs/guide.md": PAGE, "LICENSE": PAGE, "src/x.py": PAGE}
    template = make_template(tmp_path / "template", files, QUESTION.replace("default", "help: Which name?\n  default"))
    code, seen = at_a_terminal(
        service,
        template,
        [
            ("Which name?", b"-2" + RETURN),
            ("Makefile (1 of 2)", DOWN + RETURN),
            ("docs/guide.md (2 of 2)", RETURN),
            ("Which do you take?", DOWN + b" " + RETURN),
            ("Choose among their files?", RETURN),
        ],
    )
    assert code == 0, seen
    assert "name: bills  (from the folder's name)" in seen
    assert "Nobody was asked" not in seen
    assert copies.answers(service)["name"] == "bills-2"
    assert (service / "Makefile").read_text() == MENDED
    assert (service / "docs/guide.md").read_text() == TEAM["docs/guide.md"]
    assert (service / "LICENSE").read_text() == (service / "src/x.py").read_text() == PAGE


@pytest.mark.parametrize("question", ["Which name?", "Makefile (1 of 2)", "Which do you take?"])
def test_ctrl_c_at_a_question_leaves_the_service_as_it_was(template: Path, service: Path, question: str) -> None:
    before = picture(service)
    asked = ["Which name?", "What for?", "Which Python?", "Where?"]
    order = [*asked, "Makefile (1 of 2)", "docs/guide.md (2 of 2)", "Which do you take?"]
    answers = [(one, RETURN) for one in order[: order.index(question)]]
    code, seen = at_a_terminal(service, template, [*answers, (question, b"\x03")])
    assert code == 130, seen
    assert "Stopped; all is as it was." in seen
    assert "Traceback" not in seen
    assert picture(service) == before


# -- Two services as others write them ---------------------------------------------------------------------------------


def their_tests(service: Path) -> str:
    """Runs the tests of a foreign service, with its packages and none of this project."""
    packages = ("--with", "fastapi", "--with", "httpx", "--with", "pytest")
    environment = copies.service_environment(real_interpreter(copies.default_python()))
    command = ("uv", "run", "--no-project", *packages, "python", "-m", "pytest", "-q")
    return copies.run(*command, cwd=service, env=environment | {"PYTHONDONTWRITEBYTECODE": "1"})


def cloned(template: Path, folder: Path) -> Path:
    """The real template, to which releases can be added."""
    copies.git(template.parent, "clone", "--quiet", template, folder)
    return folder


@pytest.mark.parametrize(
    ("name", "tests", "kept", "guessed"),
    [
        (
            "parcels",
            "4 passed",
            {"Makefile", "Dockerfile", ".gitignore", "README.md"},
            {
                "name": "parcels",
                "package": "app",
                "shape": "web",
                "python": "3.12",
                "description": "Tells where a parcel is.",
            },
        ),
        (
            "rooms",
            "5 passed",
            {".github/workflows/test.yml", "pyproject.toml", "Procfile", "src/rooms/settings.py", "README.md"},
            {
                "name": "rooms",
                "package": "rooms",
                "shape": "web-worker-clock",
                "licence": "MIT",
                "owner": "@acme/facilities",
            },
        ),
    ],
)
def test_a_foreign_service_keeps_its_files_and_its_tests_stay_green(
    name: str, tests: str, kept: set[str], guessed: dict[str, str], copier_template: Path, tmp_path: Path
) -> None:
    template = cloned(copier_template, tmp_path / "template")
    service = Path(shutil.copytree(FOREIGN / name, tmp_path / name))
    copies.commit(service, "Begin")
    before = hashes(service)
    assert tests in their_tests(service)

    told = adopted(service, template)
    assert told.code == 0
    after = hashes(service)
    assert {file: after[file] for file in before} == before
    assert kept <= set(told.files["kept"])
    assert guessed.items() <= told.summary["answers"].items()
    assert {".github/workflows/release.yml", "docs/ownership.md", "factors.toml"} <= after.keys() - before.keys()
    assert not [file for file in after.keys() - before.keys() if file.endswith(".py")]
    assert tests in their_tests(service)
    assert contract.load(service).processes["web"]

    write(template, {"template/.editorconfig": mended(page("x")), "template/src/{{ package }}/logs.py": PAGE})
    copies.release(template, "0.2.0")
    told = safe_update(service)
    assert told.code == 0
    assert {file for file in after if hashes(service)[file] != after[file]} == {".copier-answers.yml", ".editorconfig"}
    assert told.files["kept_deleted"] == [f"src/{guessed['package']}/logs.py"]
    assert tests in their_tests(service)
    assert copies.changed(service) == []
