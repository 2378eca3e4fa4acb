"""Build, release, run: the ledger of a service on a real engine, and one-offs in the release that runs."""

import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from . import acting, copies
from .engine import Engine
from .engine.images import Image, Stack
from .engine.registry import registry

# What the release after the first one brings; the code of the first one can live with it.
NEXT_MIGRATION = '''"""Add tags."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column that may be left out."""
    op.execute("ALTER TABLE notes ADD COLUMN tags text[]")
'''
BROKEN_MIGRATION = NEXT_MIGRATION.replace("ADD COLUMN tags text[]", "DROP COLUMN tags").replace("0002", "0009")
COLUMNS = "SELECT string_agg(column_name, ',') FROM information_schema.columns WHERE table_name = 'notes'"


@dataclass(frozen=True)
class Deploy:
    """A clone of a service on a machine of its own, so to speak: its own ledger, database, port and password."""

    stack: Stack

    @property
    def folder(self) -> Path:
        return self.stack.image.source

    @property
    def environment(self) -> dict[str, str]:
        engine = self.stack.image.engine.environment
        finds_engine = {name: value for name, value in engine.items() if name.startswith(("DOCKER", "PATH"))}
        own = {
            "COMPOSE_PROJECT_NAME": self.stack.image.name,
            "IMAGE": self.stack.image.name,
            "POSTGRES_PASSWORD": self.stack.password,
            "PORT": str(self.stack.port),
        }
        return copies.service_environment(None) | finds_engine | own

    def make(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs make as an operator does; what it printed is in `stdout`, whether or not it succeeded."""
        return subprocess.run(
            ["make", *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=300,
            check=False,
        )

    def release(self, *words: str) -> dict[str, str]:
        """Makes a release; returns its record."""
        self.succeed("release", *words)
        return self.records()[-1]

    def succeed(self, *words: str) -> str:
        done = self.make(*words)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def change(self, files: dict[str, str]) -> str:
        """Commits files and builds the image of that; returns the commit."""
        for name, content in files.items():
            (self.folder / name).write_text(content)
        copies.commit(self.folder, "Change it")
        self.succeed("build", f"BUILD_ARGS={' '.join(self.stack.image.engine.build_arguments)}")
        return copies.git(self.folder, "rev-parse", "HEAD").strip()

    def records(self) -> list[dict[str, str]]:
        ledger = self.folder / "releases.jsonl"
        return [json.loads(line) for line in ledger.read_text().splitlines()]

    def running(self) -> tuple[str, str]:
        """The image and the commit of web."""
        return self.stack.container("web")["Image"], self.stack.ask("/livez")[1]["commit"]


@contextmanager
def cleaned(deploy: Deploy) -> Iterator[Deploy]:
    """Removes what a deploy leaves on its engine."""
    engine, name = deploy.stack.image.engine, deploy.stack.image.name
    try:
        yield deploy
    finally:
        deploy.stack.compose("down", "--volumes", "--remove-orphans", "--timeout", "1")
        images = engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", name).stdout.split()
        if images:
            engine.docker("image", "rm", "--force", *images)


@pytest.fixture(scope="module")
def deploy(engine: Engine, default_service: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deploy]:
    """A deploy whose first release runs, and has kept a note."""
    clone = tmp_path_factory.mktemp("deploy") / "orders"
    copies.git(default_service, "clone", "--quiet", default_service, clone)
    with cleaned(Deploy(Stack.of(Image.build(engine, clone)))) as deploy:
        deploy.release()
        deploy.succeed("run", "RELEASE=v1")
        assert deploy.stack.ask("/notes", {"text": "kept by v1"})[0] == 201
        yield deploy


def test_what_was_built_is_what_is_released_and_what_runs(deploy: Deploy) -> None:
    first = deploy.records()[0]
    deploy.succeed("run", "RELEASE=v1")
    assert first["artifact"] == deploy.stack.image.about()["Id"]
    assert deploy.running() == (first["artifact"], deploy.stack.image.commit) == (first["artifact"], first["commit"])
    # A name that no later build takes from it.
    named = deploy.stack.image.engine.docker("image", "ls", "--no-trunc", "--quiet", f"*:{first['artifact'][7:19]}")
    assert named.stdout.strip() == first["artifact"]


def test_the_ledger_is_no_part_of_the_repository_and_holds_no_secret(deploy: Deploy) -> None:
    assert copies.changed(deploy.folder) == []
    assert deploy.stack.password not in (deploy.folder / "releases.jsonl").read_text()
    assert (deploy.folder / ".release-key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("wanted", [[], ["RELEASE=latest"], ["RELEASE=v0"], ["RELEASE='; exit 0 #"]])
def test_only_a_recorded_release_runs(deploy: Deploy, wanted: list[str]) -> None:
    running, records = deploy.running(), deploy.records()
    refused = deploy.make("run", *wanted)
    assert refused.returncode != 0
    assert "The last ones:\n  v1  " in refused.stdout
    assert (deploy.running(), deploy.records()) == (running, records)


def test_two_releases_at_once_are_both_recorded(deploy: Deploy) -> None:
    before = deploy.records()
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(deploy.make, ["release", "release"]))
    assert [release.returncode for release in done] == [0, 0], done
    one, another = deploy.records()[len(before) :]
    assert deploy.records()[: len(before)] == before
    assert int(one["id"][1:]) + 1 == int(another["id"][1:])
    assert one["configuration"] == another["configuration"] == before[0]["configuration"]


def test_another_configuration_is_another_release(deploy: Deploy) -> None:
    other = replace(deploy, stack=replace(deploy.stack, password="another"))
    refused = other.make("run", "RELEASE=v1")
    assert refused.returncode != 0
    assert "The configuration is not that of v1" in refused.stdout


def test_a_failed_migration_is_no_release_and_what_runs_goes_on(deploy: Deploy) -> None:
    running, records = deploy.running(), deploy.records()
    deploy.change({"migrations/versions/0009_broken.py": BROKEN_MIGRATION})
    try:
        refused = deploy.make("release")
    finally:
        copies.git(deploy.folder, "reset", "--quiet", "--hard", "HEAD~")
    assert refused.returncode != 0
    assert "so there is no new release" in refused.stdout
    assert (deploy.running(), deploy.records()) == (running, records)


def test_a_rollback_runs_what_ran_before_on_the_schema_of_now(deploy: Deploy) -> None:
    deploy.succeed("run", "RELEASE=v1")
    before = deploy.running()
    # A variable that the new code wants is in its compose.yaml: the old one comes back without it.
    compose = (deploy.folder / "compose.yaml").read_text()
    compose = compose.replace('GRACE_SECONDS: "8"', 'GRACE_SECONDS: "8"\n    LOG_LEVEL: debug')
    commit = deploy.change({"migrations/versions/0002_tags.py": NEXT_MIGRATION, "compose.yaml": compose})
    deploy.succeed("run", f"RELEASE={deploy.release()['id']}")
    assert deploy.running()[1] == commit
    assert "LOG_LEVEL=debug" in deploy.stack.container("web")["Config"]["Env"]
    assert "tags" in deploy.stack.sql(COLUMNS)
    database = deploy.stack.container("postgres")["State"]["StartedAt"]

    deploy.succeed("rollback")

    assert deploy.running() == before
    assert "LOG_LEVEL=debug" not in deploy.stack.container("web")["Config"]["Env"]
    assert "tags" in deploy.stack.sql(COLUMNS)
    assert deploy.stack.container("postgres")["State"]["StartedAt"] == database
    assert [note["text"] for note in deploy.stack.ask("/notes")[1]["items"]] == ["kept by v1"]
    assert deploy.stack.ask("/notes", {"text": "kept after the rollback"})[0] == 201


def test_a_one_off_runs_in_the_release_that_runs(deploy: Deploy) -> None:
    deploy.succeed("run", "RELEASE=v1")
    deploy.change({"README.md": "Built, and not released.\n"})
    told = deploy.succeed("admin", "ARGS=report")
    assert "day,notes\n" in told
    assert f'"commit":"{deploy.records()[0]["commit"]}"' in told
    assert deploy.make("admin", "ARGS=no-such-one-off").returncode != 0


def test_one_artifact_goes_from_one_environment_to_the_next_by_its_digest(deploy: Deploy, tmp_path: Path) -> None:
    engine, name = deploy.stack.image.engine, deploy.records()[0]["artifact"]
    (tmp_path / "registry").mkdir()
    with registry(tmp_path / "registry") as host, ExitStack() as cleaning:
        engine.docker("tag", name, f"{host}/orders:tested")
        pushed = re.search(r"digest: (sha256:[0-9a-f]{64})", engine.docker("push", f"{host}/orders:tested").stdout)
        assert pushed
        artifact = f"{host}/orders@{pushed[1]}"
        engine.docker("image", "rm", f"{host}/orders:tested")
        seen = []
        for environment in ("staging", "production"):
            clone = tmp_path / environment
            copies.git(tmp_path, "clone", "--quiet", deploy.folder, clone)
            here = Deploy(Stack.of(Image(engine, clone, f"twelvefold-{environment}-{token_hex(4)}")))
            cleaning.enter_context(cleaned(here))
            record = here.release(f"IMAGE={artifact}")
            here.succeed("run", f"RELEASE={record['id']}")
            seen.append((record, here.running()))
            engine.docker("image", "rm", artifact, check=False)  # the next one fetches it anew
    (staged, running_there), (produced, running_here) = seen
    assert staged["artifact"] == produced["artifact"] == artifact
    assert staged["configuration"] != produced["configuration"]
    assert running_there == running_here == (name, staged["commit"])


# -- One-offs by workflow ----------------------------------------------------------------------------------------------

DEPLOYED = f"ghcr.io/acme/orders@sha256:{'5' * 64}"
FAKE_DOCKER = """#!/bin/sh
case $1 in
  login) cat >/dev/null ;;
  image) echo '[{"Config": {"Labels": {"org.opencontainers.image.revision": "c0ffee"}}}]' ;;
  run)
    printf '%s\\n' "$@" >"$NOTES"
    echo 'ada@example.com,37'
    echo '{"process": "admin", "event": "done", "one_off": "report", "email": "ada@example.com"}' >&2
    exit "$EXIT_CODE" ;;
esac
"""


@dataclass(frozen=True)
class Workflow:
    """The workflow `admin` of a service, run on this machine beside a `docker` and a `gh` that only take notes."""

    service: Path

    def run(
        self, one_off: str, arguments: str, *, image: str = DEPLOYED, approved_by: str = "grace", code: int = 0
    ) -> tuple[bool, str]:
        """Starts it as Ada would; returns whether it succeeded, and its log."""
        scratch = self.service.parent
        inputs = {"environment": "production", "one_off": one_off, "arguments": arguments, "keep_output": "false"}
        (scratch / "event.json").write_text(json.dumps({"inputs": inputs}))
        options = [
            *("--eventpath", str(scratch / "event.json"), "--var", f"RELEASE_IMAGE={image}"),
            *("--actor", "ada", "--env", "GITHUB_TRIGGERING_ACTOR=ada"),
            *("--secret", "DATABASE_URL=postgresql://app:canary@db/app", "--secret", "GITHUB_TOKEN=token"),
        ]
        told = {"NOTES": str(self.notes), "APPROVED_BY_FAKE": approved_by, "EXIT_CODE": str(code)}
        told["PATH"] = f"{scratch}/bin:{copies.service_environment(None)['PATH']}"
        return acting.run(self.service, "workflow_dispatch", "admin.yml", *options, env=told)

    @property
    def notes(self) -> Path:
        """The words that `docker` was told to run, a line each; missing when it was not."""
        return self.service.parent / "notes"


@pytest.fixture
def workflow(default_service: Path, tmp_path: Path) -> Workflow:
    copies.git(tmp_path, "clone", "--quiet", default_service, "orders")
    copies.git(tmp_path / "orders", "remote", "set-url", "origin", "https://github.com/Acme/orders.git")
    for name, program in {"docker": FAKE_DOCKER, "gh": '#!/bin/sh\necho "$APPROVED_BY_FAKE"\n'}.items():
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(program)
        file.chmod(0o755)
    file = tmp_path / "orders/.github/workflows/admin.yml"
    file.write_text(file.read_text().replace("      deployment: false\n", ""))  # which this runner does not know yet
    return Workflow(tmp_path / "orders")


def recorded(log: str) -> dict[str, str]:
    """The workflow's own record, as its log shows it."""
    lines = [line.partition("| ")[2] for line in log.splitlines()]
    record: dict[str, str] = json.loads("".join(lines[lines.index("{") : lines.index("}") + 1]))
    return record


def test_the_workflow_runs_a_one_off_in_the_image_that_is_deployed(workflow: Workflow) -> None:
    hostile = "ada@example.com $(touch hacked) `touch hacked` ; touch hacked ' * ${{ github.token }}"
    succeeded, log = workflow.run("purge-person", hostile)
    assert succeeded, log
    words = workflow.notes.read_text().splitlines()
    assert words[words.index(DEPLOYED) :] == [DEPLOYED, "admin", "purge-person", *hostile.split()]
    assert not (workflow.service / "hacked").exists()
    assert not {"DATABASE_URL=postgresql://app:canary@db/app", "canary"} & set(words)


def test_the_workflow_records_who_did_what_where_and_no_personal_data(workflow: Workflow) -> None:
    succeeded, log = workflow.run("report", "--about ada@example.com")
    assert succeeded, log
    record = recorded(log)
    assert record["began"] <= record["ended"]
    assert record | {"began": "", "ended": "", "run": ""} == {
        "who": "ada",
        "approved_by": "grace",
        "environment": "production",
        "one_off": "report",
        "arguments": "2",
        "image": DEPLOYED,
        "commit": "c0ffee",
        "began": "",
        "ended": "",
        "exit_code": "0",
        "output_kept": "false",
        "run": "",
    }
    assert '"event":"done"' in log
    assert "ada@example.com" not in log
    assert "canary" not in log


def test_a_one_off_that_fails_fails_the_workflow(workflow: Workflow) -> None:
    succeeded, log = workflow.run("report", "", code=3)
    assert not succeeded
    assert recorded(log)["exit_code"] == "3"


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"approved_by": ""}, "Nobody had to approve this"),
        ({"image": ""}, "RELEASE_IMAGE has to name"),
        ({"image": "ghcr.io/acme/orders:latest"}, "RELEASE_IMAGE has to name"),
        ({"image": DEPLOYED.replace("acme", "mallory")}, "RELEASE_IMAGE has to name"),
        ({"one_off": "report; touch hacked"}, "Name a one-off"),
        ({"one_off": "--help"}, "Name a one-off"),
        ({"arguments": "two\nlines"}, "Name a one-off"),
    ],
)
def test_what_is_not_in_order_does_not_run(workflow: Workflow, changed: dict[str, Any], problem: str) -> None:
    succeeded, log = workflow.run(**{"one_off": "report", "arguments": "", **changed})
    assert not succeeded
    assert problem in log, log
    assert recorded(log)["exit_code"] == ""
    assert not workflow.notes.exists()
