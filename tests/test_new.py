"""`make new`: what it records, refuses, chooses and says."""

import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from copier._vcs import get_repo

from hooks import interpreters, new, origin

from . import copies

ORIGIN = "https://git.example.test/platform/twelvefold.git"


class Said(NamedTuple):
    """How a command ended, and what a person has seen of it."""

    code: int
    out: str
    err: str


def run(*command: str | Path, cwd: Path, env: dict[str, str]) -> Said:
    done = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False
    )
    return Said(done.returncode, done.stdout, done.stderr)


def script(path: Path, text: str) -> Path:
    """Writes a program of the shell's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def clone(copier_template: Path, tmp_path: Path) -> Path:
    """A person's clone of the template."""
    clone = tmp_path / "twelvefold"
    copies.git(tmp_path, "clone", "--quiet", copier_template, clone)
    copies.git(clone, "remote", "set-url", "origin", ORIGIN)
    return clone


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A person's environment: a home of their own, and a name that git knows."""
    (tmp_path / "home").mkdir()
    (tmp_path / "gitconfig").write_text("[user]\nname = Ada\nemail = ada@example.com\n")
    return copies.service_environment(None) | {
        "HOME": str(tmp_path / "home"),
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
        "START": "0",
    }


@pytest.fixture
def quick(clone: Path, env: dict[str, str]) -> dict[str, str]:
    """The same with a `make` that only writes a lock, in place of an installation."""
    # The tests' own environment stands in for the clone's.
    uv = clone / ".venv/bin/uv"
    uv.parent.mkdir(parents=True)
    uv.symlink_to(Path(sys.executable).parent / "uv")
    tools = clone.parent / "tools"
    script(tools / "make", '[ -z "$BROKEN" ] || { echo "The index is down."; exit 1; }; echo locked >uv.lock')
    return env | {"PATH": f"{tools}{os.pathsep}{env['PATH']}"}


def make_new(clone: Path, env: dict[str, str], dest: str | Path = "../orders") -> Said:
    """Runs what stands behind `make new`, without making the environment anew."""
    return run(sys.executable, "-m", "hooks.new", cwd=clone, env=env | {"DEST": str(dest)})


def contents(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)


# -- The whole of it ---------------------------------------------------------------------------------------------------


def test_one_command_makes_a_locked_and_committed_service(clone: Path, env: dict[str, str], tmp_path: Path) -> None:
    caches = {"UV_CACHE_DIR": str(tmp_path / "uv"), "PIP_CACHE_DIR": str(tmp_path / "pip")}
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").write_text("what an interrupted run has left")
    said = run("make", "new", "DEST=../Ada's orders", cwd=clone, env=env | caches)
    assert said.code == 0, said
    service = tmp_path / "Ada's orders"
    assert copies.answers(service)["_src_path"] == ORIGIN
    assert copies.answers(service)["_commit"] == "v0.1.0"
    assert (service / "uv.lock").is_file()
    assert (service / ".venv/bin/my-service").is_file()
    assert copies.git(service, "log", "--format=%an: %B").strip() == "Ada: feat: begin my-service from the template"
    assert copies.git(service, "branch", "--show-current").strip() == "main"
    assert copies.changed(service) == []
    assert len(said.out.splitlines()) <= 8, said.out
    assert "no terminal" in said.out
    assert "make dev" in said.out.splitlines()[-1]


def test_a_clone_of_the_service_takes_the_template_s_next_release(
    clone: Path, quick: dict[str, str], tmp_path: Path
) -> None:
    assert make_new(clone, quick).code == 0
    copies.git(tmp_path, "clone", "--quiet", tmp_path / "orders", tmp_path / "elsewhere" / "orders")
    remote = clone.rename(tmp_path / "remote")
    (remote / "template/NEWS").write_text("The next release.\n")
    copies.git(remote, "add", "--all", "template")
    copies.git(remote, "commit", "--quiet", "--message", "release: 0.2.0")
    copies.git(remote, "tag", "v0.2.0")
    with (tmp_path / "gitconfig").open("a") as gitconfig:
        gitconfig.write(f'[url "{remote}"]\ninsteadOf = {ORIGIN}\n')
    elsewhere = tmp_path / "elsewhere" / "orders"
    said = run(sys.executable, "-m", "copier", "update", "--defaults", cwd=elsewhere, env=quick)
    assert said.code == 0, said
    assert (elsewhere / "NEWS").is_file()
    assert copies.answers(elsewhere)["_commit"] == "v0.2.0"
    assert copies.answers(elsewhere)["_src_path"] == ORIGIN


# -- The address that is recorded --------------------------------------------------------------------------------------

ADDRESSES = {
    "https://git.example.test/platform/twelvefold.git": "https://git.example.test/platform/twelvefold.git",
    "https://git.example.test/platform/twelvefold": "git+https://git.example.test/platform/twelvefold",
    "https://github.com/acme/twelvefold/": "https://github.com/acme/twelvefold",
    "https://ada:secret@git.example.test:8443/twelvefold.git": "https://git.example.test:8443/twelvefold.git",
    "https://secret@github.com/acme/twelvefold": "https://github.com/acme/twelvefold",
    "https://git.example.test/twelvefold.git?private_token=secret": "https://git.example.test/twelvefold.git",
    "git@github.com:acme/twelvefold": "git@github.com:acme/twelvefold",
    "ada@git.example.test:~/twelvefold": "git+ada@git.example.test:~/twelvefold",
    "ssh://git@git.example.test:2222/twelvefold": "git+ssh://git@git.example.test:2222/twelvefold",
    "ssh://git:secret@git.example.test/twelvefold.git": "ssh://git@git.example.test/twelvefold.git",
    "git://git.example.test/twelvefold": "git://git.example.test/twelvefold",
}
# What uv takes for each.
FOR_UV = {
    **{url: f"git+{url.removeprefix('git+')}" for url in ADDRESSES.values() if "://" in url},
    "git@github.com:acme/twelvefold": "git+ssh://git@github.com/acme/twelvefold",
    "git+ada@git.example.test:~/twelvefold": "git+ssh://ada@git.example.test/~/twelvefold",
    "'git@git.example.test:/srv/twelvefold.git'": "git+ssh://git@git.example.test/srv/twelvefold.git",
    "gh:acme/twelvefold": "git+https://github.com/acme/twelvefold",
    "/srv/twelvefold": "git+file:///srv/twelvefold",
}
OF_THIS_MACHINE = ["/srv/twelvefold.git", "../twelvefold", "twelvefold", "~/a:b", "file:///srv/t.git", "C:\\x", ""]


@pytest.mark.parametrize(("recorded", "package"), FOR_UV.items())
def test_make_finds_the_companion_command_at_the_recorded_address(
    copier_template: Path, tmp_path: Path, recorded: str, package: str
) -> None:
    service = tmp_path / "orders"
    service.mkdir()
    text = (copier_template / "template/Makefile.jinja").read_text()
    (service / "Makefile").write_text(re.sub(r"{{.*?}}|{%.*?%}", "", text))
    (service / ".copier-answers.yml").write_text(f"_commit: v0.3.0-2-gabc1234\n_src_path: {recorded}\n")
    planned = copies.run("make", "--dry-run", "prove", f"UV={sys.executable}", cwd=service)
    assert f'--from "{package}@abc1234" twelvefold prove' in planned


@pytest.mark.parametrize(("url", "recorded"), ADDRESSES.items())
def test_an_origin_is_recorded_as_copier_understands_it_and_without_credentials(url: str, recorded: str) -> None:
    assert origin.address(url) == recorded
    assert "secret" not in recorded
    assert origin.address(recorded.removeprefix("git+")) == recorded


@pytest.mark.parametrize("recorded", sorted(set(ADDRESSES.values())))
def test_git_reads_the_clone_under_the_recorded_address(clone: Path, recorded: str) -> None:
    asked = get_repo(recorded)
    assert asked
    environment = dict(os.environ) | origin.read_from(clone, recorded)
    found = copies.run("git", "ls-remote", asked, "HEAD", cwd=clone.parent, env=environment)
    assert found.split()[0] == copies.git(clone, "rev-parse", "HEAD").strip()


@pytest.mark.parametrize("url", OF_THIS_MACHINE)
def test_an_address_of_this_machine_is_none(url: str) -> None:
    assert origin.address(url) is None


def test_rules_for_git_that_are_there_already_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "3")
    assert origin.read_from(tmp_path, ORIGIN)["GIT_CONFIG_VALUE_3"] == ORIGIN


@pytest.mark.parametrize("url", [None, "file:///srv/twelvefold.git"])
def test_without_a_useful_origin_the_platform_s_address_is_recorded_and_it_says_how_to_change_that(
    clone: Path, quick: dict[str, str], tmp_path: Path, url: str | None
) -> None:
    copies.git(clone, *(["remote", "set-url", "origin", url] if url else ["remote", "remove", "origin"]))
    (clone / "profile.yml").write_text(
        "profile:\n  type: yaml\n  when: false\n  default:\n"
        "    template_source: https://git.acme.test/fork.git\n"
    )  # fmt: skip
    copies.git(clone, "commit", "--quiet", "--all", "--message", "feat: set our values")
    said = make_new(clone, quick)
    assert copies.answers(tmp_path / "orders")["_src_path"] == "https://git.acme.test/fork.git"
    assert f"git remote {'set-url' if url else 'add'} origin" in said.out


def test_a_shallow_clone_serves_as_well(clone: Path, quick: dict[str, str], copier_template: Path) -> None:
    shutil.rmtree(clone / ".git")
    shallow = clone.parent / "shallow"
    copies.git(clone.parent, "clone", "-q", "--depth=1", "--branch=v0.1.0", f"file://{copier_template}", shallow)
    copies.git(shallow, "remote", "set-url", "origin", ORIGIN)
    (clone / ".venv").rename(shallow / ".venv")
    assert make_new(shallow, quick).code == 0
    assert copies.answers(clone.parent / "orders")["_commit"] == "v0.1.0"


def test_what_is_not_committed_in_the_clone_is_left_out_and_said(clone: Path, quick: dict[str, str]) -> None:
    (clone / "template/DRAFT").write_text("Not yet.\n")
    said = make_new(clone, quick)
    assert "Uncommitted changes" in said.out
    assert not (clone.parent / "orders/DRAFT").exists()


def test_a_commit_that_others_cannot_get_is_pointed_out(clone: Path, quick: dict[str, str]) -> None:
    assert "push it" not in make_new(clone, quick).out
    copies.git(clone, "commit", "--quiet", "--allow-empty", "--message", "feat: change something")
    assert "push it" in make_new(clone, quick, "../billing").out


def test_a_folder_that_is_no_clone_is_refused(clone: Path, quick: dict[str, str]) -> None:
    shutil.rmtree(clone / ".git")
    said = make_new(clone, quick)
    assert said.code != 0
    assert said.err.strip().splitlines()[-1].startswith("This folder is not a git clone")
    assert not (clone.parent / "orders").exists()


# -- What is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dest", ["../full", "../file", ".", "services/orders", "../link"])
def test_a_destination_that_cannot_be_is_refused_and_nothing_is_written(
    clone: Path, env: dict[str, str], tmp_path: Path, dest: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(clone)
    before = contents(tmp_path)
    said = make_new(clone, env, dest)
    assert said.code != 0
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "make new DEST=" in said.err
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ("name: Orders!", "Use lower-case words"),
        ("python: '2.7'", "'2.7' is not in"),
        ("pyhton: '3.12'", "which is not a question"),
        ("- python", "one question and its answer a line"),
        (None, "No such file"),
    ],
)
def test_an_answer_that_cannot_be_is_refused_in_words(
    clone: Path, quick: dict[str, str], tmp_path: Path, answers: str | None, told: str
) -> None:
    if answers:
        (tmp_path / "answers.yml").write_text(answers)
    (tmp_path / "orders").mkdir()
    said = make_new(clone, quick | {"ANSWERS": "../answers.yml"})
    assert said.code != 0
    assert told in said.err
    assert len(said.err.splitlines()) == 1
    assert contents(tmp_path / "orders") == []


def test_answers_in_a_file_are_taken(clone: Path, quick: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "answers.yml").write_text("_commit: v0.0.1\nname: billing\ndescription: 'It''s \"billing\".'\n")
    assert make_new(clone, quick | {"ANSWERS": "../answers.yml"}).code == 0
    recorded = copies.answers(tmp_path / "orders")
    assert (recorded["name"], recorded["description"]) == ("billing", 'It\'s "billing".')
    assert recorded["_commit"] == "v0.1.0"


def test_ctrl_c_at_a_question_leaves_nothing_behind(clone: Path, quick: dict[str, str], tmp_path: Path) -> None:
    code, seen = at_a_terminal(clone, quick | {"DEST": "../orders"}, asked="What is the service called?", typed=b"\x03")
    assert code != 0
    assert "nothing was written" in seen
    assert "Traceback" not in seen
    assert not (tmp_path / "orders").exists()


def at_a_terminal(clone: Path, env: dict[str, str], asked: str, typed: bytes) -> tuple[int, str]:
    """Runs `make new`'s program at a terminal, and types something once it has asked something."""
    mine, its = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-m", "hooks.new"], cwd=clone, env=env | {"TERM": "xterm"},
        stdin=its, stdout=its, stderr=its, start_new_session=True,
    )  # fmt: skip
    os.close(its)
    seen, deadline, answered = "", time.monotonic() + 60, False
    while time.monotonic() < deadline and select.select([mine], [], [], 60)[0]:
        try:
            seen += os.read(mine, 4096).decode("utf-8", "replace")
        except OSError:  # the program has ended, and the terminal with it
            break
        if asked in seen and not answered:
            answered = True
            os.write(mine, typed)
    os.close(mine)
    return program.wait(10), seen


# -- What is left to the person ----------------------------------------------------------------------------------------


def test_without_an_identity_one_command_remains(clone: Path, quick: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "gitconfig").write_text("")
    said = make_new(clone, quick)
    assert said.code == 0, said
    command = next(line for line in said.out.splitlines() if "git -C" in line).partition(": ")[2]
    (tmp_path / "gitconfig").write_text("[user]\nname = Ada\nemail = ada@example.com\n")
    copies.run(*shlex.split(command), cwd=clone, env=quick)
    assert copies.changed(tmp_path / "orders") == []
    assert copies.git(tmp_path / "orders", "log", "--format=%s").strip() == "feat: begin orders from the template"


def test_a_setup_that_fails_says_why_and_how_to_go_on(clone: Path, quick: dict[str, str], tmp_path: Path) -> None:
    said = make_new(clone, quick | {"BROKEN": "yes"})
    assert said.code != 0
    why, go_on = said.err.splitlines()
    assert why == "The index is down."
    copies.run("sh", "-c", go_on.partition("go on: ")[2], cwd=clone, env=quick)
    assert copies.git(tmp_path / "orders", "log", "--format=%s").strip() == "feat: begin orders from the template"


def test_a_repository_around_the_service_is_left_alone(clone: Path, quick: dict[str, str], tmp_path: Path) -> None:
    copies.git(tmp_path, "init", "--quiet", "outer")
    copies.git(tmp_path / "outer", "commit", "--quiet", "--allow-empty", "--message", "outer")
    assert make_new(clone, quick, "../outer/orders").code == 0
    assert copies.git(tmp_path / "outer", "log", "--format=%s").strip() == "outer"
    assert copies.git(tmp_path / "outer/orders", "log", "--format=%s").strip() != "outer"


# -- Python ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose only interpreters are those that a test puts into its folders."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}{os.pathsep}{tmp_path / 'bin'}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("UV_PYTHON", raising=False)
    for variable in interpreters.MANAGERS:
        monkeypatch.setenv(variable, str(tmp_path / variable))
    interpreters.identify.cache_clear()
    return tmp_path


def interpreter(path: Path, version: str) -> Path:
    return script(path, f"echo {version} {path}")


@pytest.mark.parametrize(
    "behind",
    [
        "PYENV_ROOT/versions/3.13.7/bin/python",
        "ASDF_DATA_DIR/installs/python/3.13.7/bin/python",
        "MISE_DATA_DIR/installs/python/3.13/bin/python",
        "UV_PYTHON_INSTALL_DIR/cpython-3.13.7-linux-x86_64-gnu/bin/python",
        "RUNNER_TOOL_CACHE/Python/3.13.7/x64/bin/python",
        "bin/python3.13",
        "bin/python3",
    ],
)
def test_the_interpreter_behind_a_shim_that_does_not_run_is_found(machine: Path, behind: str) -> None:
    script(machine / "shims/python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    real = interpreter(machine / behind, "3.13")
    assert interpreters.find("3.13") == str(real)


def test_what_does_not_run_is_no_interpreter(machine: Path) -> None:
    script(machine / "shims/python3.13", "exit 127")
    script(machine / "bin/python3.13", "echo")
    interpreter(machine / "PYENV_ROOT/versions/3.13.0/bin/python", "3.12")
    (machine / "bin/python3").mkdir()
    (machine / "bin/python").symlink_to("nowhere")
    assert interpreters.find("3.13") is None


def test_where_the_platform_s_python_cannot_be_had_the_newest_that_runs_is_the_default(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(new, "UV", script(machine / "uv", "exit 2"))
    interpreter(machine / "bin/python3.9", "3.9")
    interpreter(machine / "bin/python3.11", "3.11")
    interpreter(machine / "bin/python3.12", "3.12")
    script(machine / "shims/python3.14", "exit 127")
    assert new.usable_python("3.13", ["3.9", "3.11", "3.12", "3.13", "3.14"]) == {"python": "3.12"}
    assert "the default is 3.12" in capsys.readouterr().out


def test_the_platform_s_python_is_fetched_where_that_is_possible(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter(machine / "bin/python3.12", "3.12")
    fetched = interpreter(machine / "fetched", "3.13")
    folder = machine / "UV_PYTHON_INSTALL_DIR/cpython-3.13.7-linux-x86_64-gnu/bin"
    monkeypatch.setattr(new, "UV", script(machine / "uv", f"/bin/mkdir -p {folder}; /bin/cp {fetched} {folder}/python"))
    assert new.usable_python("3.13", ["3.12", "3.13"]) == {}
    assert interpreters.find("3.13")


# -- The environment of the two commands -------------------------------------------------------------------------------

DEBIAN = """The virtual environment was not created successfully because ensurepip is not
available.  On Debian/Ubuntu systems, you need to install the python3-venv
package using the following command."""


@pytest.mark.parametrize("target", ["new", "test"])
def test_where_venv_does_not_work_one_sentence_names_the_package(
    clone: Path, env: dict[str, str], tmp_path: Path, target: str
) -> None:
    script(
        tmp_path / "debian/python3",
        f'case "$*" in *"-m venv"*) echo "{DEBIAN}"; exit 1;; esac\nexec "{sys.executable}" "$@"',
    )
    (clone / ".venv").mkdir()
    said = run("make", target, cwd=clone, env=env | {"PATH": f"{tmp_path / 'debian'}{os.pathsep}{env['PATH']}"})
    assert said.code != 0
    told = [line for line in said.err.splitlines() if not line.startswith("make")]
    assert len(told) == 1
    assert "python3-venv" in told[0]
    assert not (clone / ".venv").exists()
    assert not (tmp_path / "my-service").exists()


def test_an_older_python_is_refused_in_one_sentence(clone: Path, env: dict[str, str]) -> None:
    old = next((found for minor in ("3.10", "3.9", "3.8") if (found := interpreters.find(minor))), None)
    if old is None:
        pytest.skip("not run: no Python older than 3.11 here")
    said = run("make", "new", f"PYTHON={old}", cwd=clone, env=env)
    assert said.code != 0
    assert said.err.startswith("Python 3.11 or later")
    assert not (clone / ".venv").exists()
