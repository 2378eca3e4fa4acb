"""What a good engineer may choose otherwise than the template does, and what must not be taken for a fault."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from twelvefold.harness import engines, events, locks, parity
from twelvefold.harness.workspace import Workspace

from . import copies

NOW = time.time()
TEXT = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW))
FACTORS = 'name = "shop"\n\n[processes]\nweb = "shop web"\n\n[code]\nfolders = ["src"]\n'


def workspace(folder: Path, files: dict[str, str]) -> Workspace:
    """What a run would start from, of a repository with these files."""
    source = folder / "source"
    for name, text in {"factors.toml": FACTORS, **files}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    copies.git(source, "init", "--quiet")
    copies.commit(source, "Begin")
    return Workspace("run", source, folder, "", False, "process", "", "none", "")


@pytest.mark.parametrize(
    "event",
    [
        {"text": "hi\n", "record": {"level": {"name": "INFO", "no": 20}, "message": "hi", "time": {"timestamp": NOW}}},
        {"Timestamp": str(int(NOW * 1e9)), "SeverityText": "INFO", "Body": "hi"},
        {"@t": TEXT, "@m": "hi"},
        {"version": "1.1", "host": "shop", "short_message": "hi", "timestamp": NOW, "level": 6},
        {"created": NOW, "levelname": "INFO", "message": "hi"},
        {"log": {"level": "info"}, "@timestamp": TEXT, "message": "hi"},
    ],
    ids=["loguru", "OpenTelemetry", "Serilog", "GELF", "python-json-logger", "ECS"],
)
def test_each_log_library_has_names_of_its_own(event: dict[str, Any]) -> None:
    assert events.problem_of(json.dumps(event)) == ""


@pytest.mark.parametrize("missing", ["timestamp", "level", "message"])
def test_an_event_has_a_time_a_level_and_a_message(missing: str) -> None:
    event = {"timestamp": TEXT, "level": "info", "message": "hi"}
    assert events.problem_of(json.dumps(event)) == ""
    del event[missing]
    assert events.problem_of(json.dumps(event)) != ""


@pytest.mark.parametrize(
    "entrypoint",
    ['["tini", "--", "shop"]', '["/usr/bin/dumb-init", "shop"]', '["./docker-entrypoint.sh", "shop"]', '["shop"]'],
)
def test_an_init_or_a_script_before_the_command_is_no_other_command(entrypoint: str, tmp_path: Path) -> None:
    dockerfile = f'FROM python:3.13-slim\nENTRYPOINT {entrypoint}\nCMD ["web"]\n'
    script = '#!/bin/sh\nset -e\nexec "$@"\n'
    made = workspace(tmp_path, {"Dockerfile": dockerfile, "docker-entrypoint.sh": script})
    assert parity.other_commands(made) == []


def test_another_command_is_one_behind_an_init_too(tmp_path: Path) -> None:
    dockerfile = 'FROM python:3.13-slim\nENTRYPOINT ["tini", "--", "shop"]\nCMD ["serve"]\n'
    assert parity.other_commands(workspace(tmp_path, {"Dockerfile": dockerfile})) != []


@pytest.mark.parametrize(
    ("image", "version"),
    [("python:3.13-slim", "3.13"), ("python:slim", "any"), ("python", "any"), ("python:3-slim@sha256:00", "any")],
)
def test_a_python_image_without_a_version_may_be_any(image: str, version: str, tmp_path: Path) -> None:
    dockerfile = f"FROM {image} AS python\nFROM python\nCOPY src src\n"
    assert set(parity.pythons(workspace(tmp_path, {"Dockerfile": dockerfile})).values()) == {version}


def test_other_languages_have_versions_of_their_own(tmp_path: Path) -> None:
    files = {".tool-versions": "nodejs 22.1\npython 3.13.1\n", "mise.toml": '[tools]\nnode = "22.1"\npython = "3.13"\n'}
    assert parity.pythons(workspace(tmp_path, files)) == {".tool-versions": "3.13", "mise.toml": "3.13"}


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("timescale/timescaledb:2.23.0-pg18", "18"),
        ("pgvector/pgvector:pg17", "17"),
        ("postgis/postgis:17-3.5", "17"),
        ("postgres:18.1-bookworm", "18"),
    ],
)
def test_an_extension_has_a_version_of_its_own(image: str, version: str, tmp_path: Path) -> None:
    made = workspace(tmp_path, {"compose.yaml": f"services:\n  db:\n    image: {image}\n"})
    assert set(engines.named(made.source).versions("postgres").values()) == {version}


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("curl -fsSL https://get.example.com/agent.sh | sh", True),
        ("curl -fsSL https://get.example.com/agent.sh -o agent.sh", False),
        ("uv tool install gunicorn", True),
        ("uv tool install gunicorn==23.0.0", False),
        ("pipx install poetry", True),
        ("sh", False),
    ],
)
def test_what_an_image_is_made_of_says_its_version(command: str, wrong: bool, tmp_path: Path) -> None:
    made = workspace(tmp_path, {"Dockerfile": f"FROM python:3.13-slim\nRUN {command}\n"})
    assert bool(locks.in_image(made.source)) is wrong
