"""`twelvefold prove --image`: the same experiments on containers of the service's image, by a real engine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import copies
from .engine import Engine
from .engine.images import Image
from .sabotages import verdicts_in

CLAIMS = "IX.2,VII.1,VIII.1,XIV.1"  # web alone, all its addresses, web and worker, and what they tell
LEFT = ("ps", "--all", "--quiet", "--filter", "label=twelvefold.run")


@pytest.fixture(scope="module")
def image(engine: Engine, default_service: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    clone = tmp_path_factory.mktemp("image") / "orders"
    copies.git(default_service, "clone", "--quiet", default_service, clone)
    built = Image.build(engine, clone)
    yield built
    built.remove()


def proving(image: Image, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "twelvefold", "prove", *arguments],
        cwd=image.source,
        env={**image.engine.environment, "PYTHONPATH": str(copies.ROOT / "src"), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def containers(image: Image) -> list[str]:
    return image.engine.docker(*LEFT).stdout.split()


def test_experiments_run_in_containers_and_leave_none(image: Image) -> None:
    process = proving(image, "--claim", CLAIMS, "--image", image.name)
    told = process.communicate(timeout=600)[0]
    found = json.loads((image.source / ".twelvefold/twelve-factor.json").read_text())
    verdicts = {name: claim["verdict"] for name, claim in verdicts_in(image.source / ".twelvefold").items()}
    assert verdicts == dict.fromkeys(CLAIMS.split(","), "pass"), told
    assert image.about()["Id"] in json.dumps(found)
    assert containers(image) == []


def test_an_image_that_there_is_not_is_one_message(image: Image) -> None:
    process = proving(image, "--image", "there-is-none")
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 2
    assert told.splitlines() == [
        "The container engine has no image there-is-none: build it with `make build`, or pull it."
    ]


def test_without_an_engine_there_is_one_message(image: Image) -> None:
    process = proving(image, "--image", image.name, DOCKER_HOST="unix:///nowhere.sock")
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 2
    assert told.startswith("Proving an image needs a running container engine: ")
    assert "Traceback" not in told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_leaves_no_container(image: Image, tmp_path: Path, number: signal.Signals) -> None:
    process = proving(image, "--claim", "VIII.1", "--image", image.name, TMPDIR=str(tmp_path))
    deadline = time.monotonic() + 120
    while not containers(image):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no container was ever seen"
        time.sleep(0.05)
    os.kill(process.pid, number)
    process.communicate(timeout=120)
    deadline = time.monotonic() + 30  # after a SIGKILL somebody else has to see to it
    while left := containers(image):
        assert time.monotonic() < deadline, f"{left} are left"
        time.sleep(0.1)
