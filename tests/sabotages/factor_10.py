"""Sabotages of factor X, dev/prod parity."""

from . import Edit, Sabotage

IN_MEMORY = '''"""Notes are kept, quickly."""

from sqlalchemy import create_engine, text


def test_a_note_is_kept() -> None:
    with create_engine("sqlite://").begin() as connection:
        connection.execute(text("CREATE TABLE notes (text text)"))
        connection.execute(text("INSERT INTO notes VALUES ('buy milk')"))
        assert connection.execute(text("SELECT count(*) FROM notes")).scalar() == 1
'''
DEV_SERVER = '''"""Serves the application on a developer's machine."""

import uvicorn

from orders import settings
from orders.web.app import create_app

loaded = settings.load()
uvicorn.run(create_app(loaded), host=loaded.host, port=loaded.port)
'''
PROCFILE = """web: uvicorn orders.web.app:app --reload --port $PORT
worker: orders worker
"""
OVERRIDE = """services:
  web:
    entrypoint: [uvicorn, "orders.web.app:app", --reload]
    command: []
"""
TAG = 'docker buildx imagetools create --prefer-index=false --tag "$IMAGE:$VERSION" "$IMAGE@$DIGEST"'
DEPLOY = """#!/bin/sh
set -e
docker build --tag "registry.example.com/orders:$1" .
docker push "registry.example.com/orders:$1"
kubectl set image deployment/orders "web=registry.example.com/orders:$1"
"""
DEPLOYS = """name: deploy
on:
  push:
    tags: ["v*"]
jobs:
  deploy:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v4
      - run: {}
"""
LAUNCH = """{
  // What F5 does.
  "version": "0.2.0",
  "configurations": [
    {
      "name": "web",
      "type": "debugpy",
      "request": "launch",
      "module": "uvicorn",
      "args": ["orders.web.dev:app", "--factory", "--reload"],
    },
  ],
}
"""
TERRAFORM = """resource "aws_db_instance" "orders" {
  identifier     = "orders"
  engine         = "postgres"
  engine_version = "15.4"
  instance_class = "db.t4g.micro"
}
"""
NIGHTLY = """name: nightly
on:
  schedule: [{cron: "0 3 * * *"}]
jobs:
  test:
    runs-on: ubuntu-24.04
    strategy:
      matrix:
        postgres: ["15"]
    services:
      postgres:
        image: postgres:${{ matrix.postgres }}
    steps:
      - run: make test
"""

SABOTAGES = [
    Sabotage(
        "X.1",
        "SQLite in a test",
        (Edit("tests/test_quick.py", "", IN_MEMORY),),
        neighbours=("X.3", "I.1", "II.1"),
    ),
    Sabotage(
        "X.1",
        "another major version in development and tests",
        (Edit("dev/postgres.py", "MAJOR = 18\n", "MAJOR = 15\n"),),
        neighbours=("X.3", "I.1", "II.1"),
        also=("X.2",),  # where there is no such server
    ),
    Sabotage(
        "X.1",
        "production is a version of PostgreSQL behind",
        (Edit("compose.yaml", "image: postgres:18.6-bookworm", "image: postgres:17.6-bookworm"),),
        neighbours=("X.3", "I.2", "II.2"),
    ),
    Sabotage(
        "X.1",
        "the image has another Python",
        (
            Edit(
                "Dockerfile",
                "FROM python:3.13.11-slim-bookworm${PYTHON_DIGEST} AS python\n",
                "FROM python:3.14.2-slim-bookworm${PYTHON_DIGEST} AS python\n",
            ),
        ),
        neighbours=("X.3", "I.1", "II.2"),
    ),
    Sabotage(
        "X.1",
        "Terraform makes an older database",
        (Edit("infra/database.tf", "", TERRAFORM),),
        neighbours=("X.3", "I.1", "II.2"),
    ),
    Sabotage(
        "X.1",
        "a matrix tests on an older database",
        (Edit(".github/workflows/nightly.yml", "", NIGHTLY),),
        neighbours=("X.3", "I.1", "II.2"),
    ),
    Sabotage(
        "X.1",
        "development has an old Redis in the place of Valkey",
        (Edit("compose.override.yaml", "", "services:\n  cache:\n    image: redis:5-alpine\n"),),
        neighbours=("X.3", "I.1", "II.2"),
    ),
    Sabotage(
        "X.2",
        "development has a server of its own",
        (
            Edit("dev/server.py", "", DEV_SERVER),
            Edit(
                "dev/run.py",
                "            self.types[name],\n",
                '            [sys.executable, "-m", "dev.server"] if name == "web" else self.types[name],\n',
            ),
        ),
        neighbours=("X.1", "X.3", "I.1"),
    ),
    Sabotage(
        "X.2",
        "another Procfile for development",
        (Edit("Procfile.dev", "", PROCFILE),),
        neighbours=("X.3", "I.1", "I.2"),
    ),
    Sabotage(
        "X.2",
        "compose reloads on a developer's machine",
        (Edit("compose.override.yaml", "", OVERRIDE),),
        neighbours=("I.1", "I.2"),
        also=("X.3",),  # its web is that of production, if it lies beside the release
    ),
    Sabotage(
        "X.2",
        "development gives a switch",
        (
            Edit(
                "dev/project.py", '    "PYTHONUNBUFFERED": "1",\n', '    "PYTHONUNBUFFERED": "1",\n    "DEBUG": "1",\n'
            ),
        ),
        neighbours=("X.1", "X.3"),
    ),
    Sabotage(
        "X.2",
        "a make target serves with reload",
        (
            Edit(
                "Makefile",
                "test: $(UV) ## Run the tests",
                "serve: $(UV) ## Run web alone, with reload\n"
                "\t@$(UV) run uvicorn --reload --factory orders.web.dev:app\n"
                "\n"
                "test: $(UV) ## Run the tests",
            ),
        ),
        neighbours=("X.1", "X.3"),
    ),
    Sabotage(
        "X.2",
        "the editor starts a server of its own",
        (Edit(".vscode/launch.json", "", LAUNCH),),
        neighbours=("X.1", "X.3"),
    ),
    Sabotage(
        "X.3",
        "a release builds again",
        (Edit("Makefile", "release: ## Migrate", "release: build ## Migrate"),),
        neighbours=("I.1", "I.2", "V.1"),
    ),
    Sabotage(
        "X.3",
        "what runs is the image that was built last",
        (
            Edit(
                "dev/ledger.py",
                "with stack(chosen.artifact, chosen.commit)",
                'with stack("orders:latest", chosen.commit)',
            ),
        ),
        neighbours=("I.1", "I.2", "V.1"),
        also=("V.2",),
    ),
    Sabotage(
        "X.3",
        "the workflow builds again for the tag",
        (
            Edit(
                ".github/workflows/release.yml",
                TAG,
                'git archive --format=tar HEAD | docker buildx build - --push --tag "$IMAGE:$VERSION"',
            ),
        ),
        neighbours=("I.1", "I.2", "II.2", "V.2"),
    ),
    Sabotage(
        "X.3",
        "a script builds what is deployed",
        (
            Edit("scripts/deploy.sh", "", DEPLOY),
            Edit(".github/workflows/deploy.yml", "", DEPLOYS.format('sh scripts/deploy.sh "$GITHUB_REF_NAME"')),
        ),
        neighbours=("I.1", "II.2", "X.1"),
        also=("I.2",),
    ),
    Sabotage(
        "X.3",
        "a make target builds what is deployed",
        (
            Edit(
                "Makefile",
                "clean: ## Remove",
                "deploy:\n\tdocker build --tag $(TO)/orders .\n\tdocker push $(TO)/orders\n\nclean: ## Remove",
            ),
            Edit(".github/workflows/deploy.yml", "", DEPLOYS.format("make deploy")),
        ),
        neighbours=("I.1", "II.2", "X.1"),
        also=("I.2",),
    ),
    Sabotage(
        "X.3",
        "a workflow has the platform build what it deploys",
        (
            Edit(
                ".github/workflows/deploy.yml",
                "",
                DEPLOYS.format("gcloud run deploy orders --region europe-west1 --source ."),
            ),
        ),
        neighbours=("I.1", "II.2", "X.1"),
    ),
]
