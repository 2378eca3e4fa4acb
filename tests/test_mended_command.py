"""What the companion command does with bad input, with a Ctrl-C, and with what shall stay secret."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_gitconfig.plugin import GitConfig

from twelvefold.update.command import update

from . import copies
from .small_templates import MENDED, PAGE, make_template, picture, release


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
    from twelvefold.update import updating

    real: Callable[..., object] = updating.open_template
    opened: list[str] = []

    def second_is_stopped(*arguments: object) -> object:
        opened.append("a template")
        if len(opened) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(updating, "open_template", second_is_stopped)

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
