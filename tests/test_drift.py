"""`twelvefold drift` says how far a service is from its template, and touches nothing."""

import io
import json
import os
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import copier
import pytest
from pytest_gitconfig.plugin import GitConfig

from twelvefold import drift as package
from twelvefold.__main__ import main
from twelvefold.drift import Drift, File, Options, State, drift, drift_of_commit
from twelvefold.drift.waivers import Waiver, read_waivers, waiver_of
from twelvefold.update.git import Refusal
from twelvefold.update.template import open_template, without_password

from . import copies
from .small_templates import QUESTION, Files, edited, make_template, mended, page, picture, release, write

SCHEMA = Path(package.__file__).with_name("drift.schema.json")
LINKS = f"{QUESTION}_preserve_symlinks: true\n"
OWNERS = """\
| Class | Files | On update |
| --- | --- | --- |
| starter | `first.md`, `example/` | left alone |
| derived | `made.lock` | left alone |
"""
WAIVER = '[[waiver]]\npath = "{path}"\nreason = "{reason}"\nuntil = {until}\n'
TODAY = date(2026, 6, 1)


@pytest.fixture(autouse=True)
def team(default_gitconfig: GitConfig) -> None:
    """Somebody whose name git knows."""


def born(folder: Path, files: Files, settings: str = QUESTION) -> tuple[Path, Path]:
    """A template's release 1.0.0, and a service that was made from it."""
    template = make_template(folder / "template", files, settings)
    return template, copies.generate_committed(template, folder / "orders")


def waive(service: Path, path: str, reason: str = "A reason.", until: str = "2999-12-31") -> None:
    with (service / "drift.toml").open("a") as file:
        file.write(WAIVER.format(path=path, reason=reason, until=until))


def by_name(found: Drift) -> dict[str, File]:
    return {file.path: file for file in found.files}


def look(service: Path, name: str, **options: Any) -> File:
    return by_name(drift(service, Options(**options)))[name]


@dataclass(frozen=True)
class Printed:
    """What a person, or a program, gets of the command."""

    code: int
    out: str
    err: str


def run(*arguments: str | Path, **env: str) -> Printed:
    """Runs the command: in this process, or with other variables in one of its own."""
    words = ["drift", *map(str, arguments)]
    if env:
        command = [sys.executable, "-m", "twelvefold", *words]
        env = {**os.environ, "PYTHONPATH": str(copies.ROOT / "src"), **env}
        ended = subprocess.run(command, capture_output=True, encoding="utf-8", env=env, check=False)
        return Printed(ended.returncode, ended.stdout, ended.stderr)
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["twelvefold", *words])
        code = main()
    return Printed(code, out.getvalue(), err.getvalue())


# -- Every state, in one service ---------------------------------------------------------------------------------------

STANDARD = (
    "same.md", "edited.md", "deleted.md", "behind.md", "both.md", "gone.md", "gone-edited.md", "deleted-too.md",
    "taken.md", "taken-away.md", "waived.md", "waived-away.md", "expired.md",
)  # fmt: skip
BEFORE: Files = {**{name: page(name) for name in STANDARD}, "docs/ownership.md": OWNERS}


@pytest.fixture(scope="module")
def lived(default_gitconfig: GitConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service in which each standard file has had another fate, two releases ago."""
    folder = tmp_path_factory.mktemp("lived")
    owned: Files = {"first.md": page("first"), "example/a.py": "A = 1\n"}
    template, service = born(folder, {**BEFORE, **owned})
    release(template, "1.1.0", {"behind.md": mended(page("behind.md")), "first.md": mended(page("first"))})
    changed: Files = {name: mended(page(name)) for name in ("both.md", "deleted-too.md", "taken.md")}
    gone: Files = dict.fromkeys(("gone.md", "gone-edited.md", "taken-away.md"))
    release(template, "2.0.0", {**changed, **gone, "new.md": page("new"), "in-the-way.md": page("way")})
    for name in ("edited.md", "both.md", "gone-edited.md", "waived.md", "expired.md"):
        write(service, {name: edited(page(name))})
    away: Files = dict.fromkeys(("deleted.md", "deleted-too.md", "taken-away.md", "waived-away.md"))
    own: Files = {
        "in-the-way.md": "mine\n",
        "src/app.py": "",
        "example/b.py": "",
        "made.lock": "",
        "first.md": "ours\n",
    }
    write(service, {**away, **own, "taken.md": mended(page("taken.md"))})
    waive(service, "waived*.md", "Ours is better.")
    waive(service, "expired.md", "Only for a while.", "2020-01-31")
    waive(service, "nothing/", "Nobody knows.")
    copies.commit(service, "Live with it")
    return service


@pytest.fixture(scope="module")
def seen(lived: Path) -> Drift:
    """What is found out about it."""
    return drift(lived, Options(diffs=True))


@pytest.mark.parametrize(
    ("name", "state", "behind"),
    [
        ("same.md", "unchanged", None),
        ("edited.md", "edited", None),
        ("deleted.md", "missing", None),
        ("behind.md", "behind", "changed"),
        ("both.md", "edited", "changed"),
        ("deleted-too.md", "missing", "changed"),
        ("gone.md", "behind", "removed"),
        ("gone-edited.md", "edited", "removed"),
        ("new.md", "behind", "added"),
        ("in-the-way.md", "behind", "added"),
        ("taken.md", "unchanged", None),
        ("taken-away.md", "unchanged", None),
        ("waived.md", "edited", None),
        ("docs/ownership.md", "unchanged", None),
    ],
)
def test_each_standard_file_has_its_state(seen: Drift, name: str, state: str, behind: str | None) -> None:
    file = by_name(seen)[name]
    assert (file.state, file.behind) == (state, behind)


def test_the_counts_and_the_version(seen: Drift) -> None:
    assert (seen.edited, seen.missing, seen.behind, seen.waived, seen.unchanged) == (4, 2, 7, 2, 4)
    assert (seen.version, seen.newest, seen.releases_behind) == ("1.0.0", "2.0.0", 2)
    assert seen.has_drifted
    assert not seen.uncommitted


def test_what_belongs_to_the_team_is_counted_and_not_judged(seen: Drift) -> None:
    assert seen.not_judged == {"starter": 3, "derived": 1, "own": 2}  # own: app.py and drift.toml
    assert not {"first.md", "example/a.py", "made.lock", "src/app.py", copies.ANSWERS_FILE} & by_name(seen).keys()


def test_a_diff_is_from_the_template_to_the_team_and_only_on_request(seen: Drift, lived: Path) -> None:
    diff = by_name(seen)["edited.md"].diff
    assert diff is not None
    assert "\n+The team's own line.\n" in diff
    assert "\n-" not in diff.replace("\n--- ", "\n")
    assert look(lived, "edited.md").diff is None
    assert by_name(seen)["same.md"].diff is None


def test_a_diff_of_a_file_that_is_behind_too_shows_the_teams_edit_alone(seen: Drift) -> None:
    diff = by_name(seen)["both.md"].diff
    assert diff is not None
    assert "The team's own line." in diff
    assert "mended by the template" not in diff


# -- Waivers -----------------------------------------------------------------------------------------------------------


def test_a_waived_difference_has_its_reason_and_does_not_count(seen: Drift) -> None:
    files = by_name(seen)
    for name in ("waived.md", "waived-away.md"):
        assert files[name].waived
        assert files[name].waiver == Waiver("waived*.md", "Ours is better.", date(2999, 12, 31))
    assert (files["waived.md"].state, files["waived-away.md"].state) == ("edited", "missing")


def test_an_expired_waiver_is_drift_again_and_says_so(seen: Drift, lived: Path) -> None:
    file = by_name(seen)["expired.md"]
    assert file.expired
    assert not file.waived
    assert "its waiver expired after 2020-01-31: Only for a while." in run(lived).out


def test_a_waiver_holds_on_its_last_day(lived: Path) -> None:
    assert look(lived, "expired.md", today=date(2020, 1, 31)).waived
    assert not look(lived, "expired.md", today=date(2020, 2, 1)).waived


def test_a_waiver_that_matches_no_difference_is_told(seen: Drift, lived: Path) -> None:
    assert [waiver.path for waiver in seen.unused] == ["nothing/"]
    assert "nothing/ waives nothing" in run(lived).out


def test_only_waived_differences_are_no_drift(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"a.md": page("a"), "b.md": page("b"), "c/d.md": page("d")})
    write(service, {"a.md": "other\n", "b.md": None, "c/d.md": "other\n"})
    waive(service, "?.md")
    assert run(service).code == 1
    waive(service, "c/")
    printed = run(service)
    assert printed.code == 0
    assert "no drift: 3 waived" in printed.out


def test_a_waiver_is_no_leave_to_stay_behind(tmp_path: Path) -> None:
    template, service = born(tmp_path, {"a.md": page("a")})
    waive(service, "a.md")
    release(template, "1.1.0", {"a.md": mended(page("a"))})
    found = drift(service)
    assert (found.behind, found.waived) == (1, 0)
    assert [waiver.path for waiver in found.unused] == ["a.md"]


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("Dockerfile", "Dockerfile", True),
        ("Dockerfile", "sub/Dockerfile", False),
        ("**/Dockerfile", "sub/Dockerfile", True),
        ("docs", "docs/deep/page.md", True),
        ("docs/", "docs/page.md", True),
        ("docs/*.md", "docs/page.md", True),
        ("docs/*.md", "docs/page.txt", False),
        ("*.md", "docs/page.md", False),
        ("!x", "y", False),
        ("!x", "!x", True),
        ("#x", "#x", True),
    ],
)
def test_a_glob_begins_at_the_services_folder(pattern: str, name: str, matches: bool) -> None:
    assert Waiver(pattern, "A reason.", TODAY).matches(name) is matches


def test_the_waiver_that_holds_goes_before_one_that_expired() -> None:
    old, older = Waiver("a", "old", date(2026, 5, 31)), Waiver("a", "older", date(2026, 5, 30))
    holds = Waiver("*", "holds", TODAY)
    assert waiver_of([older, old, holds], "a", TODAY) == holds
    assert waiver_of([older, old], "a", TODAY) == old
    assert waiver_of([older, old], "b", TODAY) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[waiver]]\npath = "a"\nuntil = 2027-03-01', "waiver 1 (a) has no reason"),
        ('[[waiver]]\npath = "a"\nreason = " "\nuntil = 2027-03-01', "waiver 1 (a) has a reason that is no text"),
        ('[[waiver]]\npath = "a"\nreason = "r"', "waiver 1 (a) has no until"),
        ('[[waiver]]\npath = "a"\nreason = "r"\nuntil = "2027-03-01"', "until that is no date"),
        ('[[waiver]]\npath = "a"\nreason = "r"\nuntil = 2027-03-01T00:00:00Z', "until that is no date"),
        ('[[waiver]]\nreason = "r"\nuntil = 2027-03-01', "waiver 1 has no path"),
        ('[[waiver]]\npath = ""\nreason = "r"\nuntil = 2027-03-01', "waiver 1 has a path that is no text"),
        ('[[waiver]]\npath = "../a"\nreason = "r"\nuntil = 2027-03-01', "leads out of the service"),
        ('[[waiver]]\npath = "/a"\nreason = "r"\nuntil = 2027-03-01', "begins with a slash"),
        ('[[waiver]]\npath = "a\\\\b"\nreason = "r"\nuntil = 2027-03-01', "backslash"),
        ('[[waiver]]\npath = "a"\nreason = "r"\nuntill = 2027-03-01', "has untill, which means nothing"),
        ('[waiver]\npath = "a"', "two brackets"),
        ("waiver = [1]", "waiver 1 is no table"),
        ("[[waivers]]", "waivers is no entry of it"),
        ("[[waiver", "cannot be read"),
        ('path = "\udcff"', "cannot be read"),
    ],
)
def test_a_wrong_waiver_is_one_clear_error(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "drift.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Refusal) as refused:
        read_waivers(tmp_path)
    assert told in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path / 'drift.toml'} ")


def test_all_that_is_wrong_with_the_waivers_is_said_at_once_and_nothing_else(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"a.md": page("a")})
    (service / "drift.toml").write_text('[[waiver]]\npath = "a"\n[[waiver]]\npath = "b"\nreason = "r"\n')
    printed = run(service)
    assert (printed.code, printed.out) == (2, "")
    wrong = "waiver 1 (a) has no reason; waiver 1 (a) has no until; waiver 2 (b) has no until."
    assert printed.err == f"{service}: could not be looked at. {service / 'drift.toml'} is wrong: {wrong}\n"


# -- What may lie where a file was -------------------------------------------------------------------------------------


def test_an_executable_bit_is_a_difference(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"on": "#!/bin/sh\n", "off": "#!/bin/sh\n"})
    (service / "on").chmod(0o755)
    (service / "off").chmod(0o600)  # git knows one bit only
    assert (look(service, "on").state, look(service, "on").remark) == ("edited", "became executable")
    assert look(service, "off").state == "unchanged"


def test_an_executable_bit_counts_as_the_index_has_it_where_the_disk_has_none(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"by-disk": "#!/bin/sh\n", "by-index": "#!/bin/sh\n"})
    copies.git(service, "config", "core.fileMode", "false")
    (service / "by-disk").chmod(0o755)
    copies.git(service, "update-index", "--chmod=+x", "by-index")
    assert look(service, "by-disk").state == "unchanged"
    assert look(service, "by-index").remark == "became executable"


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A service with symbolic links of the template."""
    template = tmp_path / "template"
    (template / "template").mkdir(parents=True)
    for name in ("kept", "turned", "written"):
        (template / "template" / name).symlink_to("target.md")
    _, service = born(tmp_path, {"target.md": page("t"), "became.md": page("b"), "bin/tool.md": page("tool")}, LINKS)
    assert (service / "kept").is_symlink()
    return service


def test_symbolic_links_are_compared_and_never_followed(linked: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "tool.md").write_text(page("tool"))
    for name in ("turned", "written", "became.md", "bin/tool.md"):
        (linked / name).unlink()
    (linked / "turned").symlink_to("/etc/passwd")
    (linked / "written").write_text(page("t"))
    (linked / "became.md").symlink_to(outside / "tool.md")
    (linked / "bin").rmdir()
    (linked / "bin").symlink_to(outside)
    files = by_name(drift(linked, Options(diffs=True)))
    assert {name: (str(file.state), file.remark) for name, file in files.items()} == {
        "kept": ("unchanged", ""),
        "target.md": ("unchanged", ""),
        "turned": ("edited", "+1 -1"),
        "written": ("edited", "+12 -1, is a symbolic link no longer"),
        "became.md": ("edited", "+1 -12, became a symbolic link"),
        "bin/tool.md": ("missing", "bin is a symbolic link here"),
    }
    assert "+/etc/passwd" in str(files["turned"].diff)


def test_a_link_that_the_disk_cannot_make_is_a_file_with_its_target(linked: Path) -> None:
    copies.git(linked, "config", "core.symlinks", "false")
    (linked / "kept").unlink()
    (linked / "kept").write_text("target.md")
    assert look(linked, "kept").state == "unchanged"


def test_binary_files_and_odd_encodings_are_compared_byte_by_byte(tmp_path: Path) -> None:
    image, latin = b"\x89PNG\0" + bytes(range(256)), "café\n".encode("latin-1")
    files: Files = {"a.png": image, "b.png": image, "latin.txt": latin, "nul.txt": "a\0b\n"}
    _, service = born(tmp_path, files)
    write(service, {"b.png": image + b"\0", "latin.txt": "café\n", "nul.txt": "a\0c\n"})
    found = by_name(drift(service, Options(diffs=True)))
    assert {name: (str(file.state), file.remark) for name, file in found.items()} == {
        "a.png": ("unchanged", ""),
        "b.png": ("edited", "binary"),
        "latin.txt": ("edited", "+1 -1"),
        "nul.txt": ("edited", "binary"),
    }
    assert "caf\N{REPLACEMENT CHARACTER}" in str(found["latin.txt"].diff)


def test_files_that_became_folders_and_folders_that_became_files(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"file.md": page("f"), "folder/a.md": page("a"), "pipe": "p\n", "empty": "e\n"})
    write(service, {"file.md": None, "folder/a.md": None, "pipe": None, "empty": None})
    write(service, {"file.md/inside.md": "mine\n", "folder": "mine\n"})
    os.mkfifo(service / "pipe")
    (service / "empty").mkdir()
    assert {name: (str(file.state), file.remark) for name, file in by_name(drift(service)).items()} == {
        "file.md": ("edited", "became a folder"),
        "empty": ("edited", "became a folder"),
        "folder/a.md": ("missing", "folder is a file here"),
        "pipe": ("edited", "became something that is no file"),
    }


@pytest.mark.parametrize("registered", [False, True])
def test_a_folder_that_became_a_repository_of_its_own(tmp_path: Path, registered: bool) -> None:
    _, service = born(tmp_path, {"docs/a.md": page("a"), "b.md": page("b")})
    copies.commit(service / "docs", "Begin")
    if registered:  # as a submodule
        copies.git(service, "rm", "-r", "--quiet", "--cached", "docs")
        copies.git(service, "-c", "advice.addEmbeddedRepo=false", "add", "docs")
    files = by_name(drift(service))
    assert (files["docs/a.md"].state, files["docs/a.md"].remark) == ("missing", "docs is a repository of its own here")
    assert files["b.md"].state == "unchanged"


def test_a_submodule_that_is_not_checked_out_is_a_repository_of_its_own_too(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"docs/a.md": page("a"), "b.md": page("b")})
    copies.commit(service / "docs", "Begin")
    copies.git(service, "rm", "-r", "--quiet", "--cached", "docs")
    copies.git(service, "-c", "advice.addEmbeddedRepo=false", "add", "docs")
    copies.git(service, "commit", "--quiet", "--message", "Split off")
    copies.git(tmp_path, "clone", "--quiet", service, tmp_path / "fresh")
    files = by_name(drift(tmp_path / "fresh"))
    assert (files["docs/a.md"].state, files["docs/a.md"].remark) == ("missing", "docs is a repository of its own here")


def test_a_name_in_other_letters_is_another_name(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"README.md": page("r"), "Docs/a.md": page("a")})
    (service / "README.md").rename(service / "Readme.md")
    (service / "Docs").rename(service / "docs")
    files = by_name(drift(service))
    assert (files["README.md"].state, files["README.md"].remark) == ("missing", "Readme.md lies here")
    assert (files["Docs/a.md"].state, files["Docs/a.md"].remark) == ("missing", "docs lies here")


def test_a_file_that_was_moved_is_missing_and_found_again(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"a.md": page("a"), "b.md": page("b")})
    write(service, {"a.md": None, "b.md": None, "handbook/a.md": edited(page("a")), "b.txt": "something else\n"})
    files = by_name(drift(service))
    assert (files["a.md"].state, files["a.md"].remark) == ("missing", "handbook/a.md is like it")
    assert (files["b.md"].state, files["b.md"].remark) == ("missing", "")


def test_odd_names(tmp_path: Path) -> None:
    names = [
        "two words.md",
        'a "quoted".md',
        "new\nline.md",
        "tab\t.md",
        "stern\N{BLACK STAR}.md",
        ":(top)x.md",
        "a*.md",
        "-x",
    ]
    files: Files = {name: page(name) for name in names}
    _, service = born(tmp_path, files)
    assert {name: str(file.state) for name, file in by_name(drift(service)).items()} == dict.fromkeys(
        names, "unchanged"
    )
    for name in names:
        write(service, {name: edited(page(name))})
    (service / os.fsdecode(b"by the team \xff")).write_text("")
    found = drift(service, Options(diffs=True))
    assert {file.path: (str(file.state), file.remark) for file in found.files} == dict.fromkeys(
        names, ("edited", "+1 -0")
    )
    assert all("The team's own line." in str(file.diff) for file in found.files)
    assert found.not_judged["own"] == 1
    assert json.loads(run(service, "--json").out)["services"][0]["counts"]["edited"] == len(names)


# -- Line endings ------------------------------------------------------------------------------------------------------

CRLF = page("a").replace("\n", "\r\n")


def test_line_endings_that_git_takes_care_of_are_no_difference(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"a.md": page("a"), "b.md": page("b")})
    write(service, {".gitattributes": "*.md text eol=crlf\n", "a.md": CRLF})
    assert (look(service, "a.md").state, look(service, "b.md").state) == ("unchanged", "unchanged")


def test_line_endings_as_a_persons_git_makes_them_are_no_difference(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"a.md": page("a")})
    copies.git(service, "config", "core.autocrlf", "true")
    write(service, {"a.md": CRLF})
    assert look(service, "a.md").state == "unchanged"


def test_line_endings_that_are_committed_are_a_difference_and_are_called_so(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"a.md": page("a"), "b.md": page("b")})
    copies.git(service, "config", "core.autocrlf", "false")
    write(service, {"a.md": CRLF, "b.md": edited(page("b")).replace("\n", "\r\n")})
    files = by_name(drift(service))
    assert (files["a.md"].state, files["a.md"].remark) == ("edited", "+12 -12, line endings only")
    assert files["b.md"].remark == "+13 -12"


def test_the_templates_own_line_endings_are_the_standard(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"a.bat": CRLF, ".gitattributes": "*.bat -text\n"})
    assert look(service, "a.bat").state == "unchanged"
    write(service, {"a.bat": page("a")})
    assert look(service, "a.bat").remark == "+12 -12, line endings only"


# -- Where a service may lie -------------------------------------------------------------------------------------------


def test_work_that_is_not_committed_counts_and_is_said(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"a.md": page("a"), "b.md": page("b"), "c.md": page("c")})
    write(service, {"a.md": edited(page("a"))})
    copies.git(service, "add", "a.md")
    write(service, {"a.md": page("a"), "b.md": None})  # staged, and taken back in the work tree
    found = drift(service)
    assert (found.edited, found.missing, found.uncommitted) == (0, 1, True)
    assert "not committed; they count" in run(service).out


def test_a_service_amid_a_merge_is_looked_at_as_it_lies_there(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"a.md": page("a")})
    copies.git(service, "switch", "--quiet", "--create", "other")
    write(service, {"a.md": "theirs\n"})
    copies.commit(service, "Theirs")
    copies.git(service, "switch", "--quiet", "-")
    write(service, {"a.md": "ours\n"})
    copies.commit(service, "Ours")
    subprocess.run(["git", "merge", "other"], cwd=service, capture_output=True, check=False)
    assert (service / ".git/MERGE_HEAD").exists()
    assert look(service, "a.md").remark == "+5 -12"


def test_files_that_are_not_checked_out_are_not_missing(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"a.md": page("a"), "docs/b.md": page("b")})
    copies.git(service, "sparse-checkout", "set", "--no-cone", "/*", "!/docs")
    assert not (service / "docs").exists()
    assert look(service, "docs/b.md").state == "unchanged"
    copies.git(service, "sparse-checkout", "disable")
    write(service, {"docs/b.md": edited(page("b"))})
    copies.commit(service, "Edit")
    copies.git(service, "sparse-checkout", "set", "--no-cone", "/*", "!/docs")
    assert look(service, "docs/b.md").remark == "+1 -0"


def test_a_plain_folder_is_enough(lived: Path, tmp_path: Path) -> None:
    archive = copies.git(lived, "archive", "--format=tar", f"--output={tmp_path / 'service.tar'}", "HEAD")
    assert archive == ""
    folder = tmp_path / "plain"
    folder.mkdir()
    copies.run("tar", "--extract", "--file", tmp_path / "service.tar", cwd=folder)
    plain, found = drift(folder), drift(lived)
    assert plain.files == found.files
    assert plain.not_judged == found.not_judged
    assert not plain.uncommitted


def test_a_folder_that_another_repository_ignores_is_judged_too(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"a.md": page("a"), "b.md": page("b"), ".gitignore.jinja": "*.log\n"})
    outer = tmp_path / "outer"
    write(outer, {".gitignore": "services/\n"})
    copies.commit(outer, "A repository around it")
    copies.git(service, "archive", "--format=tar", f"--output={tmp_path / 'service.tar'}", "HEAD")
    folder = outer / "services/orders"
    folder.mkdir(parents=True)
    copies.run("tar", "--extract", "--file", tmp_path / "service.tar", cwd=folder)
    write(folder, {"a.md": edited(page("a")), "own.py": "", "debug.log": ""})
    found = drift(folder)
    assert (found.edited, found.unchanged, found.not_judged["own"]) == (1, 2, 1)


def test_a_commit_of_a_bare_repository(lived: Path, tmp_path: Path) -> None:
    bare = tmp_path / "orders.git"
    copies.git(tmp_path, "clone", "--quiet", "--bare", lived, bare)
    before = sorted(bare.rglob("*"))
    found = drift_of_commit(bare)
    assert found.files == drift(lived).files
    assert found.service == str(bare)
    assert drift_of_commit(bare, "HEAD~1").edited == 0
    assert run(bare).out.splitlines()[1:] == run(lived).out.splitlines()[1:]
    assert sorted(bare.rglob("*")) == before
    with pytest.raises(Refusal, match="no-such"):
        drift_of_commit(bare, "no-such")


def test_what_is_not_for_export_is_a_part_of_a_commit(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"a.md": page("a"), ".gitattributes": "*.md export-ignore\n"})
    assert drift_of_commit(service).missing == 0


def test_a_service_in_a_folder_of_a_repository(tmp_path: Path) -> None:
    template = make_template(tmp_path / "template", {"a.md": page("a"), "b.md": page("b"), "docs/c.md": page("c")})
    release(template, "1.1.0", {"b.md": mended(page("b"))})
    everything = tmp_path / "everything"
    service = everything / "services/orders"
    copier.run_copy(str(template), service, vcs_ref="v1.0.0", defaults=True, quiet=True)
    write(everything, {"a.md": "not the service's\n", ".gitattributes": "services/**/*.md text eol=crlf\n"})
    copies.commit(everything, "Begin")
    write(service, {"a.md": CRLF, "docs/c.md": edited(page("c"))})
    waive(service, "docs/c.md")
    found = drift(service)
    assert {name: str(file.state) for name, file in by_name(found).items()} == {
        "a.md": "unchanged", "b.md": "behind", "docs/c.md": "edited",
    }  # fmt: skip
    assert (found.waived, found.not_judged["own"]) == (1, 1)


def test_a_file_that_git_ignores_is_not_judged_and_is_named(tmp_path: Path) -> None:
    _, service = born(
        tmp_path, {".gitignore.jinja": "*.ini\n", "local.ini": "a\n", "away.ini": "a\n", "forced.ini": "a\n"}
    )
    copies.git(service, "add", "--force", "forced.ini")
    write(service, {"local.ini": "b\n", "away.ini": None, "forced.ini": "b\n"})
    files = by_name(drift(service))
    assert {name: str(file.state) for name, file in files.items()} == {
        ".gitignore": "unchanged", "local.ini": "ignored", "away.ini": "ignored", "forced.ini": "edited",
    }  # fmt: skip
    assert "ignored    away.ini" in run(service).out


def test_a_git_hook_of_another_repository_may_ask(tmp_path: Path) -> None:
    template, service = born(tmp_path, {"a.md": page("a")})
    printed = run(service, GIT_DIR=str(template / ".git"), GIT_INDEX_FILE=str(template / ".git/index"))
    assert (printed.code, printed.err) == (0, "")


# -- Versions ----------------------------------------------------------------------------------------------------------


def test_a_service_at_the_newest_release_is_behind_none(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"a.md": page("a")})
    found = drift(service)
    assert (found.version, found.newest, found.releases_behind, found.behind) == ("1.0.0", "1.0.0", 0, 0)
    assert "behind no release" in run(service).out


def test_a_service_that_is_ahead_of_the_releases_is_behind_none(tmp_path: Path) -> None:
    template, _ = born(tmp_path, {"a.md": page("a")})
    write(template / "template", {"a.md": mended(page("a"))})
    copies.commit(template, "feat: not released yet")
    service = tmp_path / "early"
    copier.run_copy(str(template), service, vcs_ref="HEAD", defaults=True, quiet=True)
    copies.commit(service, "Begin")
    found = drift(service)
    assert (found.releases_behind, found.unchanged) == (0, 1)
    assert found.version.startswith("1.0.0-1-g")
    assert found.newest == found.version


def test_a_mended_older_line_is_no_release_to_take(tmp_path: Path) -> None:
    template, _ = born(tmp_path, {"a.md": page("a")})
    release(template, "2.0.0", {"a.md": mended(page("a"))})
    service = copies.generate_committed(template, tmp_path / "new")
    copies.git(template, "switch", "--quiet", "--detach", "v1.0.0")
    write(template / "template", {"a.md": "mended\n"})
    copies.commit(template, "fix: mend the older line")
    copies.git(template, "tag", "v1.0.1")
    assert drift(service).releases_behind == 0
    assert drift(tmp_path / "orders").releases_behind == 2


def test_a_changed_answer_is_rendered(tmp_path: Path) -> None:
    _, service = born(tmp_path, {"{{ name }}.md.jinja": "{{ name }}\n"})
    answers = (service / copies.ANSWERS_FILE).read_text().replace("orders", "bills")
    write(service, {copies.ANSWERS_FILE: answers, "orders.md": None, "bills.md": "bills\n"})
    assert {file.path: str(file.state) for file in drift(service).files} == {"bills.md": "unchanged"}


# What Copier leaves open when it fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_newest_release_that_cannot_be_rendered_hides_no_edit(tmp_path: Path) -> None:
    template, service = born(tmp_path, {"a.md": page("a")})
    release(template, "2.0.0", {"b.md.jinja": "{{ nobody_knows }}\n"})
    write(service, {"a.md": edited(page("a"))})
    found = drift(service)
    assert (found.edited, found.releases_behind, found.behind) == (1, 1, 0)
    assert "nobody_knows" in found.newest_unseen
    assert "Whether files are behind could not be seen." in run(service).out


def test_a_file_that_becomes_a_starter_file_is_left_alone(tmp_path: Path) -> None:
    template, service = born(tmp_path, {"first.md": page("f"), "docs/ownership.md": "Nothing yet.\n"})
    write(service, {"first.md": edited(page("f"))})
    assert drift(service).edited == 1
    release(template, "1.1.0", {"docs/ownership.md": OWNERS})
    found = drift(service)
    assert (found.edited, found.not_judged["starter"]) == (0, 1)


def test_a_template_is_opened_once_for_many(lived: Path) -> None:
    template = open_template(copies.answers(lived)["_src_path"], lived)
    assert drift(lived, Options(template=template)) == drift(lived)


def test_a_password_in_an_address_is_not_told() -> None:
    assert without_password("https://me:secret@host/t.git at ssh://git@host/x") == "https://host/t.git at ssh://host/x"


# -- Nothing is written ------------------------------------------------------------------------------------------------


def times(service: Path) -> dict[Path, tuple[int, int]]:
    """When each file, git's own too, was written last."""
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_ctime_ns) for path in service.rglob("*")}


@pytest.mark.parametrize("arguments", [[], ["--diff"], ["--json", "--diff", "--all"]])
def test_nothing_is_written_into_the_service_and_nothing_is_left(
    lived: Path, tmp_path: Path, arguments: list[str]
) -> None:
    write(lived, {"same.md": page("same.md")})  # written again, so that git's index would like to be refreshed
    before, moments = picture(lived, objects=True), times(lived)
    rubbish = tmp_path / "temporary"
    rubbish.mkdir()
    assert run(lived, *arguments, TMPDIR=str(rubbish)).code == 1
    assert times(lived) == moments
    assert picture(lived, objects=True) == before
    assert list(rubbish.iterdir()) == []


def test_what_cannot_be_looked_at_leaves_nothing_either(tmp_path: Path) -> None:
    template, service = born(tmp_path, {"a.md": page("a")})
    copies.run("rm", "-r", template, cwd=tmp_path)
    rubbish = tmp_path / "temporary"
    rubbish.mkdir()
    printed = run(service, TMPDIR=str(rubbish))
    assert printed.code == 2
    assert "cannot be read" in printed.err
    assert list(rubbish.iterdir()) == []


# -- The command -------------------------------------------------------------------------------------------------------


def test_the_exit_code_is_that_of_the_worst_service(tmp_path: Path) -> None:
    template, service = born(tmp_path, {"a.md": page("a")})
    other = copies.generate_committed(template, tmp_path / "bills")
    assert run(service, other).code == 0
    write(other, {"a.md": None})
    assert run(service, other).code == 1
    nowhere = tmp_path / "nowhere"
    printed = run(service, nowhere, other)
    assert printed.code == 2
    assert printed.err == f"{nowhere}: could not be looked at. {nowhere} is no folder: name the folder of a service.\n"
    assert [line.split(":")[0] for line in printed.out.splitlines() if line.startswith("/")] == [
        f"{service}  no drift",
        f"{other}  drift",
    ]


def test_being_behind_is_no_drift_unless_that_is_asked(tmp_path: Path) -> None:
    template, service = born(tmp_path, {"a.md": page("a")})
    assert run(service, "--or-behind").code == 0
    release(template, "1.1.0", {"a.md": mended(page("a"))})
    assert run(service).code == 0
    assert run(service, "--or-behind").code == 1


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (None, "was this service made by a template?"),
        ("_src_path: [", "cannot be read"),
        ("_commit: v1.0.0\n", "does not say where its template is"),
        ("_src_path: {template}\n", "does not say which version it has"),
        ("_src_path: {template}\n_commit: v9.9.9\n", "does not know v9.9.9"),
        ("_src_path: /nowhere/at/all\n_commit: v1.0.0\n", "cannot be read"),
    ],
)
def test_what_could_not_be_looked_at_is_one_clear_error(tmp_path: Path, answers: str | None, told: str) -> None:
    template, service = born(tmp_path, {"a.md": page("a")})
    write(service, {copies.ANSWERS_FILE: answers.format(template=template) if answers else None})
    printed = run(service)
    assert (printed.code, printed.out) == (2, "")
    assert told in printed.err
    assert printed.err.count("\n") == 1


def test_the_text_says_what_matters_first(lived: Path) -> None:
    first, second, empty, *rest = run(lived).out.splitlines()
    assert first == f"{lived}  drift: 4 edited, 2 missing, 7 behind, 2 waived, 4 unchanged"
    assert second.endswith(", 2 releases behind 2.0.0")
    assert empty == ""
    assert [line.split()[0] for line in rest[:12]] == ["edited"] * 4 + ["missing"] * 2 + ["behind"] * 4 + ["waived"] * 2
    assert "  edited     both.md         +1 -0; changed in 2.0.0 too" in rest
    assert "  waived     waived.md       edited; +1 -0; until 2999-12-31: Ours is better." in rest
    assert "  Not judged, since they are the team's: 3 starter, 1 derived, 2 own" in rest
    assert not any("same.md" in line for line in rest)
    assert any("same.md" in line for line in run(lived, "--all").out.splitlines())


def test_a_line_stays_a_line_and_nothing_in_it_reaches_the_terminal(tmp_path: Path) -> None:
    long, hostile = f"{'deep/' * 30}page.md", "\x1b[2Jclear.md"
    _, service = born(tmp_path, {long: page("l"), hostile: page("h"), "[bold]a.md": page("a")})
    write(service, {long: None, hostile: "\x1b]0;title\x07\n", "[bold]a.md": None})
    waive(service, "[[]bold]a.md", "[red]\\u001b[31m")
    out = run(service, "--diff", COLUMNS="40").out
    assert long in out
    assert "\\x1b[2Jclear.md" in out
    assert "[bold]a.md" in out
    assert not [sign for sign in out if not sign.isprintable() and sign != "\n"]


def test_colours_are_for_a_terminal(lived: Path) -> None:
    assert "\x1b[" not in run(lived).out
    assert "\x1b[" in run(lived, FORCE_COLOR="1").out


@pytest.mark.parametrize("rendering", [1, 2])
def test_an_interrupt_is_no_verdict_about_this_service_or_the_next(
    lived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rendering: int
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    render, began = copier.run_copy, []

    def stopped(*arguments: Any, **options: Any) -> Any:
        began.append(arguments)
        if len(began) == rendering:
            raise KeyboardInterrupt
        return render(*arguments, **options)

    monkeypatch.setattr(copier, "run_copy", stopped)
    assert run(lived, lived) == Printed(130, "", "Stopped; nothing was changed.\n")
    assert len(began) == rendering
    assert list(tmp_path.iterdir()) == []


# -- For programs ------------------------------------------------------------------------------------------------------


def fits(folder: Path, content: Any) -> bool:
    file = folder / "content.json"
    file.write_text(json.dumps(content))
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(SCHEMA), str(file)]
    ended = subprocess.run(command, check=False, capture_output=True, encoding="utf-8")
    assert ended.returncode == 0 or "validation errors" in ended.stdout, ended
    return ended.returncode == 0


@pytest.fixture(scope="module")
def told(lived: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What programs get of a service and of a folder that is none."""
    printed = run(lived, tmp_path_factory.mktemp("none"), "--json", "--diff")
    assert (printed.code, printed.err) == (2, "")
    content: dict[str, Any] = json.loads(printed.out)
    return content


def test_the_schema_is_one() -> None:
    subprocess.run([sys.executable, "-m", "check_jsonschema", "--check-metaschema", str(SCHEMA)], check=True)
    assert json.loads(SCHEMA.read_text())["$defs"]["file"]["properties"]["state"]["enum"] == [*State]


def test_the_data_fits_its_schema_and_has_all_that_was_found(told: dict[str, Any], seen: Drift, tmp_path: Path) -> None:
    assert fits(tmp_path, told)
    service, refused = told["services"]
    assert (told["exit_code"], service["outcome"], refused["outcome"]) == (2, "drift", "refused")
    assert [file["path"] for file in service["files"]] == [file.path for file in seen.files]
    assert service["counts"] == {
        "edited": 4, "missing": 2, "behind": 7, "waived": 2, "unchanged": 4, "starter": 3, "derived": 1, "own": 2,
    }  # fmt: skip
    files = {file["path"]: file for file in service["files"]}
    assert files["waived-away.md"] == {
        "path": "waived-away.md", "state": "missing", "behind": None, "waived": True, "remark": "", "diff": None,
        "waiver": {"path": "waived*.md", "reason": "Ours is better.", "until": "2999-12-31", "expired": False},
    }  # fmt: skip
    assert files["expired.md"]["waiver"]["expired"]
    assert files["edited.md"]["diff"].startswith("diff --git a/edited.md b/edited.md\n")
    assert [waiver["path"] for waiver in service["unused_waivers"]] == ["nothing/"]


@pytest.mark.parametrize(
    "change", [{"state": "fine"}, {"waived": True}, {"waiver": {"path": "a"}}, {"behind": "far"}, {"percent": 100}]
)
def test_the_schema_refuses_what_is_never_told(told: dict[str, Any], tmp_path: Path, change: dict[str, Any]) -> None:
    content = json.loads(json.dumps(told))
    content["services"][0]["files"][0] |= change
    assert not fits(tmp_path, content)


# -- This template -----------------------------------------------------------------------------------------------------


def test_a_service_of_this_template_has_not_drifted_until_somebody_edits_it(
    copier_template: Path, tmp_path: Path
) -> None:
    service = copies.generate_committed(copier_template, tmp_path / "orders")
    found = drift(service)
    assert [file for file in found.files if file.state != "unchanged"] == []
    assert found.unchanged > 50
    assert found.not_judged["starter"] > 5
    write(service, {"Makefile": "mine\n", "src/orders/notes/model.py": "", "uv.lock": "", "src/orders/own.py": ""})
    again = drift(service)
    assert [(file.path, str(file.state)) for file in again.files if file.differs] == [("Makefile", "edited")]
