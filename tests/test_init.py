"""`twelvefold init` looks at services that Twelvefold did not generate, and drafts a factors.toml for each."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from twelvefold.draft import draft, init
from twelvefold.harness import contract
from twelvefold.harness.contract import Contract
from twelvefold.looking.backing import needed_packages
from twelvefold.looking.openapi import created_thing

FOREIGN = Path(__file__).parent / "foreign"
SERVICES = sorted(file.parent.name for file in FOREIGN.glob(f"*/{contract.FILE}"))


def copied(service: str, folder: Path) -> Path:
    """A foreign service as it was before its team had a factors.toml."""
    copy = folder / service
    shutil.copytree(FOREIGN / service, copy, ignore=shutil.ignore_patterns("factors.toml", "expected.toml"))
    return copy


def drafted(project: Path) -> Contract:
    assert init(project) == 0
    return contract.load(project)


def drafted_from(files: dict[str, str], folder: Path) -> Contract:
    for name, text in files.items():
        (folder / name).write_text(text)
    return drafted(folder)


def test_a_stage_has_the_command_of_the_stage_that_it_begins_with(tmp_path: Path) -> None:
    dockerfile = (
        'FROM python:3.13 AS Base\nCMD ["gunicorn", "app:app"]\n\nFROM scratch AS other\n\nFROM base\nUSER app\n'
    )
    assert drafted_from({"Dockerfile": dockerfile}, tmp_path).processes == {"web": "gunicorn app:app"}


def test_a_compose_file_may_have_tags_of_its_own(tmp_path: Path) -> None:
    compose = "services:\n  web:\n    build: .\n    command: !override [python, app.py]\n    ports: !reset null\n"
    assert drafted_from({"compose.yaml": compose}, tmp_path).processes == {"web": "python app.py"}


def test_the_dockerfile_and_the_target_of_a_compose_file_are_followed(tmp_path: Path) -> None:
    (tmp_path / "worker").mkdir()
    web = 'FROM python AS base\nCMD ["base"]\nFROM base AS serve\nCMD ["serve"]\nFROM base AS check\nCMD ["check"]\n'
    compose = """
services:
  web: {build: {context: ., dockerfile: web.Dockerfile, target: serve}}
  worker: {build: ./worker}
"""
    files = {"web.Dockerfile": web, "worker/Dockerfile": "FROM python\nCMD python work.py\n", "compose.yaml": compose}
    assert drafted_from(files, tmp_path).processes == {"web": "serve", "worker": "python work.py"}
    text = (tmp_path / contract.FILE).read_text()
    assert "web.Dockerfile" in text
    assert "worker/Dockerfile, for worker of compose.yaml" in text


def test_lines_of_the_procfile_that_name_no_process_type_are_told(tmp_path: Path) -> None:
    procfile = "# what runs\n\nweb: python app.py\nweb.1: python other.py\nworker python work.py\n"
    assert drafted_from({"Procfile": procfile}, tmp_path).processes == {"web": "python app.py"}
    told = [line for line in (tmp_path / contract.FILE).read_text().splitlines() if "Not understood" in line]
    assert told == [
        "# Not understood in the Procfile: web.1: python other.py",
        "# Not understood in the Procfile: worker python work.py",
    ]


def test_a_procfile_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert drafted_from({"Procfile": "\ufeffweb: python app.py\n"}, tmp_path).processes == {"web": "python app.py"}


def test_the_flask_service_is_found_out(tmp_path: Path) -> None:
    found = drafted(copied("flask", tmp_path))
    assert found.processes == {"web": "gunicorn -c gunicorn.conf.py app:app", "worker": "python worker.py"}
    assert {name: (one.kind, one.url) for name, one in found.resources.items()} == {"db": ("postgres", "DATABASE_URL")}
    assert found.code.packages == ["app", "db", "log", "worker"]
    assert found.config.secrets == ["DATABASE_URL"]
    assert found.web
    assert (found.web.port, found.web.live) == ("PORT", "/health")


def test_the_django_service_is_found_out(tmp_path: Path) -> None:
    found = drafted(copied("django", tmp_path))
    assert found.processes["release"] == "python manage.py migrate --noinput"
    assert found.argv("web", {"PORT": "5000"})[-1] == "0.0.0.0:5000"
    assert {name: (one.kind, one.url) for name, one in found.resources.items()} == {
        "database": ("postgres", "DATABASE_URL")
    }
    assert found.code.packages == found.code.folders == ["helpdesk", "tickets"]
    assert found.code.settings == ["helpdesk/settings.py"]
    assert found.config.secrets == ["DATABASE_URL", "SECRET_KEY"]
    assert found.web
    assert found.web.live == "/health/"


def test_the_node_service_is_found_out(tmp_path: Path) -> None:
    found = drafted(copied("node", tmp_path))
    assert found.name == "kv"
    assert found.processes == {"web": "node server.js"}
    assert found.resources == {}
    assert found.web
    assert (found.web.contract, found.web.committed_contract) == ("/openapi.json", "openapi.json")
    assert found.thing
    assert (found.thing.create, found.thing.read) == ("POST /pairs", "GET /pairs/{id}")
    assert found.thing.delete == "DELETE /pairs/{id}"
    assert found.thing.body == {"key": "{marker}", "value": "{marker}"}
    assert (found.thing.id, found.thing.status) == ("/key", 201)


@pytest.mark.parametrize("service", SERVICES)
def test_what_the_team_completed_agrees_with_the_draft(service: str, tmp_path: Path) -> None:
    """What was found did not have to be mended."""
    found, completed = drafted(copied(service, tmp_path)), contract.load(FOREIGN / service)
    assert found.processes == completed.processes
    assert found.resources == completed.resources
    assert found.code.folders == completed.code.folders
    assert found.config.secrets == completed.config.secrets


@pytest.mark.parametrize("service", SERVICES)
def test_an_answered_question_needs_no_other_place(service: str, tmp_path: Path) -> None:
    """Every line that is commented out is right where it stands: taking away its # keeps the file loadable."""
    project = copied(service, tmp_path)
    lines = draft(project).splitlines()
    answers = [line.removeprefix("# ") if " = " in line or line.startswith("# [") else line for line in lines]
    (project / contract.FILE).write_text("\n".join(answers).replace('"/..."', '"/metrics"'))
    completed = contract.load(project)
    assert completed.thing
    assert completed.jobs
    assert completed.admin
    assert "NAME" in completed.resources


@pytest.mark.parametrize("service", SERVICES)
def test_it_says_what_to_do_next(service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = copied(service, tmp_path)
    assert init(project) == 0
    questions = (project / contract.FILE).read_text().count("\n# ? ")
    assert f"answer its {questions} questions" in capsys.readouterr().out


def test_a_file_that_exists_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / contract.FILE).write_text("mine")
    assert init(tmp_path) != 0
    assert (tmp_path / contract.FILE).read_text() == "mine"
    assert "exists and stays as it is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("compose.yaml", "services: [a\n"),
        ("package.json", "{"),
        ("pyproject.toml", "[project"),
        ("Procfile", "web: run 'it\n"),
        ("compose.yaml", "services: {web: {environment: {SINCE: 0000-00-00}}}\n"),
        ("compose.yaml", "services: {web: {environment: {SINCE: 2021-02-30}}}\n"),
    ],
)
def test_a_broken_file_is_named_and_nothing_is_written(
    name: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    assert init(tmp_path) != 0
    assert f"{name} cannot be read" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("package.json", '{"dependencies": true}'),
        ("pyproject.toml", "[project]\ndependencies = 5\n"),
        ("pyproject.toml", "[tool.poetry]\ndependencies = 5\n"),
    ],
)
def test_packages_that_are_no_list_are_none(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert needed_packages(tmp_path) == set()


def test_a_folder_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(tmp_path / "nowhere") != 0
    assert "is no folder" in capsys.readouterr().err


def test_an_empty_folder_gets_questions_only(tmp_path: Path) -> None:
    found = drafted(tmp_path)
    assert found.processes == {}
    assert found.resources == {}
    assert found.web is None


def test_a_command_for_a_shell_gets_one(tmp_path: Path) -> None:
    found = drafted_from(
        {"Procfile": "web: python migrate.py && exec python app.py\nworker: python worker.py\n"}, tmp_path
    )
    assert found.processes == {
        "web": "sh -c 'python migrate.py && exec python app.py'",
        "worker": "python worker.py",
    }


def test_entry_point_and_command_make_one_line(tmp_path: Path) -> None:
    dockerfile = 'FROM python AS build\nCMD ["no"]\nFROM python\nENTRYPOINT ["shop"]\nCMD \\\n  ["web", "--fast"]\n'
    compose = "services:\n  shop: {build: .}\n  jobs: {build: ., command: [worker]}\n  db: {image: 'postgres:18'}\n"
    found = drafted_from({"Dockerfile": dockerfile, "compose.yaml": compose}, tmp_path)
    assert found.processes == {"shop": "shop web --fast", "jobs": "shop worker"}


def test_the_one_with_a_port_is_web(tmp_path: Path) -> None:
    compose = "services:\n  shop: {build: ., command: shop, ports: ['80:80']}\n  jobs: {build: ., command: jobs}\n"
    assert drafted_from({"compose.yaml": compose}, tmp_path).processes == {"web": "shop", "jobs": "jobs"}


def test_backing_services_are_known_by_their_images(tmp_path: Path) -> None:
    compose = """
services:
  web:
    build: .
    command: shop
    environment:
      - STORE=postgresql://shop@main:5432/shop
      - SESSIONS=redis://sessions:6379/0
      - BROKER_URL=amqp://rabbit
  main: {image: "ghcr.io/postgis/postgis:18-3.6"}
  sessions: {image: "valkey/valkey:9"}
  rabbit: {image: "rabbitmq:4"}
"""
    found = drafted_from({"compose.yaml": compose}, tmp_path)
    assert {name: (one.kind, one.url) for name, one in found.resources.items()} == {
        "main": ("postgres", "STORE"),
        "sessions": ("cache", "SESSIONS"),
        "rabbit": ("other", "BROKER_URL"),
    }


def test_a_server_that_keeps_the_jobs_is_no_cache(tmp_path: Path) -> None:
    found = drafted_from({"requirements.txt": "celery\nredis\n", "app.py": 'os.environ["REDIS_URL"]\n'}, tmp_path)
    assert found.resources["redis"].kind == "other"
    assert found.config.required == ["REDIS_URL"]


def test_a_backing_service_without_a_variable_is_asked_for(tmp_path: Path) -> None:
    found = drafted_from({"requirements.txt": "psycopg[binary]==3.3\n", "app.py": 'os.getenv("DB_HOST")\n'}, tmp_path)
    assert found.resources == {}
    assert "# ? Which variable holds the URL of postgres?" in (tmp_path / contract.FILE).read_text()


def test_what_files_say_cannot_break_the_draft(tmp_path: Path) -> None:
    hostile = 'a"b\\c # [x]\n\u2028\x7f{marker}'
    entry = {"build": ".", "command": ["run", hostile], "environment": {hostile: "postgresql://db", "A_URL": hostile}}
    compose = {"services": {hostile: entry, "db": {"image": "postgres"}}}
    found = drafted_from({"compose.yaml": json.dumps(compose), "package.json": json.dumps({"name": hostile})}, tmp_path)
    assert found.argv("web", {}) == ["run", hostile]


def paths(path: str, **properties: object) -> dict[str, Any]:
    """An OpenAPI document of one kind of thing, whose body has these properties."""
    schema = {"type": "object", "properties": properties}
    post = {"requestBody": {"content": {"application/json": {"schema": schema}}}, "responses": {"201": {}}}
    return {"paths": {path: {"post": post}, f"{path}/{{id}}": {"get": {"summary": "Read one"}}}}


def test_a_thing_gets_values_that_fit() -> None:
    found = created_thing(
        paths(
            "/notes",
            text={"type": ["string", "null"]},
            due={"type": "string", "format": "date-time"},
            page={"type": "string", "format": "uri"},
        )
    )
    assert found["body"] == {"text": "{marker}", "due": "2030-01-31T12:00:00Z", "page": "https://example.com/{marker}"}
    assert found["marker"] == "/text"


def test_a_thing_below_another_one_is_left_to_the_team() -> None:
    assert created_thing(paths("/orgs/{org}/notes", text={"type": "string"})) == {}
