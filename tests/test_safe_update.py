"""`twelvefold update` loses nothing, hides nothing, and can be undone; where `copier update` loses, a test shows it."""

import json
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import copier
import pytest
from pytest_gitconfig.plugin import GitConfig

from hooks.releases import HistoryError, tag_missing
from twelvefold.drift import drift
from twelvefold.update import changing, transition
from twelvefold.update.command import undo, update
from twelvefold.update.git import Refusal
from twelvefold.update.itself import undo_command
from twelvefold.update.service import Repository, find_repository

from . import copies
from .small_templates import (
    BOTH,
    EDITED,
    HALF_WAY,
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
    plain_update,
    release,
    safe_update,
    told_without_room,
    twin,
    write,
)

TEAM = b"The team's own line."
TEMPLATE = b"mended by the template"
MARKER = b"<<<<<<<"


@pytest.fixture(autouse=True)
def team(default_gitconfig: GitConfig, sessionpatch: pytest.MonkeyPatch) -> None:
    """Somebody whose name git knows."""


# -- Each way in which the plain update loses work, and what the safe one makes of it ----------------------------------


@dataclass(frozen=True)
class Outcome:
    """One service, updated by either."""

    plain: Path
    safe: Path
    told: Told


def outcome(service: Path, **answers: str) -> Outcome:
    """Updates a service twice: as Copier does, with whatever error that ends, and safely."""
    plain = twin(service)
    try:
        plain_update(plain, **answers)
    except Exception as error:
        print(f"copier update ended with {error!r}")
    return Outcome(plain, service, safe_update(service, data=[f"{name}={value}" for name, value in answers.items()]))


@pytest.fixture(scope="module")
def many(default_gitconfig: GitConfig, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One service with many losses waiting for it, each in files of its own."""
    folder = tmp_path_factory.mktemp("many")
    image, accents = b"\x89PNG\0" + bytes(range(256)), "café ".encode("latin-1")
    pages: Files = {
        name: page(name)
        for name in (
            "removed.md",
            "a/moved.md",
            "{{ name }}/by-answer.md",
            "Readme.md",
            "forced.ini",
            "dropped.ini",
            "team-moved.md",
            "team-deleted.md",
            "rejected.md",
            "both.md",
        )
    }
    odd: Files = {"logo.png": image, "photo.png": image, "nul.txt": PAGE + "\0", "latin.txt": accents + PAGE.encode()}
    template = make_template(folder / "template", {".gitignore.jinja": "*.ini\n*.rej\n", **pages, **odd})
    service = copies.generate_committed(template, folder / "orders")
    for name in ("removed.md", "a/moved.md", "orders/by-answer.md", "Readme.md", "forced.ini", "rejected.md"):
        write(service, {name: edited((service / name).read_text())})
    by_the_team: Files = {
        "logo.png": b"\x89PNG\0" + TEAM,
        "photo.png": b"\x89PNG\0" + TEAM,
        "nul.txt": EDITED + "\0",
        "latin.txt": accents + EDITED.encode().replace(b"line 10\n", b"line 10, by the team \xe9\n"),
        "both.md": page("both.md").replace(", line 10\n", f", line 10. {TEAM.decode()}\n"),
        "team-deleted.md": None,
        "team-moved.md": None,
        "handbook/moved.md": edited(page("team-moved.md")),
        "secrets.ini": TEAM,
        "dropped.ini": edited(page("dropped.ini")),
        "rejected.md.rej": TEAM,
    }
    write(service, by_the_team)
    copies.git(service, "add", "--force", "forced.ini")
    copies.commit(service, "Work as a team does")
    by_the_template: Files = {
        "removed.md": None,
        "a/moved.md": None,
        "b/moved.md": mended(page("a/moved.md")),
        "Readme.md": None,
        "README.md": page("Readme.md"),
        "photo.png": b"\x89PNG\0" + TEMPLATE,
        "nul.txt": MENDED + "\0",
        "latin.txt": accents + MENDED.encode(),
        "dropped.ini": None,
        "secrets.ini": MENDED,
    }
    for name in ("forced.ini", "team-moved.md", "team-deleted.md", "rejected.md", "both.md"):
        by_the_template[name] = mended(page(name))
    release(template, "2.0.0", by_the_template)
    return outcome(service, name="bills")


def holds(service: Path, text: bytes) -> list[str]:
    """The files of a service, ignored ones too, that hold a text."""
    files = (path for path in service.rglob("*") if path.is_file() and ".git" not in path.relative_to(service).parts)
    return sorted(path.relative_to(service).as_posix() for path in files if text in path.read_bytes())


def stages(service: Path, name: str) -> list[int]:
    """The sides that the index has of a file: 0 when it is merged, else 1, 2, 3."""
    lines = copies.git(service, "ls-files", "--stage", "--", name).splitlines()
    return [int(line.split()[2]) for line in lines]


def test_an_edited_file_that_the_template_removes(many: Outcome) -> None:
    assert not (many.plain / "removed.md").exists()
    assert (many.safe / "removed.md").read_text() == edited(page("removed.md"))
    assert stages(many.safe, "removed.md") == [1, 2]
    assert "removed.md" in many.told.conflicts


def test_an_edited_file_that_the_template_moves(many: Outcome) -> None:
    assert (many.plain / "b/moved.md").read_text() == mended(page("a/moved.md"))
    assert (many.safe / "b/moved.md").read_text() == mended(edited(page("a/moved.md")))
    assert not (many.safe / "a").exists()
    assert ["a/moved.md", "b/moved.md"] in many.told.files["moved"]


def test_an_edited_file_that_moves_through_a_changed_answer(many: Outcome) -> None:
    assert (many.plain / "bills/by-answer.md").read_text() == page("{{ name }}/by-answer.md")
    assert not (many.plain / "orders").exists()
    assert (many.safe / "bills/by-answer.md").read_text() == edited(page("{{ name }}/by-answer.md"))


def test_an_edited_file_whose_name_changes_case(many: Outcome) -> None:
    assert (many.plain / "README.md").read_text() == page("Readme.md")
    assert (many.safe / "README.md").read_text() == edited(page("Readme.md"))
    assert not (many.safe / "Readme.md").exists()


def test_an_edited_binary_that_the_template_left_alone(many: Outcome) -> None:
    assert TEAM not in (many.plain / "logo.png").read_bytes()
    assert TEAM in (many.safe / "logo.png").read_bytes()
    assert stages(many.safe, "logo.png") == [0]


def test_a_binary_that_both_changed(many: Outcome) -> None:
    assert TEAM not in (many.plain / "photo.png").read_bytes()
    assert TEAM in (many.safe / "photo.png").read_bytes()
    assert stages(many.safe, "photo.png") == [1, 2, 3]
    assert TEMPLATE.decode() in subprocess.run(
        ["git", "-C", many.safe, "show", ":3:photo.png"], capture_output=True, check=True
    ).stdout.decode("latin-1")


def test_an_edited_text_with_a_nul(many: Outcome) -> None:
    assert (many.plain / "nul.txt").read_text() == MENDED + "\0"
    assert (many.safe / "nul.txt").read_text() == EDITED + "\0"
    assert stages(many.safe, "nul.txt") == [1, 2, 3]


def test_a_latin_1_text_that_both_changed(many: Outcome) -> None:
    content = (many.safe / "latin.txt").read_bytes()
    assert MARKER in content
    assert "by the team é".encode("latin-1") in content
    assert TEMPLATE in content
    assert TEAM in content


def test_an_edited_file_that_is_tracked_though_ignored(many: Outcome) -> None:
    assert TEAM not in (many.plain / "forced.ini").read_bytes()
    assert (many.safe / "forced.ini").read_text() == mended(edited(page("forced.ini")))


def test_a_new_template_file_where_an_ignored_file_lies(many: Outcome) -> None:
    assert (many.plain / "secrets.ini").read_text() == MENDED
    assert (many.safe / "secrets.ini").read_bytes() == TEAM
    assert stages(many.safe, "secrets.ini") == [3]
    assert copies.git(many.safe, "show", ":3:secrets.ini") == MENDED
    assert "secrets.ini" in many.told.conflicts


def test_an_ignored_file_that_the_template_drops(many: Outcome) -> None:
    assert not (many.plain / "dropped.ini").exists()
    assert (many.safe / "dropped.ini").read_text() == edited(page("dropped.ini"))


def test_a_file_that_the_team_moved_and_the_template_mends(many: Outcome) -> None:
    assert (many.plain / "handbook/moved.md").read_text() == edited(page("team-moved.md"))
    assert (many.safe / "handbook/moved.md").read_text() == mended(edited(page("team-moved.md")))
    assert not (many.safe / "team-moved.md").exists()


def test_a_file_that_the_team_deleted_stays_deleted_and_is_reported(many: Outcome) -> None:
    assert not (many.safe / "team-deleted.md").exists()
    assert many.told.files["kept_deleted"] == ["team-deleted.md"]


def test_a_file_that_the_team_made_a_link_is_a_conflict_when_the_template_changes_it(small: Path) -> None:
    (small / "a.md").unlink()
    (small / "a.md").symlink_to("gone.md")
    copies.commit(small, "Link")
    before = picture(small)
    told = safe_update(small)
    assert (told.code, told.files["kept_deleted"]) == (1, [])
    assert told.conflicts == ["a.md", "a.md~template-v2.0.0"]
    assert (small / "a.md").readlink() == Path("gone.md")
    assert (small / "a.md~template-v2.0.0").read_text() == mended(page("a"))
    assert undo(small) == 0
    assert picture(small) == before


def test_a_file_that_both_moved_is_told_by_all_of_its_names(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    copies.git(service, "mv", "a.md", "mine.md")
    copies.commit(service, "Move")
    release(template, "2.0.0", {"a.md": None, "z.md": MENDED})
    told = safe_update(service)
    assert (told.code, told.conflicts) == (1, ["a.md", "mine.md", "z.md"])
    reasons = {one["why"] for one in told.files["conflicts"]}
    assert reasons == {"a.md was moved by you to mine.md and by the template to z.md"}


def test_a_deleted_file_that_the_template_moves_is_told_by_the_name_that_the_team_knew(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    write(service, {"a.md": None})
    copies.commit(service, "Do without")
    release(template, "2.0.0", {"a.md": None, "z.md": MENDED})
    told = safe_update(service)
    assert (told.code, told.files["kept_deleted"]) == (0, ["a.md"])
    assert copies.rendered(service) == [copies.ANSWERS_FILE]


def test_a_file_that_looks_like_a_rejected_hunk(many: Outcome) -> None:
    assert not (many.plain / "rejected.md.rej").exists()
    assert (many.safe / "rejected.md.rej").read_bytes() == TEAM
    assert (many.safe / "rejected.md").read_text() == mended(edited(page("rejected.md")))


def test_conflicts_are_the_exit_code_and_the_state_that_a_merge_leaves(many: Outcome) -> None:
    assert many.told.code == 1
    assert MARKER in (many.safe / "both.md").read_bytes()
    assert stages(many.safe, "both.md") == [1, 2, 3]
    expected = ["both.md", "latin.txt", "nul.txt", "photo.png", "removed.md", "secrets.ini"]
    assert sorted(many.told.conflicts) == expected
    assert sorted(set(copies.git(many.safe, "diff", "--name-only", "--diff-filter=U").split())) == expected
    assert "git cherry-pick --continue" in copies.git(many.safe, "status")


def test_a_file_that_a_global_file_makes_git_ignore(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"app.conf": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    (tmp_path / "ignore").write_text("*.conf\n")
    copies.git(service, "config", "core.excludesFile", tmp_path / "ignore")
    write(service, {"app.conf": EDITED})
    copies.commit(service, "Edit")
    write(service, {"new.conf": TEAM})
    release(template, "2.0.0", {"app.conf": MENDED, "new.conf": PAGE})
    found = outcome(service)
    assert TEAM not in (found.plain / "new.conf").read_bytes()
    assert (found.safe / "app.conf").read_text() == BOTH
    assert (found.safe / "new.conf").read_bytes() == TEAM
    assert found.told.conflicts == ["new.conf"]


@pytest.mark.parametrize("flag", ["skip-worktree", "assume-unchanged"])
def test_a_change_that_git_was_told_to_overlook(tmp_path: Path, flag: str) -> None:
    template = make_template(tmp_path / "template", {"a.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    copies.git(service, "update-index", f"--{flag}", "a.md")
    write(service, {"a.md": EDITED})
    release(template, "2.0.0", {"a.md": MENDED})
    found = outcome(service)
    assert (found.plain / "a.md").read_text() == MENDED
    assert (found.safe / "a.md").read_text() == EDITED
    assert found.told.code == 2
    assert f"--no-{flag}" in found.told.summary["reason"]
    # The file as committed is in nobody's way, and stays overlooked.
    write(service, {"a.md": PAGE})
    assert safe_update(service).code == 0
    assert (service / "a.md").read_text() == MENDED
    assert copies.git(service, "ls-files", "-v", "a.md")[0] == {"skip-worktree": "S", "assume-unchanged": "h"}[flag]


def test_a_file_that_a_sparse_checkout_leaves_out(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"docs/a.md": PAGE, "src/b.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    copies.git(service, "sparse-checkout", "set", "src")
    release(template, "2.0.0", {"docs/a.md": MENDED, "src/b.md": MENDED})
    assert safe_update(service).code == 0
    assert not (service / "docs").exists()
    assert copies.git(service, "show", "HEAD:docs/a.md") == MENDED
    assert copies.changed(service) == []


def test_blanks_at_the_end_of_a_line_where_git_is_told_to_refuse_them(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    copies.git(service, "config", "apply.whitespace", "error")
    write(service, {"a.md": EDITED.replace("own line.", "own line.  ")})
    copies.commit(service, "Edit")
    release(template, "2.0.0", {"a.md": MENDED})
    found = outcome(service)
    assert (found.plain / "a.md").read_text() == MENDED
    assert (found.safe / "a.md").read_text() == BOTH.replace("own line.", "own line.  ")


@HALF_WAY
@pytest.mark.parametrize(("old", "new"), [("a", "a/b"), ("a/b", "a")], ids=["file to folder", "folder to file"])
def test_a_file_becomes_a_folder_and_a_folder_a_file(tmp_path: Path, old: str, new: str) -> None:
    template = make_template(tmp_path / "template", {old: PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    write(service, {old: EDITED})
    copies.commit(service, "Edit")
    release(template, "2.0.0", {old: None, new: MENDED})
    found = outcome(service)
    assert not (found.plain / new).is_file()
    assert (found.safe / new).read_text() == BOTH
    assert found.told.code == 0
    assert undo(service) == 0
    assert (found.safe / old).read_text() == EDITED


def test_a_folder_with_an_ignored_file_does_not_become_a_file(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {".gitignore.jinja": "*.ini\n", "a/b": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    write(service, {"a/own.ini": TEAM})
    release(template, "2.0.0", {"a/b": None, "a": PAGE})
    told = safe_update(service)
    assert (service / "a/own.ini").read_bytes() == TEAM
    assert told.conflicts == ["a"]
    assert undo(service) == 0
    assert (service / "a/b").read_text() == PAGE
    assert (service / "a/own.ini").read_bytes() == TEAM
    assert copies.changed(service) == []


@HALF_WAY
def test_an_error_in_the_middle_of_rendering(tmp_path: Path) -> None:
    two_files = "{% yield part from ['one', 'two'] %}{{ part }}{% endyield %}.md.jinja"
    template = make_template(tmp_path / "template", {two_files: PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    release(template, "2.0.0", {two_files: MENDED + "{{ '' if part == 'one' else nothing }}"})
    found = outcome(service)
    assert " M one.md" in copies.changed(found.plain)
    assert copies.changed(found.safe) == []
    assert found.told.code == 2
    assert "'nothing' is undefined" in found.told.summary["reason"]


RENAMED = "\ntitle:\n  type: str\n  default: orders\n"
MIGRATION = """
_migrations:
  - version: v2.0.0
    when: "{{ _stage == 'before' }}"
    command: ["{{ python }}", "{{ '{{ _copier_conf.src_path }}' }}/hooks/rename.py"]
"""
RENAMING = """\
import pathlib
answers = pathlib.Path(".copier-answers.yml")
answers.write_text(answers.read_text().replace("\\nname:", "\\ntitle:"))
"""


def test_a_question_that_gets_another_name(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a.md.jinja": "{{ name }}\n"})
    service = copies.generate_committed(template, tmp_path / "orders", name="bills")
    release(template, "2.0.0", {"a.md.jinja": "{{ title }}\n"}, RENAMED)
    found = outcome(service)
    assert (found.plain / "a.md").read_text() == "orders\n"
    # Without a migration nobody can know that it is the same question, but what was answered is told.
    assert found.told.summary["answers"]["gone"] == {"name": "bills"}
    assert found.told.summary["answers"]["new"] == {"title": "orders"}
    assert undo(service) == 0
    migration = MIGRATION.replace("{{ python }}", sys.executable).replace("{{ '", "").replace("' }}/hooks", "/hooks")
    write(template, {"hooks/rename.py": RENAMING})
    release(template, "2.0.1", {}, RENAMED + migration)
    refused = safe_update(service, yes=False)
    assert refused.code == 2
    assert f"runs code of {template}" in refused.summary["reason"]
    told = safe_update(service)
    assert (service / "a.md").read_text() == "bills\n"
    assert told.summary["migrations"] == [f"v2.0.0: {sys.executable} {told.summary['migrations'][0].split()[-1]}"]


def test_a_migration_that_moves_an_edited_file_to_where_git_ignores_it_loses_nothing(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"app.conf": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    write(service, {"app.conf": EDITED, ".gitignore": "build/\n"})
    copies.commit(service, "Edit")
    moving = "\n_migrations:\n  - version: v2.0.0\n    when: \"{{ _stage == 'before' }}\"\n"
    moving += "    command: mkdir -p build && mv app.conf build/app.conf\n"
    release(template, "2.0.0", {"app.conf": None, "build/app.conf": MENDED}, QUESTION + moving)
    assert safe_update(service).code == 0
    assert copies.git(service, "show", "HEAD:build/app.conf") == BOTH
    assert not (service / "app.conf").exists()


@pytest.mark.parametrize("stage", ["before", "after"])
def test_a_migration_that_removes_the_answers_is_refused(tmp_path: Path, stage: str) -> None:
    template = make_template(tmp_path / "template", {"a.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    before = picture(service)
    removing = f"\n_migrations:\n  - version: v2.0.0\n    when: \"{{{{ _stage == '{stage}' }}}}\"\n"
    removing += f"    command: rm {copies.ANSWERS_FILE}\n"
    release(template, "2.0.0", {"a.md": MENDED}, QUESTION + removing)
    told = safe_update(service)
    assert told.code == 2
    assert "A migration has removed" in told.summary["reason"]
    assert picture(service) == before


def test_secret_answers_are_neither_recorded_nor_conflicts(tmp_path: Path) -> None:
    secret = QUESTION + 'token:\n  type: str\n  secret: true\n  default: "{{ 99999999 | ans_random }}"\n'
    template = make_template(tmp_path / "template", {"app.conf.jinja": "[app]\ntoken={{ token }}\n"}, secret)
    service = copies.generate_committed(template, tmp_path / "orders", token="hidden-by-the-team")
    release(template, "2.0.0", {"z.md": PAGE})
    found = outcome(service)
    assert MARKER in (found.plain / "app.conf").read_bytes()
    assert (found.safe / "app.conf").read_text() == "[app]\ntoken=hidden-by-the-team\n"
    assert found.told.code == 0
    assert "hidden-by-the-team" not in str(found.told.summary) + copies.git(service, "log", "-1", "--format=%B")


# -- What else an update promises --------------------------------------------------------------------------------------


OWNERSHIP = """\
| Class | Files | On update |
| --- | --- | --- |
| starter | `README.md`, `notes/` | left alone |
| derived | `openapi.json` | made again |
"""


def test_starter_and_derived_files_are_left_alone_and_new_examples_offered(tmp_path: Path) -> None:
    files: Files = {"docs/ownership.md": OWNERSHIP, "README.md": PAGE, "notes/a.md": PAGE, "openapi.json": PAGE}
    settings = QUESTION + "\n_exclude:\n  - \"{% if _copier_operation == 'update' %}/examples{% endif %}\"\n"
    template = make_template(tmp_path / "template", {**files, "examples/one.md": PAGE}, settings)
    service = copies.generate_committed(template, tmp_path / "orders")
    write(service, {"README.md": EDITED, "notes/a.md": None, "openapi.json": EDITED, "examples/one.md": EDITED})
    copies.commit(service, "Make it ours")
    new: Files = {"README.md": MENDED, "notes/a.md": None, "notes/b.md": MENDED, "openapi.json": MENDED}
    release(template, "2.0.0", {**new, "examples/one.md": None, "standard.md": PAGE})
    told = safe_update(service)
    assert told.code == 0
    assert copies.git(service, "show", "--name-only", "--format=", "HEAD").split() == [
        copies.ANSWERS_FILE,
        "standard.md",
    ]
    assert told.files["to_make_again"] == ["openapi.json"]
    assert [offer["path"] for offer in told.files["offered"]] == ["notes/b.md"]
    assert copies.git(service, "cat-file", "blob", told.files["offered"][0]["content"]) == MENDED


def test_the_command_that_takes_an_example_is_told_only_where_it_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = make_template(tmp_path / "template", {"docs/ownership.md": OWNERSHIP})
    service = copies.generate_committed(template, tmp_path / "orders")
    release(template, "2.0.0", {"notes/new one/it's.md": PAGE})
    commit = copies.git(template, "rev-parse", "v2.0.0^{commit}")[:12]
    elsewhere = f"notes/new one/it's.md: as the template makes it at commit {commit}\n"
    assert update([service], check=True) == 0
    assert elsewhere in capsys.readouterr().out
    body = tmp_path / "body.md"
    assert update([service], body=body) == 0
    named, _, command = next(line for line in capsys.readouterr().out.splitlines() if "cat-file" in line).partition(
        ": "
    )
    assert named == "  notes/new one/it's.md"
    copies.run("sh", "-c", command, cwd=service)
    assert (service / "notes/new one/it's.md").read_text() == PAGE
    assert elsewhere in copies.git(service, "log", "-1", "--format=%B")
    assert elsewhere.replace("it's.md:", "it's.md`:") in body.read_text()


def test_starter_and_derived_files_that_a_version_no_longer_has_are_left_alone(tmp_path: Path) -> None:
    settings = QUESTION + "\n_exclude:\n  - \"{% if _copier_operation == 'update' %}/examples{% endif %}\"\n"
    files: Files = {"docs/ownership.md": OWNERSHIP, "notes/a.md": PAGE, "openapi.json": PAGE, "examples/b.md": PAGE}
    template = make_template(tmp_path / "template", files, settings)
    service = copies.generate_committed(template, tmp_path / "orders")
    write(service, {"notes/a.md": EDITED})
    copies.commit(service, "Make it ours")
    page_now = "| Class | Files |\n| --- | --- |\n| starter | `README.md` |\n"
    gone: Files = {"notes/a.md": None, "openapi.json": None, "examples/b.md": None}
    release(template, "2.0.0", {**gone, "docs/ownership.md": page_now}, QUESTION)
    assert drift(service).edited == 0
    told = safe_update(service)
    assert told.code == 0
    assert (service / "notes/a.md").read_text() == EDITED
    assert told.files["removed"] == told.files["to_make_again"] == []
    assert told.files["left_behind"] == ["examples/b.md", "notes/a.md", "openapi.json"]
    assert copies.rendered(service) == [copies.ANSWERS_FILE, "docs/ownership.md", *told.files["left_behind"]]


DERIVING = """\
setup:
	@test -z "$$CI"
derive:
	@tr a-z A-Z <source.md >openapi.json; echo new >docs/new.md; echo other >README.md; rm source.md
"""


@pytest.fixture
def deriving(tmp_path: Path) -> Path:
    """A service whose `make derive` makes `openapi.json` from another file, which its template has changed."""
    page = OWNERSHIP.replace("`openapi.json`", "`openapi.json`, `docs/new.md`, `TWELVE_FACTOR.md`")
    files: Files = {"docs/ownership.md": page, "Makefile": DERIVING, "source.md": PAGE, "README.md": PAGE}
    made: Files = {"openapi.json": PAGE.upper(), "TWELVE_FACTOR.md": PAGE}
    template = make_template(tmp_path / "template", {**files, **made})
    service = copies.generate_committed(template, tmp_path / "orders")
    release(template, "2.0.0", {"source.md": MENDED, "TWELVE_FACTOR.md": MENDED})
    return service


def test_derived_files_are_made_again_in_the_same_commit(deriving: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = picture(deriving)
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("MAKEFLAGS", "--dry-run")
    told = safe_update(deriving, derive=True)
    assert told.code == 0
    assert (deriving / "openapi.json").read_text() == MENDED.upper()
    assert (deriving / "source.md").read_text() == MENDED
    assert (deriving / "README.md").read_text() == PAGE
    assert copies.changed(deriving) == []
    assert told.files["made_again"] == ["docs/new.md", "openapi.json"]
    assert told.files["to_make_again"] == ["TWELVE_FACTOR.md"]
    assert undo(deriving) == 0
    assert picture(deriving) == before


def test_a_derived_file_that_the_team_deleted_stays_deleted(deriving: Path) -> None:
    write(deriving, {"openapi.json": None})
    copies.commit(deriving, "Do without")
    assert safe_update(deriving, derive=True).files["made_again"] == ["docs/new.md"]
    assert not (deriving / "openapi.json").exists()


def test_what_keeps_derived_files_from_being_made_is_told_and_the_rest_is_updated(deriving: Path) -> None:
    write(deriving, {"Makefile": "setup:\n\t@echo no packages here; exit 3\n"})
    copies.commit(deriving, "Break it")
    told = safe_update(deriving, derive=True)
    assert told.code == 0
    assert (deriving / "source.md").read_text() == MENDED
    assert told.files["made_again"] == []
    assert told.files["to_make_again"] == ["TWELVE_FACTOR.md", "openapi.json"]
    assert told.summary["not_derived"] == "no packages here"
    assert "no packages here" in copies.git(deriving, "log", "-1", "--format=%B")


def test_the_first_derived_file_of_a_version_is_told_and_made(tmp_path: Path) -> None:
    making = "setup:\nderive:\n\techo new >docs/new.md\n"
    template = make_template(tmp_path / "template", {"Makefile": making, "docs/ownership.md": OWNERSHIP})
    service = copies.generate_committed(template, tmp_path / "orders")
    named = OWNERSHIP.replace("`openapi.json`", "`openapi.json`, `docs/new.md`, `made/`")
    release(template, "2.0.0", {"docs/ownership.md": named, "openapi.json": PAGE})
    assert safe_update(service).files["to_make_again"] == ["docs/new.md", "openapi.json"]
    assert undo(service) == 0
    assert safe_update(service, derive=True).files["made_again"] == ["docs/new.md"]
    assert (service / "docs/new.md").read_text() == "new\n"


def test_a_file_of_the_team_is_not_derived_over(tmp_path: Path) -> None:
    making = "setup:\nderive:\n\techo new >docs/new.md; echo new >openapi.json\n"
    files: Files = {"Makefile": making, "docs/ownership.md": OWNERSHIP, "openapi.json": PAGE}
    template = make_template(tmp_path / "template", files)
    service = copies.generate_committed(template, tmp_path / "orders")
    write(service, {"docs/new.md": "The team's own.\n", ".gitattributes": "openapi.json merge=ours\n"})
    copies.commit(service, "Write our own")
    named = OWNERSHIP.replace("`openapi.json`", "`openapi.json`, `docs/new.md`")
    release(template, "2.0.0", {"docs/ownership.md": named})
    told = safe_update(service, derive=True)
    assert told.code == 0
    assert told.files["not_overwritten"] == ["docs/new.md", "openapi.json"]
    assert (service / "docs/new.md").read_text() == "The team's own.\n"
    assert (service / "openapi.json").read_text() == PAGE


def test_ctrl_c_while_files_are_derived_leaves_all_as_it_was(deriving: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"
    write(deriving, {"Makefile": f"setup:\n\t@sleep 60 & echo $$! >{started}.new; mv {started}.new {started}; wait\n"})
    copies.commit(deriving, "Take long")
    before = picture(deriving)
    command = [sys.executable, "-m", "twelvefold", "update", "--yes", "--derive", str(deriving)]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(copies.ROOT / "src")},
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        deadline = time.monotonic() + 60
        while not started.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert b"Stopped" in told
    assert picture(deriving) == before
    words = Path("/proc", started.read_text().strip(), "cmdline")
    while words.exists() and words.read_bytes():  # an ended one that nobody has waited for has none
        assert time.monotonic() < deadline, "what the command had started runs on"
        time.sleep(0.05)


@pytest.mark.parametrize("how", [{"check": True, "derive": True}, {}])
def test_derived_files_are_made_only_where_that_is_wanted(deriving: Path, how: dict[str, bool]) -> None:
    told = safe_update(deriving, **how)
    assert told.files["to_make_again"] == ["TWELVE_FACTOR.md", "openapi.json"]
    assert (deriving / "openapi.json").read_text() == PAGE.upper()


def test_a_clean_update_is_one_commit_that_says_what_it_did(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a.md": PAGE, "b.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    write(service, {"a.md": EDITED})
    copies.commit(service, "Edit")
    before = copies.git(service, "rev-parse", "HEAD").strip()
    write(template, {"CHANGELOG.md": "# Changelog\n\n## 2.0.0\n\nAn operator sets `PORT`.\n\n## 1.0.0\n\nThe first.\n"})
    release(template, "2.0.0", {"a.md": MENDED, "b.md": None, "c.md": MENDED})
    body = tmp_path / "body.md"
    told = safe_update(service, body=body)
    assert told.code == 0
    assert copies.changed(service) == []
    assert (service / "a.md").read_text() == BOTH
    assert copies.git(service, "rev-parse", "HEAD^").strip() == before
    assert copies.git(service, "rev-parse", "HEAD").strip() == told.summary["commit"]
    message = copies.git(service, "log", "-1", "--format=%B")
    assert message.startswith("chore: update the template from 1.0.0 to 2.0.0\n")
    for text in (message, body.read_text()):
        assert "An operator sets `PORT`." in text
        assert "The first." not in text
        assert "a.md" in text
    assert copies.answers(service)["_commit"] == "v2.0.0"


def test_a_second_update_changes_nothing(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    release(template, "2.0.0", {"a.md": MENDED})
    assert safe_update(service).code == 0
    before = picture(service)
    told = safe_update(service)
    assert (told.code, told.summary["outcome"]) == (0, "up to date")
    told = safe_update(service, data=["name=orders"])
    assert (told.code, told.summary["outcome"]) == (0, "up to date")
    assert picture(service) == before


def test_a_service_ahead_of_the_newest_release_is_up_to_date(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a.md.jinja": "{{ name }}\n"})
    service = copies.generate_committed(template, tmp_path / "orders")
    write(template / "template", {"b.md": PAGE})
    copies.commit(template, "Work on")
    assert safe_update(service, to="HEAD").code == 0
    told = safe_update(service)
    assert (told.code, told.summary["outcome"]) == (0, "up to date")
    assert told.summary["new"].startswith("1.0.0-1-g")
    told = safe_update(service, data=["name=bills"])
    assert (told.code, told.summary["outcome"]) == (0, "updated")
    assert (service / "b.md").exists()
    assert safe_update(service, to="1.0.0").code == 2


def test_a_changed_answer_is_an_update_like_any_other(tmp_path: Path) -> None:
    files: Files = {"a.md.jinja": "{{ name }}\n" + PAGE, "{% if name == 'orders' %}only.md{% endif %}": PAGE}
    template = make_template(tmp_path / "template", files)
    service = copies.generate_committed(template, tmp_path / "orders")
    write(service, {"a.md": "orders\n" + EDITED})
    copies.commit(service, "Edit")
    told = safe_update(service, data=["name=bills"])
    assert told.code == 0
    assert (service / "a.md").read_text() == "bills\n" + EDITED
    assert not (service / "only.md").exists()
    assert told.summary["answers"]["changed"] == {"name": ["orders", "bills"]}
    fresh = copies.generate(template, tmp_path / "fresh", name="bills")
    assert copies.answers(service) == copies.answers(fresh)


def test_an_answer_that_would_be_forgotten_is_refused(tmp_path: Path) -> None:
    asked = "cache:\n  type: bool\n  default: false\nkind:\n  type: str\n  default: redis\n  when: '{{ cache }}'\n"
    others = "hidden:\n  type: str\n  default: a\n  when: false\ntoken:\n  type: str\n  secret: true\n  default: b\n"
    text = "{{ token }} {{ kind if cache else '' }}\n"
    template = make_template(tmp_path / "template", {"a.md.jinja": text}, QUESTION + asked + others)
    service = copies.generate_committed(template, tmp_path / "orders")
    before = picture(service)
    for given, lost in (["kind=valkey"], "kind"), (["hidden=c", "name=bills"], "hidden"):
        told = safe_update(service, data=given)
        assert told.code == 2
        assert (
            f"does not ask for {lost} with these answers, so that -d would be forgotten: leave it out"
            in told.summary["reason"]
        )
    assert picture(service) == before
    assert safe_update(service, data=["kind=valkey", "cache=true", "token=c"]).code == 0
    assert (service / "a.md").read_text() == "c valkey\n"


def test_answers_are_kept_and_what_is_new_or_other_is_told(tmp_path: Path) -> None:
    old = QUESTION + "size:\n  type: int\n  default: 1\ncolour:\n  type: str\n  choices: [red, blue]\n  default: red\n"
    new = old.replace("default: 1", "default: 2").replace("[red, blue]", "[red, green]")
    template = make_template(tmp_path / "template", {"a.md.jinja": "{{ colour }} {{ size }}\n"}, old)
    service = copies.generate_committed(template, tmp_path / "orders", colour="blue")
    release(template, "2.0.0", {}, new + "region:\n  type: str\n  default: eu\n")
    told = safe_update(service).summary["answers"]
    assert told["new"] == {"region": "eu"}
    assert told["no_longer_valid"] == {"colour": ["blue", "red"]}
    assert told["other_defaults"] == {"size": ["1", "2"]}
    assert copies.answers(service)["size"] == 1


def test_every_comment_that_the_answers_file_loses_is_told(tmp_path: Path) -> None:
    settings = QUESTION + "notes:\n  type: str\n  default: none\n"
    template = make_template(tmp_path / "template", {"a.md": PAGE}, settings)
    service = copies.generate_committed(template, tmp_path / "orders", notes="issue #7 # no comment")
    answers = (service / copies.ANSWERS_FILE).read_text()
    assert "#7" in answers
    commented = answers.replace("name: orders", 'name: orders  # as the bill says\n  # indented\n# "at" the #margin')
    write(service, {copies.ANSWERS_FILE: commented})
    copies.commit(service, "Say why")
    release(template, "2.0.0", {"a.md": MENDED})
    expected = ["name: orders  # as the bill says", "# indented", '# "at" the #margin']
    assert safe_update(service).files["lost_comments"] == expected


def update_at_a_terminal(
    services: list[Path], asked: tuple[str, ...], keys: bytes, *options: str, **variables: str
) -> tuple[int, str]:
    """Presses keys once the terminal shows these words; the exit code, and all that was shown."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(copies.ROOT / "src"), "TERM": "xterm", **variables}
    command = [sys.executable, "-m", "twelvefold", "update", *options, *map(str, services)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while not all(word.encode() in shown for word in asked):
            shown += os.read(ours, 1024)
        os.write(ours, keys)
        with suppress(OSError):  # how the end of a terminal is told
            while chunk := os.read(ours, 1024):
                shown += chunk
        code = process.wait(60)
    os.close(ours)
    return code, shown.decode("utf-8", "replace")


def test_at_a_terminal_only_what_is_new_is_asked(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a.md.jinja": "{{ name }}\n"})
    service = copies.generate_committed(template, tmp_path / "orders", name="bills")
    new = "region:\n  type: str\n  help: Where?\n  default: eu\nzone:\n  type: str\n  ask: false\n  default: z\n"
    release(template, "2.0.0", {"a.md.jinja": "{{ name }} {{ region }} {{ zone }}\n"}, QUESTION + new)
    code, shown = update_at_a_terminal([service], ("Where?", "eu"), b"\x7f\x7fus\r")
    assert code == 0, shown
    assert (service / "a.md").read_text() == "bills us z\n"


@pytest.mark.parametrize("what", ["migration", "derived"])
def test_ctrl_c_at_the_question_of_trust_stops_all(tmp_path: Path, what: str) -> None:
    template = make_template(tmp_path / "template", {"a.md": PAGE, "Makefile": "setup derive:\n\techo made >a.md\n"})
    services = [copies.generate_committed(template, tmp_path / name) for name in ("orders", "bills")]
    if what == "migration":
        release(template, "2.0.0", {}, f"{QUESTION}_migrations:\n  - version: 2.0.0\n    command: touch ran\n")
    else:
        release(template, "2.0.0", {"docs/ownership.md": "| derived | `a.md` |\n"})
    heads = [copies.git(service, "rev-parse", "HEAD") for service in services]
    code, shown = update_at_a_terminal(services, ("(y/N)",), b"\x03", "--derive", XDG_CONFIG_HOME=str(tmp_path))
    assert code == 130, shown
    assert f"as it was: {services[0]}, {services[1]}" in " ".join(shown.split())
    assert [copies.git(service, "rev-parse", "HEAD") for service in services] == heads


def test_a_team_s_own_file_stays_where_it_is_when_the_template_moves_its_neighbours(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a/x.md": PAGE, "a/y.md": page("y")})
    service = copies.generate_committed(template, tmp_path / "orders")
    write(service, {"a/own.md": TEAM, "a/x.md": EDITED})
    copies.commit(service, "Edit")
    release(template, "2.0.0", {"a/x.md": None, "a/y.md": None, "b/x.md": PAGE, "b/y.md": page("y")})
    assert safe_update(service).code == 0
    assert copies.rendered(service) == [copies.ANSWERS_FILE, "a/own.md", "b/x.md", "b/y.md"]
    assert (service / "b/x.md").read_text() == EDITED


def test_a_new_file_goes_along_to_where_the_team_has_moved_its_folder(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a/x.md": PAGE, "a/y.md": page("y")})
    service = copies.generate_committed(template, tmp_path / "orders")
    copies.git(service, "mv", "a", "b")
    copies.commit(service, "Move")
    release(template, "2.0.0", {"a/new.md": page("new")})
    assert safe_update(service).code == 0
    assert copies.rendered(service) == [copies.ANSWERS_FILE, "b/new.md", "b/x.md", "b/y.md"]


def test_a_service_in_a_folder_of_a_larger_repository(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a.md": PAGE})
    whole = tmp_path / "whole"
    service = copies.generate(template, whole / "services/orders")
    write(whole, {"a.md": TEAM, "services/orders/a.md": EDITED})
    copies.commit(whole, "Begin")
    release(template, "2.0.0", {"a.md": MENDED, "b.md": PAGE})
    assert safe_update(service).code == 0
    assert (service / "a.md").read_text() == BOTH
    assert (whole / "a.md").read_bytes() == TEAM
    assert not (whole / "b.md").exists()
    assert undo(service) == 0
    assert copies.changed(whole) == []


def test_a_file_whose_folder_the_team_moved_and_left_a_link_to_is_followed(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a/x.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    copies.git(service, "mv", "a", "b")
    (service / "a").symlink_to("b")
    write(service, {"b/x.md": EDITED})
    copies.commit(service, "Move, and leave a link")
    release(template, "2.0.0", {"a/x.md": MENDED})
    told = safe_update(service)
    assert (told.code, told.files["left_ignored"]) == (0, [])
    assert (service / "b/x.md").read_text() == BOTH
    assert (service / "a").readlink() == Path("b")


def add_submodule(service: Path, name: str) -> None:
    """Makes a folder a repository of its own, of which the service knows the commit."""
    write(service / name, {"a.md": TEAM})
    copies.commit(service / name, "Begin")
    copies.git(service, "-c", "advice.addEmbeddedRepo=false", "add", name)
    copies.commit(service, "Have it apart")


def test_a_submodule_where_the_template_has_a_new_file_is_refused(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"dev/a.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    copies.git(service, "rm", "-r", "--quiet", "dev")
    add_submodule(service, "dev")
    release(template, "2.0.0", {"dev/a.md": MENDED, "dev/new.md": page("new")})
    before = picture(service)
    for check in (True, False):
        told = safe_update(service, check=check)
        assert told.code == 2
        assert "dev is a submodule here, and dev/new.md would lie there: move" in told.summary["reason"]
    assert picture(service) == before


def test_a_submodule_that_changes_is_in_no_way(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    add_submodule(service, "library")
    before = copies.git(service, "ls-files", "--stage")
    release(template, "2.0.0", {"a.md": MENDED, "b.md": PAGE})
    assert safe_update(service).code == 0
    write(service / "library", {"b.md": TEAM})
    copies.commit(service / "library", "Work on")
    copies.git(service, "commit", "--all", "--amend", "--no-edit")
    assert undo(service) == 0
    assert copies.git(service, "ls-files", "--stage") == before
    assert copies.changed(service) == [" M library"]
    assert (service / "library/b.md").read_bytes() == TEAM


def test_undo_does_not_write_into_a_submodule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template = make_template(tmp_path / "template", {"dev/a.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    release(template, "2.0.0", {"dev/a.md": MENDED})
    assert safe_update(service).code == 0
    copies.git(service, "rm", "-r", "--quiet", "dev")
    add_submodule(service, "dev")
    copies.git(service, "reset", "--quiet", "--soft", "HEAD~2")
    copies.git(service, "commit", "--quiet", "--message", "Update and have it apart")
    before = picture(service)
    assert undo(service) == 2
    assert "dev is a submodule here, and dev/a.md would lie there" in capsys.readouterr().err
    assert picture(service) == before


def test_a_clone_without_the_older_commits_is_updated(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a.md": PAGE})
    whole = copies.generate_committed(template, tmp_path / "whole")
    write(whole, {"a.md": EDITED})
    copies.commit(whole, "Edit")
    service = tmp_path / "orders"
    copies.git(tmp_path, "clone", "--quiet", "--depth", "1", whole.as_uri(), service)
    release(template, "2.0.0", {"a.md": MENDED})
    assert safe_update(service).code == 0
    assert (service / "a.md").read_text() == BOTH
    assert undo(service) == 0
    assert (service / "a.md").read_text() == EDITED


def test_line_ends_and_modes_are_as_the_team_s_attributes_say(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a.bat": PAGE, "run.sh": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    write(service, {".gitattributes": "*.bat text eol=crlf\n", "a.bat": EDITED.replace("\n", "\r\n")})
    copies.commit(service, "Edit")
    (template / "template/run.sh").chmod(0o755)
    release(template, "2.0.0", {"a.bat": MENDED})
    assert safe_update(service).code == 0
    assert (service / "a.bat").read_bytes() == BOTH.replace("\n", "\r\n").encode()
    assert os.access(service / "run.sh", os.X_OK)
    assert copies.changed(service) == []


def test_a_file_that_attributes_make_the_team_s_stays_whatever_the_template_does(tmp_path: Path) -> None:
    names = ("same.md", "edited.md", "removed.md", "removed-edited.md")
    template = make_template(tmp_path / "template", {**{name: page(name) for name in names}, "z.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    write(service, {name: edited(page(name)) for name in names if "edited" in name})
    write(service, {".gitattributes": "* merge=ours\nz.md -merge\n", "own.md": TEAM})
    copies.commit(service, "Keep")
    kept = {name: (service / name).read_bytes() for name in (*names, "own.md")}
    changed: Files = {name: None if "removed" in name else mended(page(name)) for name in names}
    release(template, "2.0.0", {**changed, "own.md": PAGE, "new.md": PAGE, "z.md": MENDED})
    told = safe_update(service)
    assert told.code == 0
    assert {name: (service / name).read_bytes() for name in kept} == kept
    assert told.files["left_yours"] == sorted(kept)
    assert (told.files["added"], told.files["updated"]) == (["new.md"], ["z.md"])
    assert copies.answers(service)["_commit"] == "v2.0.0"


def test_check_says_what_would_happen_and_changes_nothing(lived_in: Path) -> None:
    before = picture(lived_in, objects=True)
    told = safe_update(lived_in, check=True)
    assert (told.code, told.conflicts, told.summary["checked"]) == (1, ["both.md"], True)
    assert picture(lived_in, objects=True) == before


def test_several_services_are_updated_each_on_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template = make_template(tmp_path / "template", {"a.md": PAGE})
    clean = copies.generate_committed(template, tmp_path / "clean")
    dirty = copies.generate_committed(template, tmp_path / "dirty")
    write(dirty, {"a.md": EDITED})
    release(template, "2.0.0", {"a.md": MENDED})
    assert update([dirty, clean], yes=True) == 2
    assert (clean / "a.md").read_text() == MENDED
    assert (dirty / "a.md").read_text() == EDITED
    printed = capsys.readouterr()
    assert "clean: from 1.0.0 to 2.0.0, without a conflict" in printed.out
    assert "changes that are not committed: a.md" in printed.err


def test_a_version_can_be_named(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    release(template, "2.0.0", {"a.md": MENDED})
    release(template, "3.0.0", {"a.md": EDITED})
    assert safe_update(service, to="2.0.0").code == 0
    assert (service / "a.md").read_text() == MENDED
    assert "is older than 2.0.0" in safe_update(service, to="v1.0.0").summary["reason"]
    assert "has no version 9.9.9: its newest is v3.0.0" in safe_update(service, to="9.9.9").summary["reason"]


# -- Refusals ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def lived_in(waiting: Path, tmp_path: Path) -> Path:
    """A service whose next update changes, moves, adds and removes files, and conflicts in one."""
    return Path(shutil.copytree(waiting, tmp_path / "orders", symlinks=True))


@pytest.fixture(scope="module")
def waiting(default_gitconfig: GitConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("waiting")
    names = ("edited.md", "a/moved.md", "removed.md", "both.md", "folder/x.md", "file")
    old: Files = {name: page(name) for name in names}
    template = make_template(folder / "template", old)
    service = copies.generate_committed(template, folder / "orders")
    both = page("both.md").replace(", line 10\n", f", line 10. {TEAM.decode()}\n")
    write(service, {name: edited(page(name)) for name in ("edited.md", "a/moved.md")})
    write(service, {"both.md": both, "own.md": TEAM})
    copies.commit(service, "Work as a team does")
    new: Files = {
        "edited.md": mended(page("edited.md")),
        "a/moved.md": None,
        "b/moved.md": mended(page("a/moved.md")),
        "removed.md": None,
        "added/new.md": page("new.md"),
        "both.md": mended(page("both.md")),
        "folder/x.md": None,
        "folder": "now a file\n",
        "file": None,
        "file/now-a-folder.md": "y\n",
    }
    release(template, "2.0.0", new)
    return service


def dirty(service: Path) -> None:
    write(service, {"edited.md": "x", "untracked.md": "y"})


def merging(service: Path) -> None:
    copies.git(service, "checkout", "--quiet", "-b", "other")
    write(service, {"own.md": "other"})
    copies.commit(service, "Other")
    copies.git(service, "checkout", "--quiet", "-")
    write(service, {"own.md": "mine"})
    copies.commit(service, "Mine")
    subprocess.run(["git", "-C", service, "merge", "other"], check=False, capture_output=True)


def without_answers(service: Path) -> None:
    (service / copies.ANSWERS_FILE).unlink()


def answered(service: Path, old: str, new: str) -> None:
    text = (service / copies.ANSWERS_FILE).read_text()
    write(service, {copies.ANSWERS_FILE: text.replace(old, new)})
    copies.commit(service, "Answer otherwise")


def without_version(service: Path) -> None:
    answered(service, "_commit", "commit")


def unknown_version(service: Path) -> None:
    answered(service, "v1.0.0", "v0.0.7")


def unreachable(service: Path) -> None:
    answered(service, str(copies.answers(service)["_src_path"]), str(service.parent / "nowhere"))


def shallow(service: Path) -> None:
    source = Path(copies.answers(service)["_src_path"])
    copies.git(service, "clone", "--quiet", "--depth=1", f"file://{source}", service.parent / "shallow")
    answered(service, str(source), str(service.parent / "shallow"))


def no_repository(service: Path) -> None:
    shutil.rmtree(service / ".git")


def no_commit(service: Path) -> None:
    shutil.rmtree(service / ".git")
    copies.git(service, "init", "--quiet")


REFUSALS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a dirty tree": (dirty, "changes that are not committed: edited.md, untracked.md"),
    "a running merge": (merging, "A merge is under way"),
    "no answers file": (without_answers, "is missing: was this service made by a template?"),
    "no recorded version": (without_version, "does not say which version it has"),
    "an unknown version": (unknown_version, "does not know v0.0.7"),
    "an unreachable template": (unreachable, "cannot be read"),
    "a shallow template": (shallow, "is a shallow clone"),
    "no repository": (no_repository, "is in no git repository"),
    "no commit": (no_commit, "has no commit yet"),
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_an_update_that_cannot_begin_says_why_and_does_nothing(lived_in: Path, reason: str) -> None:
    prepare, message = REFUSALS[reason]
    prepare(lived_in)
    before = sorted(copies.contents(lived_in).items()) if (lived_in / ".git").exists() else None
    told = safe_update(lived_in)
    assert told.code == 2
    assert message in told.summary["reason"]
    assert before is None or sorted(copies.contents(lived_in).items()) == before


@pytest.mark.parametrize(
    ("version", "message"),
    [("git version 2.37.1", "This is git version 2.37.1, and an update needs git 2.38"), (None, "git is missing")],
)
def test_no_git_or_an_old_one_is_refused(
    lived_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, message: str
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    if version is not None:
        (tools / "git").write_text(f"#!/bin/sh\necho {version}\n")
        (tools / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/nowhere")
    told = safe_update(lived_in)
    assert told.code == 2
    assert message in told.summary["reason"]


def test_an_answer_to_no_question_is_refused(lived_in: Path) -> None:
    assert "The template has no question nmae" in safe_update(lived_in, data=["nmae=bills"]).summary["reason"]


def test_a_template_without_a_release_is_refused(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    answered(service, "v1.0.0", copies.git(template, "rev-parse", "HEAD").strip())
    copies.git(template, "tag", "--delete", "v1.0.0")
    assert "has no release" in safe_update(service).summary["reason"]


# -- Undoing -----------------------------------------------------------------------------------------------------------


def test_undo_brings_back_what_was_before_a_clean_update(lived_in: Path) -> None:
    write(lived_in, {"both.md": page("both.md")})
    copies.commit(lived_in, "Give in")
    before = picture(lived_in)
    assert safe_update(lived_in).code == 0
    assert picture(lived_in) != before
    assert undo(lived_in) == 0
    assert picture(lived_in) == before
    assert undo(lived_in) == 2


def test_undo_brings_back_what_was_before_conflicts(lived_in: Path) -> None:
    before = picture(lived_in)
    assert safe_update(lived_in).code == 1
    assert undo(lived_in) == 0
    assert picture(lived_in) == before


def test_undo_keeps_a_copy_of_a_half_resolved_conflict(lived_in: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = picture(lived_in)
    assert safe_update(lived_in).code == 1
    write(lived_in, {"both.md": "half resolved\n"})
    assert undo(lived_in) == 0
    kept = capsys.readouterr().out.strip().rpartition(" ")[2]
    assert Path(kept).read_text() == "half resolved\n"
    assert picture(lived_in) == before


def test_undo_refuses_where_something_else_lies_where_a_file_comes_back(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release(small.parent / "template", "3.0.0", {"a.md": None})
    before = picture(small)
    assert safe_update(small).code == 0
    write(small, {"a.md/mine.md": "mine\n"})
    assert undo(small) == 2
    assert "Something else lies where these files were: a.md. Move that elsewhere" in capsys.readouterr().err
    assert (small / "a.md/mine.md").read_text() == "mine\n"
    (small / "a.md").rename(small.parent / "elsewhere")
    assert undo(small) == 0
    assert picture(small) == before


def test_a_resolved_conflict_is_one_commit_and_can_be_undone(lived_in: Path) -> None:
    before = picture(lived_in)
    assert safe_update(lived_in).code == 1
    write(lived_in, {"both.md": "resolved\n"})
    copies.git(lived_in, "add", "both.md")
    copies.git(lived_in, "commit", "--no-edit")
    assert copies.git(lived_in, "log", "-1", "--format=%s").startswith("chore: update the template from 1.0.0 to 2.0.0")
    assert copies.git(lived_in, "rev-list", "--count", "HEAD").strip() == "3"
    assert copies.changed(lived_in) == []
    assert safe_update(lived_in).summary["outcome"] == "up to date"
    assert undo(lived_in) == 0
    assert picture(lived_in) == before


def test_undo_refuses_to_take_later_work_along(lived_in: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(lived_in, {"both.md": page("both.md")})
    copies.commit(lived_in, "Give in")
    assert safe_update(lived_in).code == 0
    write(lived_in, {"edited.md": "later\n"})
    assert undo(lived_in) == 2
    assert "not committed: edited.md" in capsys.readouterr().err
    copies.commit(lived_in, "Work on")
    write(lived_in, {"own.md": "later\n"})
    copies.commit(lived_in, "And on")
    assert undo(lived_in) == 2
    assert "git revert" in capsys.readouterr().err


def undoing_is_refused(service: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Fails unless undo changes nothing; returns why it refused."""
    before = picture(service)
    capsys.readouterr()
    assert undo(service) == 2
    assert picture(service) == before
    return capsys.readouterr().err


def without_conflict(service: Path) -> Path:
    write(service, {"both.md": page("both.md")})
    copies.commit(service, "Give in")
    return service


def test_undo_refuses_on_a_branch_that_has_no_update(lived_in: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service = without_conflict(lived_in)
    copies.git(service, "branch", "-M", "main")
    before = picture(service)
    copies.git(service, "branch", "bare")
    copies.git(service, "checkout", "--quiet", "-b", "feature")
    write(service, {"mine.py": "own\n"})
    copies.commit(service, "Work")
    copies.git(service, "checkout", "--quiet", "main")
    assert safe_update(service).code == 0
    copies.git(service, "branch", "copy")
    for branch, said in (
        ("feature", "on another branch: git switch main first"),
        ("bare", "on another branch: git switch main first"),
        ("copy", "This branch has the update from another one: git revert"),
        ("main", "Other branches have the update too, such as copy: git revert"),
    ):
        copies.git(service, "checkout", "--quiet", branch)
        assert said in undoing_is_refused(service, capsys)
    copies.git(service, "branch", "-D", "copy")
    assert undo(service) == 0
    assert picture(service) == before


@pytest.mark.parametrize("conflicts", [True, False])
@pytest.mark.parametrize("own_commit", [True, False])
def test_undo_leaves_own_work_alone_once_an_update_was_dropped(
    lived_in: Path, capsys: pytest.CaptureFixture[str], conflicts: bool, own_commit: bool
) -> None:
    service = lived_in if conflicts else without_conflict(lived_in)
    assert safe_update(service).code == int(conflicts)
    copies.git(service, *(["cherry-pick", "--abort"] if conflicts else ["reset", "--quiet", "--hard", "HEAD~1"]))
    if own_commit:
        write(service, {"mine.py": "own\n"})
        copies.commit(service, "Work")
    assert "neither the branch nor the index has" in undoing_is_refused(service, capsys)


def test_undo_leaves_a_cherry_pick_of_the_team_alone(lived_in: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copies.git(lived_in, "checkout", "--quiet", "-b", "other", "HEAD~1")
    write(lived_in, {"own.md": "another one\n"})
    copies.commit(lived_in, "Work elsewhere")
    copies.git(lived_in, "checkout", "--quiet", "-")
    assert safe_update(lived_in).code == 1
    copies.git(lived_in, "cherry-pick", "--abort")
    with pytest.raises(AssertionError, match="CONFLICT"):
        copies.git(lived_in, "cherry-pick", "other")
    assert "neither the branch nor the index has" in undoing_is_refused(lived_in, capsys)
    assert "CHERRY_PICK_HEAD" in picture(lived_in)["own"]


def test_git_keeps_that_an_update_is_under_way_as_it_likes(lived_in: Path) -> None:
    before, git_dir = picture(lived_in), lived_in / ".git"
    copies.git(lived_in, "config", "core.logAllRefUpdates", "always")
    assert safe_update(lived_in).code == 1
    assert (git_dir / "logs/CHERRY_PICK_HEAD").exists()  # so that it was git that has written it
    (git_dir / "packed-refs").write_text(f"{(git_dir / 'CHERRY_PICK_HEAD').read_text().strip()} CHERRY_PICK_HEAD\n")
    (git_dir / "CHERRY_PICK_HEAD").unlink()
    assert "an update is under way" in safe_update(lived_in).summary["reason"]
    assert undo(lived_in) == 0
    assert "CHERRY_PICK_HEAD" not in (git_dir / "packed-refs").read_text()
    assert picture(lived_in) == before


COMMIT = ("commit", "--all", "--no-edit")


@pytest.mark.parametrize("ended", [[("cherry-pick", "--quit")], [COMMIT], [COMMIT, ("reset", "--soft", "HEAD~1")]])
def test_undo_knows_the_update_however_the_team_went_on(lived_in: Path, ended: list[tuple[str, ...]]) -> None:
    before = picture(lived_in)
    assert safe_update(lived_in).code == 1
    for words in ended:
        copies.git(lived_in, *words)
    assert undo(lived_in) == 0
    assert picture(lived_in) == before


@pytest.mark.parametrize("renamed", [("branch", "-M", "other"), ("checkout", "--quiet", "-b", "other")])
def test_undo_goes_on_where_no_other_branch_has_the_update(lived_in: Path, renamed: tuple[str, ...]) -> None:
    service = without_conflict(lived_in)
    if renamed[0] == "checkout":
        copies.git(service, "checkout", "--quiet", "--detach")
    before = copies.git(service, "rev-parse", "HEAD")
    assert safe_update(service).code == 0
    copies.git(service, *renamed)
    assert undo(service) == 0
    assert copies.git(service, "rev-parse", "HEAD") == before


def test_undo_names_the_commit_that_resolved_the_conflicts(lived_in: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert safe_update(lived_in).code == 1
    copies.git(lived_in, *COMMIT)
    resolved = copies.git(lived_in, "rev-parse", "HEAD")
    write(lived_in, {"mine.py": "own\n"})
    copies.commit(lived_in, "Work on")
    assert f"git revert {resolved[:10]} takes it back" in undoing_is_refused(lived_in, capsys)


def test_undo_leaves_other_services_of_a_repository_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template = make_template(tmp_path / "template", {"a.md": PAGE})
    whole = tmp_path / "whole"
    orders, bills, new = (copies.generate(template, whole / "services" / name) for name in ("orders", "bills", "new"))
    copies.commit(whole, "Begin")
    release(template, "2.0.0", {"a.md": MENDED})
    assert safe_update(orders).code == 0
    updated = copies.git(whole, "rev-parse", "--short", "HEAD").strip()
    assert safe_update(bills).code == 0
    told = undoing_is_refused(orders, capsys)
    assert f"twelvefold undo {bills} takes it back, git revert {updated} the last one of {orders}.\n" in told
    assert undoing_is_refused(new, capsys).endswith(f"twelvefold undo {bills} takes it back.\n")
    assert undo(bills) == 0
    assert ((orders / "a.md").read_text(), (bills / "a.md").read_text()) == (MENDED, PAGE)


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://me:secret@example.com/acme/x.git", "git+https://example.com/acme/x.git@c0ffee"),
        ("ssh://git@example.com/acme/x.git", "git+ssh://git@example.com/acme/x.git@c0ffee"),
        ("file:///srv/its place", "'git+file:///srv/its place@c0ffee'"),
    ],
)
def test_the_command_that_undoes_is_told_as_it_can_be_run(
    lived_in: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    url: str,
    source: str,
) -> None:
    record = json.dumps({"url": url, "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}})
    write(tmp_path / "twelvefold-1.dist-info", {"METADATA": "Name: twelvefold\n", "direct_url.json": record})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("UV", str(tmp_path / ".tools/bin/uv"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    command = f"{tmp_path}/.tools/bin/uvx --from {source} twelvefold undo"
    assert update([lived_in], yes=True) == 1
    assert capsys.readouterr().out.endswith(f"; {command} takes it back.\n")
    assert command in safe_update(lived_in).summary["reason"]
    monkeypatch.undo()
    assert undo(lived_in) == 0
    assert undo_command() == "twelvefold undo"


# -- Killing it --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Interrupted:
    """A step that is ready to be carried out on copies of a service, and the states that are whole."""

    service: Path
    step: transition.Step
    before: dict[str, Any]
    after: dict[str, Any]

    def copy(self, folder: Path) -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        return Path(shutil.copytree(self.service, folder, symlinks=True))


CLEAN, CONFLICTS = "a clean update", "an update with conflicts"


@pytest.fixture(params=[CLEAN, CONFLICTS])
def interrupted(
    request: pytest.FixtureRequest, lived_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Interrupted:
    if request.param == CLEAN:
        write(lived_in, {"both.md": page("both.md")})
        copies.commit(lived_in, "Give in")
    steps: list[transition.Step] = []
    with monkeypatch.context() as patch:
        patch.setattr(changing, "carry_out", lambda repository, step: steps.append(step))
        safe_update(lived_in)
    before = picture(lived_in)
    finished = Path(shutil.copytree(lived_in, tmp_path / "finished", symlinks=True))
    carry_out(finished, steps[0])
    return Interrupted(lived_in, steps[0], before, picture(finished))


def is_whole(found: dict[str, Any], before: dict[str, Any], after: dict[str, Any], when: str) -> None:
    """Fails unless a service is wholly as before or wholly as after."""
    if found not in (before, after):
        files = {
            name for name in found["files"] | before["files"] if found["files"].get(name) != before["files"].get(name)
        }
        rest = {key: found[key] for key in before if found[key] != before[key] and key != "files"}
        pytest.fail(f"{when}: {sorted(files)} are not as before, nor {rest}", pytrace=False)


def carry_out(service: Path, step: transition.Step) -> None:
    repository = find_repository(service)
    with transition.alone(repository):
        transition.carry_out(repository, step)


def killed_in(service: Path, work: Callable[[], None], at: Callable[[int], None]) -> bool:
    """Runs the work in a process that `at` may kill, and waits until its guard has ended too; whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    os.setpgid(child, child)
    at(child)
    _, status = os.waitpid(child, 0)
    wait_for_guard(service)
    return os.WIFSIGNALED(status)


def wait_for_guard(service: Path) -> None:
    repository = find_repository(service)
    deadline = time.monotonic() + 30
    while True:
        try:
            with transition.alone(repository):
                return
        except Exception:
            assert time.monotonic() < deadline
            time.sleep(0.01)


WRITES = ("os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "subprocess.Popen")


def kill_at(number: int) -> None:
    """Kills this process just before its n-th write, or its n-th start of git, once the journal is written."""
    seen, process = -1, os.getpid()

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if seen < 0 and event == "os.rename" and str(arguments[1]).endswith(transition.JOURNAL):
            seen = 0
        if seen < 0 or event not in WRITES or os.getpid() != process:
            return
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


@pytest.mark.parametrize(
    ("interrupted", "guarded"), [(CLEAN, True), (CLEAN, False), (CONFLICTS, False)], indirect=["interrupted"]
)
def test_killed_before_any_write_it_leaves_the_service_as_it_was(
    interrupted: Interrupted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    if not guarded:
        monkeypatch.setattr(transition, "guarded", lambda take_back: no_guard())
    kills = 0
    while True:
        service = interrupted.copy(tmp_path / "copy")

        def work(service: Path = service, number: int = kills + 1) -> None:
            kill_at(number)
            carry_out(service, interrupted.step)

        if not killed_in(service, work, lambda child: None):
            break
        kills += 1
        if not guarded and transition.is_interrupted(find_repository(service)):
            assert undo(service) == 0
        is_whole(picture(service), interrupted.before, interrupted.after, f"at write {kills}")
    print(f"killed before each of {kills} writes")
    assert kills > 25
    assert picture(service) == interrupted.after


class no_guard:  # noqa: N801
    """A machine that stops as a whole."""

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


def test_killed_at_random_moments_it_leaves_the_service_as_it_was(interrupted: Interrupted, tmp_path: Path) -> None:
    began = time.monotonic()
    carry_out(interrupted.copy(tmp_path / "copy"), interrupted.step)
    takes = time.monotonic() - began
    for attempt in range(25):  # of a clean update and of one with conflicts, so fifty in all
        service = interrupted.copy(tmp_path / "copy")

        def at(child: int, moment: float = random.uniform(0, takes)) -> None:
            time.sleep(moment)
            os.killpg(child, signal.SIGKILL)

        killed_in(service, partial(carry_out, service, interrupted.step), at)
        is_whole(picture(service), interrupted.before, interrupted.after, f"at attempt {attempt}")


def test_undo_that_is_killed_leaves_one_of_both(lived_in: Path, tmp_path: Path) -> None:
    before = picture(lived_in)
    assert safe_update(lived_in).code == 1
    after = picture(lived_in)
    for number in (*range(1, 40, 4), 10_000):
        service = tmp_path / "copy"
        shutil.rmtree(service, ignore_errors=True)
        shutil.copytree(lived_in, service, symlinks=True)

        def work(service: Path = service, number: int = number) -> None:
            kill_at(number)
            undo(service)

        killed_in(service, work, lambda child: None)
        is_whole(picture(service), before, after, f"at write {number}")
    assert picture(service) == before


def test_a_file_that_was_edited_after_a_crash_is_kept(
    interrupted: Interrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = interrupted.service
    monkeypatch.setattr(transition, "guarded", lambda take_back: no_guard())
    monkeypatch.setattr(transition, "_move_branch", stop)
    monkeypatch.setattr(transition, "_note", stop)
    with pytest.raises(Refusal, match="could not be taken back"):
        carry_out(service, interrupted.step)
    monkeypatch.undo()
    write(service, {"edited.md": "edited after the crash\n"})
    assert safe_update(service, check=True).code == 2
    assert undo(service) == 0
    assert picture(service) == interrupted.before
    kept = list((service / ".git/twelvefold/rescued").rglob("edited.md"))
    assert [path.read_text() for path in kept] == ["edited after the crash\n"]


def stop(*arguments: object) -> None:
    raise KeyError("here")


def crashed(service: Path) -> None:
    """Leaves an update as a machine does that stops in the middle of it."""
    child = os.fork()
    if child == 0:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(transition, "guarded", lambda take_back: no_guard())
            patch.setattr(transition, "_install_index", lambda *arguments, **options: os._exit(9))
            patch.setattr(tempfile, "tempdir", str(service.parent))  # nobody else removes what lies there then
            safe_update(service)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A service with an update waiting that changes a file, adds one and removes one."""
    template = make_template(tmp_path / "template", {"a.md": page("a"), "gone.md": page("gone")})
    service = copies.generate_committed(template, tmp_path / "orders")
    release(template, "2.0.0", {"a.md": mended(page("a")), "gone.md": None, "new.md": page("new")})
    return service


def test_what_was_committed_after_a_crash_stays(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crashed(small)
    copies.git(small, "reset", "--quiet", "--hard")
    copies.git(small, "clean", "--quiet", "--force", "-d")
    write(small, {"a.md": edited(page("a")), "own.md": TEAM})
    copies.commit(small, "Work on")
    before = picture(small)
    assert safe_update(small, check=True).code == 2
    assert undo(small) == 2
    assert "another commit has been checked out since" in capsys.readouterr().err
    assert picture(small) == before
    assert safe_update(small).code == 0
    assert (small / "a.md").read_text() == mended(edited(page("a")))


def test_what_was_staged_after_a_crash_stays_staged(small: Path) -> None:
    crashed(small)
    copies.git(small, "reset", "--quiet", "--hard")
    copies.git(small, "clean", "--quiet", "--force", "-d")
    stage_file(small)
    before = copies.git(small, "ls-files", "--stage")
    assert undo(small) == 0
    assert copies.git(small, "ls-files", "--stage") == before


def test_a_lock_that_a_crash_has_left_is_removed(lived_in: Path) -> None:
    before = picture(lived_in)
    crashed(lived_in)
    (lived_in / ".git/CHERRY_PICK_HEAD.lock").touch()
    assert undo(lived_in) == 0
    assert picture(lived_in) == before


def test_what_was_staged_beside_the_update_stays_when_that_is_taken_back(
    interrupted: Interrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, install = interrupted.service, transition._install_index

    def install_and_stage(*arguments: Any, **options: Any) -> None:
        install(*arguments, **options)
        if options:
            write(service, {"staged.md": TEAM})
            copies.git(service, "add", "staged.md")
            stop()

    monkeypatch.setattr(transition, "_install_index", install_and_stage)
    with pytest.raises(KeyError):
        carry_out(service, interrupted.step)
    staged = copies.git(service, "diff", "--cached", "--name-only").split()
    assert staged == ["staged.md"]
    copies.git(service, "rm", "--quiet", "--force", "staged.md")
    assert picture(service) == interrupted.before


def test_files_are_written_under_the_attributes_that_will_lie_there(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a.txt": PAGE, "b.txt": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    write(service, {"a.txt": EDITED})
    copies.commit(service, "Edit")
    before = picture(service)
    release(template, "2.0.0", {".gitattributes": "*.txt text eol=crlf\n", "a.txt": MENDED})
    assert safe_update(service).code == 0
    assert (service / "a.txt").read_bytes() == BOTH.replace("\n", "\r\n").encode()
    assert undo(service) == 0
    assert picture(service) == before
    assert safe_update(service).code == 0
    release(template, "3.0.0", {".gitattributes": None, "a.txt": PAGE})
    assert safe_update(service).code == 0
    assert (service / "a.txt").read_text() == EDITED
    assert copies.changed(service) == []


@pytest.mark.parametrize("noted", ["", "[]", '{"title": "half of it"}'])
def test_what_was_noted_and_cannot_be_read_is_put_aside(
    small: Path, capsys: pytest.CaptureFixture[str], noted: str
) -> None:
    crashed(small)
    (small / ".git/twelvefold/journal.json").write_text(noted)
    assert undo(small) == 2
    assert "what it had noted cannot be read" in capsys.readouterr().err
    copies.git(small, "reset", "--quiet", "--hard")
    copies.git(small, "clean", "--quiet", "--force", "-d")
    assert safe_update(small).code == 0


def test_a_power_cut_finds_on_the_disk_what_the_update_had_written(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    sync, put_in_place = os.fsync, transition._put_in_place

    def note(opened: int) -> None:
        synced.add(os.fstat(opened).st_ino)
        sync(opened)

    def look_first(repository: Repository, step: transition.Step) -> None:
        state = transition.state_folder(repository)
        needed = {state / "before", state / "before/a.md", state / "before.index", state / "after.index"}
        assert {place for place in needed if place.stat().st_ino not in synced} == set()
        put_in_place(repository, step)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(transition, "_put_in_place", look_first)
    assert safe_update(small).code == 0
    written = {small / name for name in ("a.md", "new.md", ".git/index", ".git/twelvefold/last.json")}
    assert {place for place in written if place.stat().st_ino not in synced} == set()


def test_an_update_says_what_it_took_back_first(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crashed(small)
    write(small, {"a.md": "edited after the crash\n", "gone.md": TEAM})
    assert safe_update(small).code == 0
    told = capsys.readouterr().err
    kept = [Path(line.rpartition(" is kept in ")[2]) for line in told.splitlines()[1:]]
    assert "was interrupted; all is as it was before it." in told
    assert {path.read_bytes() for path in kept} == {b"edited after the crash\n", TEAM}
    assert (small / "a.md").read_text() == mended(page("a"))


# -- What happens meanwhile --------------------------------------------------------------------------------------------


def edit_file(service: Path) -> None:
    write(service, {"a.md": TEAM})


def add_file(service: Path) -> None:
    write(service, {"new.md": TEAM})


def stage_file(service: Path) -> None:
    write(service, {"a.md": TEAM})
    copies.git(service, "add", "a.md")
    write(service, {"a.md": page("a")})


def commit_file(service: Path) -> None:
    write(service, {"own.md": TEAM})
    copies.commit(service, "Work on")


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (edit_file, "Changed while the update ran: a.md."),
        (add_file, "Changed while the update ran: new.md."),
        (stage_file, "Changed while the update ran: a.md."),
        (commit_file, "Another commit was checked out while the update ran"),
    ],
)
def test_what_a_team_does_while_an_update_runs_is_not_lost(
    small: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[Path], None], said: str
) -> None:
    meanwhile(monkeypatch, changing, "carry_out", lambda: work(small))
    assert_only_worked_on(small, work, said)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (edit_file, "Changed while the update ran: a.md."),
        (add_file, "Changed while the update ran: new.md."),
        (stage_file, "changed the index while the update ran"),
    ],
)
def test_what_a_team_does_in_the_last_moment_is_not_lost(
    small: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[Path], None], said: str
) -> None:
    meanwhile(monkeypatch, transition, "_put_in_place", lambda: work(small))
    assert_only_worked_on(small, work, said)


def meanwhile(patch: pytest.MonkeyPatch, module: ModuleType, name: str, work: Callable[[], None]) -> None:
    """Lets somebody work just before a function of the update begins."""
    begin = getattr(module, name)

    def first(*arguments: Any) -> Any:
        work()
        return begin(*arguments)

    patch.setattr(module, name, first)


def assert_only_worked_on(service: Path, work: Callable[[Path], None], said: str) -> None:
    """Fails unless an update says this and leaves what somebody does meanwhile, and nothing else."""
    worked = twin(service)
    work(worked)
    told = safe_update(service)
    assert told.code == 2
    assert said in told.summary["reason"]
    for part in ("files", "index", "status", "own"):
        assert picture(service)[part] == picture(worked)[part]


def test_a_second_ctrl_c_does_not_stop_the_taking_back(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = picture(small)
    restore = transition._restore

    def interrupt(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    def interrupted_again(repository: Repository, path: str) -> None:
        interrupt()
        restore(repository, path)

    monkeypatch.setattr(transition, "_move_branch", interrupt)
    monkeypatch.setattr(transition, "_restore", interrupted_again)
    assert update([small], yes=True) == 130
    assert picture(small) == before
    assert not transition.is_interrupted(find_repository(small))


def test_who_stops_an_update_that_is_made_is_told_so(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt_while_removing(monkeypatch, "twelvefold-update-")
    assert update([small, small], yes=True) == 130
    told = capsys.readouterr()
    assert "from 1.0.0 to 2.0.0, without a conflict" in told.out
    assert told.err == f"Stopped; as it was: {small}.\n"
    assert undo(small) == 0
    assert update([small], yes=True) == 0  # of which none is left


@pytest.mark.parametrize("words", [[], ["--json"], ["--body", "/dev/full"]])
def test_an_update_that_cannot_be_told_is_made_all_the_same(small: Path, words: list[str]) -> None:
    before = picture(small)
    code, said = told_without_room("update", str(small), *words)
    assert (code, said.count("What was done could not be told"), "Traceback" in said) == (0, 1 + bool(words[1:]), False)
    assert (small / "a.md").read_text() == mended(page("a"))
    assert told_without_room("undo", str(small))[0] == 0
    assert picture(small) == before


def test_a_file_that_git_ignores_outlives_git_s_own_abort(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {".gitignore.jinja": "*.ini\n"})
    service = copies.generate_committed(template, tmp_path / "orders")
    release(template, "2.0.0", {"own.ini": PAGE})
    write(service, {"own.ini": TEAM})
    told = safe_update(service)
    assert told.conflicts == ["own.ini"]
    for said in ("git rm --cached own.ini leaves yours", "--abort would delete it", "undo does not; a copy is kept"):
        assert said in told.files["conflicts"][0]["why"]
    copies.git(service, "cherry-pick", "--abort")
    assert [path.read_bytes() for path in (service / ".git/twelvefold/rescued").rglob("own.ini")] == [TEAM]


def test_the_guard_takes_back_what_the_process_itself_cannot(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, here, restore = picture(small), os.getpid(), transition._restore

    def fail_here(repository: Repository, path: str) -> None:
        if os.getpid() == here:
            raise OSError("the disk is full")
        restore(repository, path)

    monkeypatch.setattr(transition, "_move_branch", stop)
    monkeypatch.setattr(transition, "_restore", fail_here)
    told = safe_update(small)
    assert (told.code, "the disk is full" in told.summary["reason"]) == (2, True)
    assert picture(small) == before


# -- The template itself ----------------------------------------------------------------------------------------------


def test_a_service_of_release_0_2_0_on_which_a_team_has_worked_takes_what_lies_here(tmp_path: Path) -> None:
    template = tmp_path / "twelvefold"
    copies.git(copies.ROOT, "clone", "--quiet", copies.ROOT, template)
    try:
        tag_missing(template)
    except HistoryError as error:
        pytest.skip(f"not run: {error}")
    service = tmp_path / "orders"
    copier.run_copy(str(template), service, {"cache": True}, vcs_ref="v0.2.0", defaults=True, quiet=True)
    copies.commit(service, "Begin the service")
    work_on(service)
    copies.clone_work_tree(template, "999.0.0")
    before = copies.contents(service)
    told = safe_update(service)
    assert told.code == 0, told.summary
    after = copies.contents(service)
    for name, line in OWN_LINES.items():
        assert after[name].endswith(line), name
    ownership = copies.ownership(service)
    for name in before:
        if copies.owner_of(name, ownership) in ("starter", "derived"):
            assert after[name] == before[name], name
    assert {"Makefile", "Dockerfile"} & set(told.files["merged"])
    assert not (service / ".editorconfig").exists()
    assert not (service / "src/orders/notes/people.py").exists()
    assert "claims/claim_notes.py" in [offer["path"] for offer in told.files["offered"]]
    fresh = copies.generate(
        template,
        tmp_path / "fresh",
        **{name: answer for name, answer in copies.answers(service).items() if not name.startswith("_")},
    )
    as_fresh = {name for name in copies.rendered(service) if (fresh / name).is_file() and name not in OWN_LINES}
    for name in as_fresh:
        if copies.owner_of(name, ownership) == "standard":
            assert after[name] == (fresh / name).read_text(), name
    assert safe_update(service).summary["outcome"] == "up to date"
    assert undo(service) == 0
    assert copies.contents(service) == before


# What a team adds to files of each class.
OWN_LINES = {
    "Makefile": "\nseed: ## Fill the database\n\t@true\n",
    "README.md": "\n## On call\n\nAsk the team.\n",
    "Dockerfile": "\n# Our own line.\n",
    "src/orders/settings.py": "\n# Our own line.\n",
    "src/orders/web/app.py": "\n# Our own line.\n",
    "src/orders/invoices.py": '"""What a customer owes."""\n',
    "tests/test_notes.py": "\n# Our own line.\n",
}


def work_on(service: Path) -> None:
    """Edits files of every class, deletes a standard file and a part of the example, and adds a module."""
    for name, line in OWN_LINES.items():
        path = service / name
        path.write_text((path.read_text() if path.exists() else "") + line)
    (service / ".editorconfig").unlink()
    (service / "src/orders/notes/people.py").unlink()
    copies.commit(service, "Work as a team does")


@pytest.fixture
def generated(copier_template: Path, tmp_path: Path) -> Path:
    """A service of the template as it lies here."""
    return copies.generate_committed(copier_template, tmp_path / "orders", python=copies.default_python())


def test_the_newest_release_does_the_update_once_its_source_is_trusted(
    lived_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = Path(copies.answers(lived_in)["_src_path"])
    commit = copies.git(template, "rev-parse", "v2.0.0^{commit}").strip()
    uv = tmp_path / "uv"
    uv.write_text('#!/bin/sh\necho "$@"\n')
    uv.chmod(0o755)
    for name, value in {"UV": uv, "XDG_CONFIG_HOME": tmp_path, "PYTHONPATH": copies.ROOT / "src"}.items():
        monkeypatch.setenv(name, str(value))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "twelvefold", "update", "--as-released", str(lived_in), *arguments]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    refused = run()
    assert refused.returncode == 2
    assert f"v2.0.0, commit {commit[:12]} of {template}\n" in refused.stderr
    assert "--yes trusts it" in refused.stderr
    asked = f"tool run --quiet --from git+{template.as_uri()}@{commit} twelvefold update {lived_in}"
    assert run("--yes").stdout == f"{asked} --yes\n"
    write(tmp_path, {"twelvefold/trusted": f"{template}\n"})
    assert run("--check").stdout == f"{asked} --check\n"
    answered(lived_in, "v1.0.0", "v2.0.0")
    assert "is up to date with version 2.0.0" in run().stdout


def test_make_update_takes_the_command_from_where_it_is_told(generated: Path) -> None:
    copies.make(generated, "setup")
    copies.commit(generated, "Lock the packages")
    told = copies.make(generated, "update", 'ARGS=-d "description=Keeps orders."', env={"TWELVEFOLD": str(copies.ROOT)})
    assert "Changed answers:\n  description: Keeps notes. -> Keeps orders." in told
    assert copies.changed(generated) == []
    assert copies.answers(generated)["description"] == "Keeps orders."
    copies.make(generated, "update", "UNDO=1", env={"TWELVEFOLD": str(copies.ROOT)})
    assert copies.answers(generated)["description"] == "Keeps notes."
    planned = copies.make(generated, "--dry-run", "update", "CHECK=1", "TO=0.3.0")
    assert 'twelvefold update --check --to "0.3.0" --as-released' in " ".join(planned.replace("\\\n", " ").split())
