"""What a template may hold, and how git, a terminal or a calendar may be, without an error that nobody can read."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import copier
import pytest
from pytest_gitconfig.plugin import GitConfig

from twelvefold.drift import drift
from twelvefold.drift.command import drift as drift_of
from twelvefold.status import local
from twelvefold.update import transition
from twelvefold.update.answers import NOT_TOLD
from twelvefold.update.command import undo
from twelvefold.update.git import Refusal
from twelvefold.update.ownership import PAGE as OWNERSHIP_PAGE

from . import copies
from .small_templates import (
    ANSWERS_TEMPLATE,
    EDITED,
    HALF_WAY,
    MENDED,
    PAGE,
    QUESTION,
    edited,
    make_template,
    mended,
    page,
    picture,
    release,
    safe_update,
    write,
)

AFTERWARDS = "{{ _copier_conf.src_path }}/hooks/count.py"
COUNTING = """\
import os, pathlib
pathlib.Path("counted.md").write_text(os.environ["VERSION_FROM"] + " " + os.environ["STAGE"])
"""


@pytest.fixture(autouse=True)
def team(default_gitconfig: GitConfig) -> None:
    """Somebody whose name git knows."""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return make_template(tmp_path / "template", {"page.md": PAGE})


@pytest.fixture
def service(template: Path, tmp_path: Path) -> Path:
    return copies.generate_committed(template, tmp_path / "orders")


def shell(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a line in which `twelvefold` is the companion command."""
    function = f'twelvefold() {{ {sys.executable} -m twelvefold "$@"; }}\n'
    env = {**os.environ, "PYTHONPATH": str(copies.ROOT / "src"), **variables}
    return subprocess.run(["sh", "-c", function + line], env=env, capture_output=True, text=True, check=False)


# -- The template ------------------------------------------------------------------------------------------------------


@HALF_WAY
@pytest.mark.parametrize("broken", ["{{ '{x}'.format() }}", "{{ 1 // 0 }}", "{{ [].pop() }}"])
def test_whatever_keeps_a_version_from_being_rendered_is_a_refusal(template: Path, service: Path, broken: str) -> None:
    release(template, "2.0.0", {"other.md.jinja": broken})
    before = picture(service)
    told = safe_update(service)
    assert told.code == 2
    assert "Version 2.0.0 cannot be rendered" in told.summary["reason"]
    assert picture(service) == before


def test_an_exclusion_may_name_what_copier_knows(template: Path, service: Path) -> None:
    exclusion = '_exclude: ["{{ _copier_conf.sep }}nothing"]\n'
    release(template, "2.0.0", {"page.md": MENDED}, QUESTION + exclusion)
    told = safe_update(service)
    assert told.code == 0, told.summary["reason"]
    assert (service / "page.md").read_text() == MENDED


def test_a_tag_of_something_else_than_a_commit_is_no_release(template: Path, service: Path) -> None:
    blob = copies.git(template, "rev-parse", "HEAD:copier.yml").strip()
    copies.git(template, "tag", "v9.9.9", blob)
    assert safe_update(service).summary["outcome"] == "up to date"


@pytest.mark.parametrize("settings", ["5", "[{version: v2.0.0}]", "[{version: v2.0.0, command: [1, 2]}]"])
def test_migrations_that_are_none_are_a_refusal(template: Path, service: Path, settings: str) -> None:
    release(template, "2.0.0", {}, f"{QUESTION}\n_migrations: {settings}\n")
    told = safe_update(service)
    assert told.code == 2
    assert "migration" in told.summary["reason"]


def test_a_migration_without_a_version_runs_each_time(template: Path, service: Path) -> None:
    migrations = "\n_migrations:\n  - printf '\\377' >&2; echo \"$STAGE of $VERSION_TO\" >ran.md\n"
    for version in ("2.0.0", "3.0.0"):
        release(template, version, {"page.md": f"{PAGE}{version}"}, QUESTION + migrations)
        assert safe_update(service).code == 0
        assert (service / "ran.md").read_text() == f"after of v{version}\n"


@pytest.mark.parametrize("version", ["2.0.0rc1", "2.0.0-beta.2", None])
def test_migrations_run_from_a_version_before_their_release(tmp_path: Path, version: str | None) -> None:
    """From a pre-release, and from a commit that no release lies behind."""
    template = tmp_path / "template"
    make_template(template, {"page.md": PAGE})
    copies.git(template, "tag", "--delete", "v1.0.0")
    copies.git(template, "commit", "--quiet", "--amend", "--message", "feat: begin")
    if version:
        copies.git(template, "tag", f"v{version}")
    service = tmp_path / "orders"
    copier.run_copy(str(template), service, vcs_ref="HEAD", defaults=True, quiet=True)
    copies.commit(service, "Begin")
    write(template, {"CHANGELOG.md": "## 2.0.0\n\nDrain the queue.\n"})
    migrations = "\n_migrations:\n  - version: 2.0.0\n    command: echo migrated >ran.md\n"
    release(template, "2.0.0", {"page.md": MENDED}, QUESTION + migrations)
    if version:
        assert shell(f"twelvefold drift --or-behind {service}").returncode == 1
    told = safe_update(service)
    assert [section["text"] for section in told.summary["changelog"]] == ["Drain the queue."]
    assert (service / "ran.md").read_text() == "migrated\n"


def test_a_tag_that_moves_is_no_version(template: Path, service: Path) -> None:
    answers = service / copies.ANSWERS_FILE
    answers.write_text(answers.read_text().replace("v1.0.0", "v1"))
    copies.commit(service, "Begin at a tag that moves")
    release(template, "1.1.0", {"page.md": MENDED})
    copies.git(template, "tag", "v1")
    told = safe_update(service)
    assert told.code == 2
    assert "v1 as its version, a tag that moves" in told.summary["reason"]


def test_migrations_are_written_as_the_template_s_settings_say(tmp_path: Path) -> None:
    """With its own signs, and with an answer that follows from others."""
    settings = (
        "_envops: {variable_start_string: '[[', variable_end_string: ']]', keep_trailing_newline: true}\n"
        "name:\n  type: str\n  default: orders\n"
        "shout:\n  type: str\n  default: '[[ name | upper ]]'\n  when: false\n"
    )
    template = tmp_path / "template"
    write(template, {"copier.yml": f"_subdirectory: template\n{settings}"})
    write(template / "template", {"[[ _copier_conf.answers_file ]].jinja": "[[ _copier_answers|to_nice_yaml ]]"})
    copies.release(template, "1.0.0")
    service = copies.generate_committed(template, tmp_path / "orders")
    command = "echo [[ name ]] [[ shout ]] [[ _copier_conf.os ]] >ran.md; test -x [[ _copier_python ]]"
    migrations = f"_migrations:\n  - version: 2.0.0\n    command: {command}\n    when: \"[[ _stage == 'after' ]]\"\n"
    write(template, {"copier.yml": f"_subdirectory: template\n{settings}{migrations}"})
    copies.release(template, "2.0.0")
    told = safe_update(service)
    assert told.code == 0, told.summary["reason"]
    assert (service / "ran.md").read_text() == "orders ORDERS linux\n"


def test_a_migration_that_moves_a_file_brings_nothing_else_that_git_ignores(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a.md": PAGE, ".gitignore": "kept/\n"})
    service = copies.generate_committed(template, tmp_path / "orders")
    moving = "mkdir kept && echo x >kept/x && mv a.md kept/a.md"
    release(template, "2.0.0", {"a.md": None}, f"{QUESTION}_migrations:\n  - version: 2.0.0\n    command: {moving}\n")
    write(service, {"a.md": EDITED})
    copies.commit(service, "Work")
    told = safe_update(service)
    assert told.conflicts == ["a.md"]
    write(service, {"a.md": None})
    copies.git(service, "cherry-pick", "--abort")
    release(template, "3.0.0", {"a.md": PAGE}, f"{QUESTION}_migrations:\n  - version: 3.0.0\n    command: {moving}\n")
    assert safe_update(service, to="3.0.0").code == 0
    assert (service / "kept/a.md").read_text() == EDITED
    assert not (service / "kept/x").exists()


def test_a_migration_ends_with_the_update_that_is_stopped(template: Path, service: Path, tmp_path: Path) -> None:
    started, late = tmp_path / "started", tmp_path / "late"
    command = f"touch {started}; sleep 3; touch {late}; true"
    release(template, "2.0.0", {}, f"{QUESTION}_migrations:\n  - version: 2.0.0\n    command: '{command}'\n")
    before = picture(service)
    words = [sys.executable, "-m", "twelvefold", "update", "--yes", str(service)]
    process = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(copies.ROOT / "src")})
    while not started.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 130
    time.sleep(4)
    assert not late.exists()
    assert picture(service) == before


def test_a_folder_that_is_not_to_be_written_is_removed_all_the_same(
    template: Path, service: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may remove it anyway, so that only its mode is looked at there."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    command = "mkdir -p cache/deep && touch cache/deep/x && chmod 500 cache/deep cache"
    release(template, "2.0.0", {}, f"{QUESTION}_migrations:\n  - version: 2.0.0\n    command: {command}\n")
    assert safe_update(service).code == 0
    assert list((tmp_path / "tmp").iterdir()) == []


def test_every_answer_that_is_recorded_no_longer_is_told(tmp_path: Path) -> None:
    """Its question is gone, or hidden, or depends on another answer, or is secret."""
    names = ("gone", "hidden", "conditional", "secret")
    questions = {name: f"{name}:\n  type: str\n  default: one\n" for name in names}
    template = make_template(tmp_path / "template", {"page.md": PAGE}, QUESTION + "".join(questions.values()))
    service = copies.generate_committed(template, tmp_path / "orders", **dict.fromkeys(names, "two"))
    changed = {
        "hidden": questions["hidden"] + "  when: false\n",
        "conditional": questions["conditional"].replace("one", "three") + "  when: \"{{ name == 'bills' }}\"\n",
        "secret": questions["secret"] + "  secret: true\n",
    }
    release(template, "2.0.0", {"page.md": MENDED}, QUESTION + "".join(changed.values()))
    told = safe_update(service)
    assert told.code == 0
    assert told.summary["answers"]["gone"] == dict.fromkeys(names[:-1], "two") | {"secret": NOT_TOLD}
    assert told.summary["answers"]["other_defaults"] == {}


def test_a_default_that_cannot_be_computed_is_no_news(template: Path, service: Path) -> None:
    release(template, "2.0.0", {"page.md": MENDED}, QUESTION.replace("orders", '"{{ 1 // 0 }}"'))
    assert safe_update(service).code == 0


def test_an_answer_of_another_kind_is_told_with_its_question(template: Path, service: Path) -> None:
    release(template, "2.0.0", {"page.md": MENDED}, f"{QUESTION}\nport:\n  type: int\n  default: 1\n")
    assert "with your answer to port cannot be rendered" in safe_update(service, data=["port=abc"]).summary["reason"]


def test_an_answer_may_be_whatever_yaml_has(template: Path, service: Path) -> None:
    holidays = "\nholidays:\n  type: yaml\n  default:\n    2026-12-25: Christmas\n"
    release(template, "2.0.0", {"page.md": MENDED}, QUESTION + holidays)
    assert safe_update(service).summary["answers"]["new"] == {"holidays": {"2026-12-25": "Christmas"}}


def test_whatever_goes_wrong_in_one_service_is_its_own(
    template: Path, service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(template, "2.0.0", {"page.md": MENDED})
    monkeypatch.setattr("twelvefold.update.updating.merge", lambda *_: [].pop())
    before = picture(service)
    told = safe_update(service)
    assert told.code == 2
    assert "IndexError: pop from empty list" in told.summary["reason"]
    assert picture(service) == before


def test_what_the_template_leaves_alone_once_it_is_there_is_left_alone(tmp_path: Path) -> None:
    settings = f"{QUESTION}_skip_if_exists: ['{{{{ name }}}}.md']\n"
    template = make_template(tmp_path / "template", {"orders.md": PAGE, "page.md": PAGE}, settings)
    service = copies.generate_committed(template, tmp_path / "orders")
    write(service, {"orders.md": EDITED, "page.md": EDITED})
    copies.commit(service, "Work")
    release(template, "2.0.0", {"orders.md": MENDED, "page.md": MENDED})
    told = safe_update(service)
    assert told.files["merged"] == ["page.md"]
    assert (service / "orders.md").read_text() == EDITED


def test_what_is_left_to_run_by_hand_can_be_run(template: Path, service: Path) -> None:
    write(service, {"page.md": PAGE.replace(", line 10\n", ", line 10, by the team\n")})
    copies.commit(service, "Work")
    write(template, {"hooks/count.py": COUNTING})
    migrations = f'\n_migrations:\n  - version: v2.0.0\n    command: ["{sys.executable}", "{AFTERWARDS}"]\n'
    release(template, "2.0.0", {"page.md": MENDED}, QUESTION + migrations)
    told = safe_update(service)
    assert told.code == 1
    for line in told.summary["migrations_to_run"]:
        _, _, words = line.partition(": ")
        subprocess.run(words, shell=True, cwd=service, check=True)
    assert (service / "counted.md").read_text() == "v1.0.0 after"


def test_a_page_of_owners_in_another_encoding_is_read(template: Path, service: Path) -> None:
    page = "| starter | `page.md` | caf\xe9 |\n".encode("latin-1")
    write(service, {"page.md": EDITED})
    copies.commit(service, "Work")
    release(template, "2.0.0", {"page.md": MENDED, OWNERSHIP_PAGE: page})
    assert safe_update(service).code == 0
    assert (service / "page.md").read_text() == EDITED


def test_making_derived_files_runs_code_that_is_trusted_first(template: Path, service: Path) -> None:
    page = "| derived | `page.md` |\n"
    release(template, "2.0.0", {OWNERSHIP_PAGE: page, "Makefile": "setup derive:\n\techo made >page.md\n"})
    untrusted = safe_update(service, derive=True, yes=False)
    assert f"runs code of {template}" in untrusted.summary["not_derived"]
    assert (untrusted.code, (service / "page.md").read_text()) == (0, PAGE)
    assert undo(service) == 0
    assert safe_update(service, derive=True).files["made_again"] == ["page.md"]


# -- Git's settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"), [("safe.bareRepository", "explicit"), ("column.ui", "always"), ("log.showSignature", "true")]
)
def test_a_person_s_own_settings_of_git(
    template: Path, service: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for number in range(2, 12):
        release(template, f"{number}.0.0", {"page.md": f"{MENDED}{number}"})
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", name)
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", value)
    assert shell(f"twelvefold drift --or-behind {service}").returncode == 1
    assert safe_update(service).summary["new"] == "11.0.0"


def test_a_folder_without_git_is_looked_at_in_any_language(service: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    copies.run("git", "clone", "--quiet", str(service), str(plain), cwd=tmp_path)
    copies.run("rm", "-r", ".git", cwd=plain)
    assert shell(f"twelvefold drift {plain}", LANGUAGE="de", LANG="C.UTF-8").returncode == 0


@pytest.mark.parametrize("scope", ["conditional", "worktree"])
def test_filters_that_hold_only_in_the_service_s_folder(
    template: Path, service: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    """What a service keeps scrambled in git is scrambled in what the update commits, too."""
    scramble = {"filter.scramble.clean": "tr a-z n-za-m", "filter.scramble.smudge": "tr a-z n-za-m"}
    if scope == "conditional":
        included = "".join(
            f'[filter "scramble"]\n\t{name.rpartition(".")[2]} = {to}\n' for name, to in scramble.items()
        )
        (tmp_path / "included").write_text(included)
        person = copies.git(service, "config", "--global", "--list", "--show-origin").partition("\t")[0]
        path = Path(person.removeprefix("file:"))
        own = tmp_path / "gitconfig"
        own.write_text(f'{path.read_text()}\n[includeIf "gitdir:{service}/"]\n\tpath = {tmp_path / "included"}\n')
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(own))
    else:
        copies.git(service, "config", "extensions.worktreeConfig", "true")
        for name, to in scramble.items():
            copies.git(service, "config", "--worktree", name, to)
    write(service, {".gitattributes": "*.conf filter=scramble\n", "own.conf": PAGE})
    copies.commit(service, "Scramble")
    assert copies.git(service, "show", "HEAD:own.conf") != PAGE
    release(template, "2.0.0", {"new.conf": PAGE})
    assert safe_update(service).code == 0
    assert (service / "new.conf").read_text() == PAGE
    assert copies.git(service, "show", "HEAD:new.conf") == copies.git(service, "show", "HEAD:own.conf")


CLEAN = """\
#!/bin/sh
store=$(git config lfs.storage || echo "$(git rev-parse --absolute-git-dir)/lfs")
mkdir -p "$store" && cat >"$store/new" && name=$(sha256sum <"$store/new" | cut -c1-64)
mv "$store/new" "$store/$name" && echo "oid $name"
"""
SMUDGE = """\
#!/bin/sh
store=$(git config lfs.storage || echo "$(git rev-parse --absolute-git-dir)/lfs")
read -r _ name && exec cat "$store/$name"
"""


def test_what_a_filter_keeps_beside_git_is_kept_for_the_service(template: Path, service: Path, tmp_path: Path) -> None:
    """As git-lfs does, whose place for it is a setting."""
    for name, text in {"clean": CLEAN, "smudge": SMUDGE}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
        copies.git(service, "config", f"filter.lfs.{name}", str(tmp_path / name))
    copies.git(service, "config", "filter.lfs.required", "true")
    write(service, {".gitattributes": "*.bin filter=lfs\n"})
    copies.commit(service, "Keep beside")
    release(template, "2.0.0", {"logo.bin": "a picture"})
    told = safe_update(service)
    assert told.code == 0, told.summary["reason"]
    assert (service / "logo.bin").read_text() == "a picture"
    assert copies.git(service, "show", "HEAD:logo.bin").startswith("oid ")
    assert len(list((service / ".git/lfs").iterdir())) == 1


def test_an_update_that_cannot_be_made_ready_leaves_nothing_behind(template: Path, service: Path) -> None:
    copies.git(service, "config", "filter.lost.clean", "cat")
    copies.git(service, "config", "filter.lost.smudge", "false")
    copies.git(service, "config", "filter.lost.required", "true")
    write(service, {".gitattributes": "*.bin filter=lost\n"})
    copies.commit(service, "Lose")
    release(template, "2.0.0", {"logo.bin": "a picture"})
    told = safe_update(service)
    assert told.code == 2
    assert "smudge filter lost failed" in told.summary["reason"]
    assert [path.name for path in (service / ".git/twelvefold").iterdir()] == ["lock"]


# -- The rest of the world ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_an_update_with_a_closed_stream(template: Path, service: Path, closed: str) -> None:
    release(template, "2.0.0", {"page.md": MENDED})
    done = shell(f"twelvefold update {service} {closed}")
    assert done.returncode == 0, done.stderr
    assert (service / "page.md").read_text() == MENDED


def test_a_date_that_no_calendar_has_is_no_date(service: Path) -> None:
    write(service, {"TWELVE_FACTOR.md": PAGE})
    copies.git(service, "add", "--all")
    tree = copies.git(service, "write-tree").strip()
    who = "Ada <ada@example.com> 99999999999999 +0000"
    text = f"tree {tree}\nauthor {who}\ncommitter {who}\n\nLate\n"
    commit = copies.run("git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally", cwd=service, text=text)
    copies.git(service, "update-ref", "HEAD", commit.strip())
    found = local.look(service)
    assert found.page is not None
    assert found.proof is None


def test_who_stands_inside_a_service_is_told_where_it_begins(template: Path, service: Path) -> None:
    release(template, "2.0.0", {"page.md": MENDED})
    inside = service / "docs"
    inside.mkdir()
    told = safe_update(inside)
    assert told.code == 2
    assert f"the service is {service}" in told.summary["reason"]


# -- What only shows later ---------------------------------------------------------------------------------------------


def half_way(service: Path) -> None:
    """Leaves an update as a machine does that stops before the last of the files is in its place."""
    child = os.fork()
    if child == 0:
        with pytest.MonkeyPatch.context() as patch:
            place = transition._place
            patch.setattr(transition, "guarded", lambda take_back: nullcontext())
            patch.setattr(tempfile, "tempdir", str(service.parent))  # nobody else removes what lies there then
            patch.setattr(
                transition,
                "_place",
                lambda repository, source, path: os._exit(9) if path == "z.md" else place(repository, source, path),
            )
            safe_update(service)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_half_an_update_that_is_committed_is_a_part_of_the_next_one(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {name: page(name) for name in ("a.md", "z.md")})
    service = copies.generate_committed(template, tmp_path / "orders")
    release(template, "2.0.0", {name: mended(page(name)) for name in ("a.md", "z.md")})
    half_way(service)
    assert (service / "a.md").read_text() == mended(page("a.md"))
    assert copies.answers(service)["_commit"] == "v1.0.0"
    # Whoever looks at it is told, and not that the team has edited it.
    with pytest.raises(Refusal, match="was interrupted"):
        drift(service)
    assert local.look(service).is_interrupted
    copies.commit(service, "Commit whatever lies there")
    assert "another commit has been checked out since" in safe_update(service).summary["reason"]
    assert safe_update(service).code == 0
    assert (service / "z.md").read_text() == mended(page("z.md"))


@pytest.mark.parametrize("text", [page("page.md"), edited(page("page.md"))], ids=["moved", "moved and edited"])
def test_a_file_that_the_team_moved_and_keeps_stays_and_is_told(tmp_path: Path, text: str) -> None:
    template = make_template(tmp_path / "template", {"page.md": page("page.md")})
    service = copies.generate_committed(template, tmp_path / "orders")
    write(service, {"page.md": None, "own.md": text, ".gitattributes": "own.md merge=ours\n"})
    copies.commit(service, "Move and keep")
    release(template, "2.0.0", {"page.md": mended(page("page.md"))})
    told = safe_update(service)
    assert (told.code, told.files["left_yours"]) == (0, ["own.md"])
    assert (service / "own.md").read_text() == text
    assert not (service / "page.md").exists()


def test_a_release_is_recorded_by_its_own_name_and_not_by_a_tag_that_moves(template: Path, service: Path) -> None:
    release(template, "2.0.0", {"page.md": MENDED})
    copies.git(template, "tag", "--force", "--annotate", "--message", "The newest", "stable", "v2.0.0")
    for wanted in (None, "v2.0.0"):
        copies.git(service, "reset", "--quiet", "--hard", "HEAD" if wanted is None else "HEAD^")
        assert safe_update(service, to=wanted).code == 0
        assert copies.answers(service)["_commit"] == "v2.0.0"


def test_a_pre_release_is_recorded_by_its_own_name_too(template: Path, service: Path) -> None:
    write(template / "template", {"page.md": MENDED})
    copies.commit(template, "Mend")
    copies.git(template, "tag", "v2.0.0-rc1")
    copies.git(template, "tag", "--annotate", "--message", "The next", "next")
    assert safe_update(service, to="2.0.0-rc1").code == 0
    assert copies.answers(service)["_commit"] == "v2.0.0-rc1"


def test_a_release_that_was_a_pre_release_is_recorded_as_a_release(template: Path, service: Path) -> None:
    release(template, "2.0.0", {"page.md": MENDED})
    copies.git(template, "tag", "--annotate", "--message", "Perhaps", "v2.0.0-rc1", "v2.0.0")
    assert safe_update(service).code == 0
    assert copies.answers(service)["_commit"] == "v2.0.0"


def test_half_an_update_of_one_service_is_not_one_of_another(template: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    services = [copies.generate(template, whole / name) for name in ("bills", "orders")]
    copies.commit(whole, "Begin")
    (whole / ".git/twelvefold").mkdir()
    journal = dict.fromkeys(transition.JOURNAL_HAS, "") | {"keep": {"kind": "update", "prefix": "bills/"}}
    (whole / ".git/twelvefold/journal.json").write_text(json.dumps(journal))
    assert [local.look(one).is_interrupted for one in services] == [True, False]
    assert not drift(services[1]).has_drifted
    (whole / ".git/twelvefold/journal.json").write_text("{")
    assert [local.look(one).is_interrupted for one in services] == [True, True]


def test_a_version_that_records_nothing_is_refused(template: Path, service: Path) -> None:
    release(template, "2.0.0", {"page.md": MENDED, ANSWERS_TEMPLATE: None})
    before = picture(service)
    told = safe_update(service)
    assert told.code == 2
    assert "does not write .copier-answers.yml" in told.summary["reason"]
    assert picture(service) == before


def test_a_line_of_the_team_in_the_answers_is_told_whatever_it_begins_with(template: Path, service: Path) -> None:
    with (service / copies.ANSWERS_FILE).open("a") as file:
        file.write("_note: ask Ada first\n")
    copies.commit(service, "Note")
    release(template, "2.0.0", {"page.md": MENDED})
    assert safe_update(service).summary["answers"]["gone"] == {"_note": "ask Ada first"}


def test_answers_in_another_file_are_named(service: Path) -> None:
    (service / copies.ANSWERS_FILE).rename(service / ".my-answers.yml")
    copies.commit(service, "Rename")
    assert ".my-answers.yml, is not looked at" in safe_update(service).summary["reason"]


@pytest.mark.parametrize(
    ("line", "told"), [("_src_path: ~nobodyhere/x", "no such person"), ('_commit: "v1\\0"', "has a sign in _commit")]
)
def test_answers_that_lead_nowhere_keep_no_other_service_from_being_looked_at(
    template: Path, service: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, told: str
) -> None:
    other = copies.generate_committed(template, tmp_path / "bills")
    file = service / copies.ANSWERS_FILE
    kept = [one for one in file.read_text().splitlines() if not one.startswith(line.partition(":")[0])]
    file.write_text("\n".join([*kept, line, ""]))
    copies.commit(service, "Break")
    assert told in safe_update(service).summary["reason"]
    assert drift_of([service, other]) == 2
    printed = capsys.readouterr()
    assert told in printed.err
    assert "bills" in printed.out


def test_a_version_may_have_a_slash_in_its_name(template: Path, service: Path) -> None:
    write(template / "template", {"page.md": MENDED})
    copies.commit(template, "Mend")
    copies.git(template, "tag", "release/next")
    assert safe_update(service, to="release/next").code == 0
    assert (service / "page.md").read_text() == MENDED


def test_a_changelog_ends_no_issue_and_calls_nobody(template: Path, service: Path, tmp_path: Path) -> None:
    text = "## 2.0.0\n\nFixes #12, by @ada/@bob; `#13` is ada@example.com's.\n\n"
    text += "~~~python\n@app.route\n~~~\nSee https://example.com/?q=#4 and GH-12.\n"
    write(template, {"CHANGELOG.md": text})
    release(template, "2.0.0", {"page.md": MENDED})
    body = tmp_path / "body.md"
    assert safe_update(service, body=body).code == 0
    for text in (body.read_text(), copies.git(service, "log", "-1", "--format=%B")):
        assert "Fixes #\u200b12, by @\u200bada/@\u200bbob; `#13` is ada@example.com's." in text
        assert "@app.route\n" in text
        assert "See https://example.com/?q=#4 and GH-\u200b12." in text


def test_a_conflict_is_shown_where_a_sparse_checkout_leaves_the_file_out(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"docs/a.md": PAGE, "src/b.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    write(service, {"docs/a.md": PAGE.replace(", line 10\n", ", line 10, by the team\n")})
    copies.commit(service, "Edit")
    copies.git(service, "sparse-checkout", "set", "src")
    release(template, "2.0.0", {"docs/a.md": MENDED})
    told = safe_update(service)
    assert (told.code, told.conflicts) == (1, ["docs/a.md"])
    assert "<<<<<<<" in (service / "docs/a.md").read_text()
    assert undo(service) == 0
    assert copies.changed(service) == []


def test_a_partial_clone_of_a_part_is_updated(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"page.md": PAGE})
    whole = tmp_path / "whole"
    service = copies.generate(template, whole / "services/orders")
    write(whole, {"other/large.md": page("large")})
    copies.commit(whole, "Begin")
    copies.git(whole, "config", "uploadpack.allowFilter", "true")
    part = tmp_path / "part"
    copies.git(tmp_path, "clone", "--quiet", "--filter=blob:none", "--sparse", f"file://{whole}", part)
    copies.git(part, "sparse-checkout", "set", "services")
    release(template, "2.0.0", {"page.md": MENDED})
    assert safe_update(part / service.relative_to(whole)).code == 0
    assert (part / "services/orders/page.md").read_text() == MENDED


@pytest.mark.parametrize("kind", ["text", "nested", "link", "ignored"])
def test_a_migration_leaves_the_attributes_alone_that_it_does_not_change(tmp_path: Path, kind: str) -> None:
    template = make_template(tmp_path / "template", {"page.md": PAGE})
    service = copies.generate_committed(template, tmp_path / "orders")
    write(service, {".gitignore": "build/\n", ".gitattributes": "* text=auto eol=crlf\n"})
    if kind == "link":
        write(service, {".gitattributes": None, "attributes": "*.md text\n"})
        (service / ".gitattributes").symlink_to("attributes")
    if kind == "nested":
        write(service, {"docs/.gitattributes": "*.png binary\n"})
    copies.commit(service, "Tell git about lines")
    before = copies.git(service, "ls-tree", "-r", "HEAD", ".gitattributes", "docs")
    migration = "\n_migrations:\n  - version: v2.0.0\n    when: \"{{ _stage == 'before' }}\"\n    command: "
    migration += "mkdir build && touch build/.gitattributes\n" if kind == "ignored" else "touch made.md\n"
    release(template, "2.0.0", {"page.md": MENDED}, QUESTION + migration)
    assert safe_update(service).code == 0
    assert copies.git(service, "ls-tree", "-r", "HEAD", ".gitattributes", "docs") == before
    assert "build" not in copies.git(service, "ls-tree", "-r", "--name-only", "HEAD")
