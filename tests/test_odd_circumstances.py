"""What a template may hold, and how git, a terminal or a calendar may be, without an error that nobody can read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_gitconfig.plugin import GitConfig

from twelvefold.status import local
from twelvefold.update.command import undo
from twelvefold.update.ownership import PAGE as OWNERSHIP_PAGE

from . import copies
from .small_templates import (
    EDITED,
    HALF_WAY,
    MENDED,
    PAGE,
    QUESTION,
    make_template,
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
