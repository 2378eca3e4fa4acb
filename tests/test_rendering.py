"""What `copier copy` needs, and what it leaves: a tidy tree in which each file has one owner."""

import ast
import ctypes
import io
import os
import re
import shutil
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from copier._main import _operation
from pytest_copier.plugin import CopierFixture

from . import copies, formats

# Not the defaults, so that a copy that forgets them is seen.
OTHER_ANSWERS = {
    "name": "order-history",
    "description": "Tells what was ordered, and when.",
    "owner": "@acme/orders",
    "python": "3.12",
    "licence": "MIT",
    "devcontainer": True,
    "catalog": True,
    "ops": True,
}

# Git, and what its own scripts call.
GIT_ALONE = ("git", "basename", "sed", "uname")

NO_CODE = (
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
)

CLONE_NEWNET = 0x40000000
NOWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize("answers", [{}, OTHER_ANSWERS], ids=["defaults", "other answers"])
def test_generating_twice_over_itself_changes_nothing(
    copier_template: Path, tmp_path: Path, answers: dict[str, object]
) -> None:
    service = copies.generate_committed(copier_template, tmp_path / "orders", **answers)
    again = copies.copier_command("copy", "--defaults", "--overwrite", copier_template, service, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert copies.changed(service) == []


def test_two_services_with_the_same_answers_are_the_same(copier: CopierFixture, tmp_path: Path) -> None:
    one = copier.copy(tmp_path / "one", **OTHER_ANSWERS)
    another = copier.copy(tmp_path / "another", **OTHER_ANSWERS)
    one.assert_equal(another.path)
    one.assert_answers(another.path)


def test_copying_needs_no_trust_no_network_and_no_tool_but_git(
    copier_template: Path, tmp_path: Path, without_network: Callable[[], None] | None
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in GIT_ALONE:
        (tools / name).symlink_to(shutil.which(name) or pytest.fail(f"{name} is not on this machine"))
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), NOWHERE)
    settings = os.environ["COPIER_SETTINGS_PATH"]
    environment = {"PATH": str(tools), "HOME": str(tmp_path), "COPIER_SETTINGS_PATH": settings, **proxies}
    told = copies.copier_command(
        "copy", "--defaults", copier_template, "orders", cwd=tmp_path, env=environment, before=without_network
    )
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "orders/pyproject.toml").is_file()


def test_the_answers_file_holds_every_answer_and_where_the_template_is(
    default_service: Path, copier_template: Path
) -> None:
    answers = copies.answers(default_service)
    assert list(answers) == ["_commit", "_src_path", *sorted(copies.recorded())]
    assert answers["_commit"] == f"v{copies.FIRST_RELEASE}"
    assert answers["_src_path"] == str(copier_template)
    platform = copies.questions()["standards"]["default"]
    assert answers == answers | {name: platform[name] for name in platform.keys() & answers.keys() - {"python"}}
    assert answers["python"] == copies.default_python()


def test_a_person_is_told_the_next_step(copier_template: Path, tmp_path: Path) -> None:
    told = copies.copier_command("copy", "--defaults", copier_template, "orders", cwd=tmp_path)
    next_step = told.stderr.strip().splitlines()[-1]
    commands = re.findall(r"`make ([a-z ]+)`", next_step)
    assert commands
    copies.git(tmp_path / "orders", "init", "--quiet")
    copies.run("make", "--dry-run", *commands[0].split(), cwd=tmp_path / "orders")


@pytest.mark.parametrize(("shape", "files", "lines"), [("web", 80, 1500), ("web-worker-clock", 91, 2100)])
def test_a_service_is_small(copier_template: Path, tmp_path: Path, shape: str, files: int, lines: int) -> None:
    service = copies.generate_committed(copier_template, tmp_path / "orders", shape=shape)
    rendered = copies.rendered(service)
    assert len(rendered) <= files
    python = [service / name for name in rendered if name.startswith("src/") and name.endswith(".py")]
    assert 0 < sum(lines_of_code(path.read_text()) for path in python) <= lines


def lines_of_code(source: str) -> int:
    """How many lines are neither empty, nor comment, nor docstring."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, documented) and ast.get_docstring(node) is not None
        for line in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    }
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type not in NO_CODE]
    return len({line for token in tokens for line in range(token.start[0], token.end[0] + 1)} - docstrings)


def test_nothing_is_rendered_that_git_ignores(everything: Path) -> None:
    assert copies.git(everything, "ls-files", "--others", "--ignored", "--exclude-standard") == ""


def test_every_file_is_text_of_its_kind(everything: Path) -> None:
    for name in on_disk(everything):
        formats.read(name, (everything / name).read_text("utf-8"))


def test_no_file_is_a_link_or_a_program_by_accident(everything: Path) -> None:
    for name in on_disk(everything):
        path = everything / name
        assert not path.is_symlink()
        assert bool(path.stat().st_mode & 0o100) == path.read_text("utf-8").startswith("#!"), name


def test_formatting_a_new_service_changes_nothing(default_service: Path) -> None:
    ruff = default_service / ".venv/bin/ruff"
    copies.run(ruff, "format", "--check", "--no-cache", ".", cwd=default_service)
    copies.run(ruff, "check", "--no-cache", ".", cwd=default_service)


def test_what_an_update_leaves_alone_is_what_the_service_says(
    everything: Path, copier_template: Path, tmp_path: Path
) -> None:
    """Starters and derived files are those that an update does not render; the service's own table names them all."""
    updating = _operation.set("update")
    try:
        updated = copies.generate(copier_template, tmp_path / "order-history", **OTHER_ANSWERS)
    finally:
        _operation.reset(updating)
    left_alone = set(on_disk(everything)) - set(on_disk(updated))
    owned = copies.ownership(everything)
    assert {"README.md", "openapi.json"} <= left_alone
    assert left_alone == {
        name for name in on_disk(everything) if copies.owner_of(name, owned) in ("starter", "derived")
    }


def test_every_file_has_one_owner(default_service: Path) -> None:
    owned = copies.ownership(default_service)
    assert owned.keys() == {"standard", "starter", "derived", "own"}
    for name in copies.rendered(default_service):
        assert copies.owner_of(name, owned) in ("standard", "starter", "derived")
    made_later = {"TWELVE_FACTOR.md"}  # by the first `make prove`
    for pattern in set(owned["starter"] + owned["derived"]) - made_later:
        assert any(copies.belongs(name, pattern) for name in copies.rendered(default_service)), pattern


def test_no_standard_file_names_the_example_feature(default_service: Path) -> None:
    owned = copies.ownership(default_service)
    python = [name for name in copies.rendered(default_service) if name.endswith(".py") and name.startswith("src/")]
    standard = [name for name in python if copies.owner_of(name, owned) == "standard"]
    assert standard
    assert [name for name in standard if re.search(r"\bnotes\b", (default_service / name).read_text())] == []


@pytest.fixture(scope="module")
def everything(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service with every option, so that it has every file; not a git repository's files only, but all on disk."""
    service = tmp_path_factory.mktemp("everything") / "order-history"
    copies.generate(copier_template, service, **OTHER_ANSWERS)
    copies.git(service, "init", "--quiet")
    return service


@pytest.fixture(scope="module")
def without_network() -> Callable[[], None] | None:
    """What a process does first to lose the network; nothing where the kernel does not let us, and proxies must do."""
    libc = ctypes.CDLL(None, use_errno=True)

    def leave() -> None:
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")

    try:
        copies.copier_command("--version", cwd=Path.cwd(), before=leave)
    except Exception:
        return None
    return leave


def on_disk(service: Path) -> Iterator[str]:
    for path in sorted(service.rglob("*")):
        if not path.is_dir() and ".git" not in path.relative_to(service).parts:
            yield path.relative_to(service).as_posix()
