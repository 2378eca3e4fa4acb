"""The ledger: what is recorded, what a record tells, and what may run; beside an engine that only takes notes."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from dev import ledger

ROOT = Path(__file__).parent.parent
PASSWORD = "correct horse battery staple"
PUSHED = f"registry.example.com/orders@sha256:{'5' * 64}"

# Knows the images that are listed beside it, resolves a compose.yaml that is JSON, and notes what it would do.
DOCKER = """#!{python} -IS
import json, os, pathlib, sys
here, arguments = pathlib.Path(__file__).parent, sys.argv[1:]
images = json.loads((here / "images").read_text())
if arguments[0] == "pull":
    images[arguments[-1]] = images.pop("in the registry", None) or sys.exit("manifest unknown")
    (here / "images").write_text(json.dumps(images))
elif arguments[:2] == ["image", "tag"]:
    with open(here / "tags", "a") as tags:
        tags.write(" ".join(arguments[2:]) + "\\n")
elif arguments[0] == "image":
    print(json.dumps([images.get(arguments[-1]) or sys.exit("No such image: " + arguments[-1])]))
elif "config" in arguments:
    file = pathlib.Path(arguments[arguments.index("--file") + 1])
    print(os.path.expandvars(file.read_text()))
else:
    with open(here / "calls", "a") as calls:
        calls.write(json.dumps([os.environ["IMAGE"], *arguments[5:]]) + "\\n")
    sys.exit(arguments[-1] in (here / "failing").read_text().split())
"""


@dataclass
class Deploy:
    """The folder of a deploy."""

    root: Path

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", *arguments]
        return subprocess.run(command, cwd=self.root, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, *processes: str) -> str:
        """Commits a compose.yaml with these process types; returns the commit."""
        service = {"image": "$IMAGE", "environment": {"DATABASE_URL": "postgresql://app:$PASSWORD@postgres/app"}}
        services: dict[str, object] = dict.fromkeys(processes, service)
        services |= {"release": service | {"depends_on": {"postgres": {}}}, "admin": service | {"profiles": ["admin"]}}
        services |= {"postgres": {"image": "postgres"}, "store": {"image": "store"}}
        (self.root / "compose.yaml").write_text(json.dumps({"services": services}))
        self.git("add", "compose.yaml")
        self.git("commit", "--quiet", "--allow-empty", "--message", "Change it")
        return self.git("rev-parse", "HEAD")

    def build(self, *processes: str) -> str:
        """Commits, and makes an image of that; returns its digest."""
        commit = self.commit(*processes or ("one",))
        digest = f"sha256:{sha256(commit.encode()).hexdigest()}"
        self.images(**{"orders": about(digest, commit), digest: about(digest, commit)})
        return digest

    def images(self, **images: object) -> None:
        file = self.root / "bin/images"
        file.write_text(json.dumps(json.loads(file.read_text()) | images))

    def failing(self, *words: str) -> None:
        """Makes the commands fail that end with one of these words."""
        (self.root / "bin/failing").write_text(" ".join(words))

    def did(self) -> list[list[str]]:
        """What the engine was told since this was asked last: each time the image, and the words to compose."""
        calls = self.root / "bin/calls"
        told = [json.loads(line) for line in calls.read_text().splitlines()]
        calls.write_text("")
        return told

    def records(self) -> list[dict[str, str]]:
        file = self.root / ledger.LEDGER
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def released(self) -> str:
        """Builds and releases; returns the digest."""
        digest = self.build()
        assert ledger.main(["release", "orders"]) == 0
        return digest


def about(digest: str, commit: str) -> dict[str, object]:
    labels = {"org.opencontainers.image.revision": commit}
    return {"Id": digest, "RepoTags": ["orders:latest"], "RepoDigests": [], "Config": {"Labels": labels}}


def releasing() -> subprocess.Popen[str]:
    """Another process that releases what was built."""
    command = [sys.executable, "-m", "dev.ledger", "release", "orders"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture
def deploy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deploy:
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    program.write_text(DOCKER.format(python=sys.executable))
    program.chmod(0o755)
    for name, content in {"images": "{}", "calls": "", "failing": ""}.items():
        program.with_name(name).write_text(content)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PASSWORD", PASSWORD)
    monkeypatch.chdir(tmp_path)
    deploy = Deploy(tmp_path)
    deploy.git("init", "--quiet")
    return deploy


# What is recorded


def test_a_release_is_an_image_a_commit_and_a_configuration(deploy: Deploy) -> None:
    digest = deploy.released()
    [record] = deploy.records()
    assert list(record) == ["id", "commit", "artifact", "configuration", "time"]
    assert (record["id"], record["artifact"]) == ("v1", digest)
    assert record["commit"] == deploy.git("rev-parse", "HEAD")
    assert re.fullmatch(r"hmac-sha256:[0-9a-f]{64}", record["configuration"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["time"])


def test_the_database_is_migrated_with_the_image_before_it_is_a_release(deploy: Deploy) -> None:
    digest = deploy.released()
    attached, migrated = deploy.did()
    assert (attached[0], attached[1], attached[-1]) == (digest, "up", "postgres")
    assert "--wait" in attached
    assert (migrated[0], migrated[1], migrated[-1]) == (digest, "run", "release")


def test_a_failed_migration_is_no_release(deploy: Deploy, capsys: pytest.CaptureFixture[str]) -> None:
    deploy.build()
    deploy.failing("release")
    assert ledger.main(["release", "orders"]) == 1
    assert "there is no new release" in capsys.readouterr().err
    assert deploy.records() == []


def test_the_commit_is_that_of_the_image(deploy: Deploy) -> None:
    deploy.build()
    built = deploy.git("rev-parse", "HEAD")
    deploy.commit("one")
    assert ledger.main(["release", "orders"]) == 0
    assert deploy.records()[0]["commit"] == built != deploy.git("rev-parse", "HEAD")


def test_an_image_is_fetched_by_its_digest_and_recorded_as_such(deploy: Deploy) -> None:
    deploy.images(**{"in the registry": about(f"sha256:{'1' * 64}", deploy.commit("one"))})
    assert ledger.main(["release", PUSHED]) == 0
    assert deploy.records()[0]["artifact"] == PUSHED
    assert {image for image, *_ in deploy.did()} == {PUSHED}


def test_a_released_image_keeps_a_name(deploy: Deploy) -> None:
    digest = deploy.released()
    assert (deploy.root / "bin/tags").read_text() == f"{digest} orders:{digest[7:19]}\n"


def test_what_was_pushed_is_recorded_as_the_registry_names_it(deploy: Deploy) -> None:
    pushed = about(f"sha256:{'1' * 64}", deploy.commit("one")) | {"RepoDigests": [f"other.{PUSHED}", PUSHED]}
    deploy.images(**{"registry.example.com/orders:1.0": pushed})
    assert ledger.main(["release", "registry.example.com/orders:1.0"]) == 0
    assert deploy.records()[0]["artifact"] == PUSHED


@pytest.mark.parametrize(
    ("commit", "problem"),
    [(None, "No such image"), ("", "of which commit"), ("--output=x", "of which commit"), ("a" * 40, "git fetch")],
)
def test_an_unusable_image_is_refused(
    deploy: Deploy, commit: str | None, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy.commit("one")
    if commit is not None:
        deploy.images(orders=about(f"sha256:{'1' * 64}", commit))
    assert ledger.main(["release", "orders"]) == 1
    assert problem in capsys.readouterr().err
    assert (deploy.records(), deploy.did()) == ([], [])


def test_a_stack_that_does_not_run_the_image_is_refused(deploy: Deploy, capsys: pytest.CaptureFixture[str]) -> None:
    file = deploy.root / "compose.yaml"
    deploy.commit("one")
    file.write_text(file.read_text().replace("$IMAGE", "orders:latest"))
    deploy.git("commit", "--quiet", "--all", "--message", "Run the latest")
    deploy.images(orders=about(f"sha256:{'1' * 64}", deploy.git("rev-parse", "HEAD")))
    assert ledger.main(["release", "orders"]) == 1
    assert "must have ${IMAGE}" in capsys.readouterr().err
    assert (deploy.records(), deploy.did()) == ([], [])


def test_releases_at_once_are_all_recorded(deploy: Deploy) -> None:
    deploy.build()
    processes = [releasing() for _ in range(5)]
    for process in processes:
        told = process.communicate()[0]
        assert process.returncode == 0, told
    assert [record["id"] for record in deploy.records()] == ["v1", "v2", "v3", "v4", "v5"]
    assert len({record["configuration"] for record in deploy.records()}) == 1


def test_while_one_is_recorded_another_one_waits(deploy: Deploy) -> None:
    deploy.released()
    [first] = deploy.records()
    with ledger.ledger() as book:
        process = releasing()
        assert process.stdout
        assert process.stdout.readline().startswith("Waiting for another")
        book.append(**first | {"id": "v2"})
    told = process.communicate()[0]
    assert process.returncode == 0, told
    assert [record["id"] for record in deploy.records()] == ["v1", "v2", "v3"]


def test_a_line_that_was_cut_off_stays_and_its_name_is_not_used_again(
    deploy: Deploy, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy.released()
    file = deploy.root / ledger.LEDGER
    before = file.read_text() + '{"id": "v2", "comm'
    file.write_text(before)
    assert ledger.main(["release", "orders"]) == 0
    assert "releases.jsonl, line 2: cut off" in capsys.readouterr().err
    assert file.read_text().startswith(f"{before}\n")
    assert json.loads(file.read_text().splitlines()[-1])["id"] == "v3"
    assert ledger.main(["run", "v3"]) == 0


# What a record tells


def test_no_value_is_recorded_and_the_key_is_for_its_owner_only(deploy: Deploy) -> None:
    deploy.released()
    assert PASSWORD not in (deploy.root / ledger.LEDGER).read_text()
    assert (deploy.root / ledger.KEY).stat().st_mode & 0o777 == 0o600


def test_who_knows_all_but_the_key_cannot_try_passwords(deploy: Deploy) -> None:
    deploy.released()
    (deploy.root / ledger.KEY).unlink()
    assert ledger.main(["release", "orders"]) == 0
    one, another = deploy.records()
    assert one["artifact"] == another["artifact"]
    assert one["configuration"] != another["configuration"]


def test_the_same_configuration_has_the_same_hash_and_another_one_has_not(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy.released()
    deploy.released()
    monkeypatch.setenv("PASSWORD", "another")
    deploy.released()
    first, second, third = (record["configuration"] for record in deploy.records())
    assert first == second != third


# What may run


def test_what_runs_is_the_recorded_image(deploy: Deploy) -> None:
    digest = deploy.released()
    deploy.build()
    deploy.did()
    assert ledger.main(["run", "v1"]) == 0
    attached, started = deploy.did()
    assert attached[1:] == ["up", "--detach", "--no-deps", "--no-recreate", "postgres", "store"]
    assert started[:2] == [digest, "up"]
    assert started[-1] == "one"
    assert not {"release", "admin", "postgres"} & set(started)
    assert [record["state"] for record in deploy.records()[1:]] == ["starting", "ready"]


@pytest.mark.parametrize("wanted", ["", "v9", "orders", "sha256:0"])
def test_only_a_release_runs(deploy: Deploy, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    deploy.released()
    deploy.did()
    assert ledger.main(["run", wanted]) == 1
    assert "The last ones:\n  v1  20" in capsys.readouterr().err
    assert deploy.did() == []
    assert len(deploy.records()) == 1


def test_before_the_first_release_nothing_runs(deploy: Deploy, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["run", "v1"], ["rollback"], ["admin", "report"]):
        assert ledger.main(command) == 1
        assert "yet: make" in capsys.readouterr().err
    assert deploy.did() == []


def test_another_configuration_needs_another_release(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = deploy.released()
    assert ledger.main(["release", "orders"]) == 0
    for name in ("v1", "v2"):
        assert ledger.main(["run", name]) == 0
    before = deploy.records()
    monkeypatch.setenv("PASSWORD", "another")
    for command in (["run", "v2"], ["rollback"], ["admin", "report"]):
        assert ledger.main(command) == 1
        assert f"make release IMAGE={digest}" in capsys.readouterr().err
    assert deploy.records() == before


def test_without_the_key_nothing_is_taken_for_the_same(deploy: Deploy, capsys: pytest.CaptureFixture[str]) -> None:
    deploy.released()
    (deploy.root / ledger.KEY).unlink()
    assert ledger.main(["run", "v1"]) == 1
    assert ".release-key is gone" in capsys.readouterr().err


def test_a_release_whose_image_is_gone_is_not_started(deploy: Deploy, capsys: pytest.CaptureFixture[str]) -> None:
    digest = deploy.released()
    deploy.images(**{digest: None})
    assert ledger.main(["run", "v1"]) == 1
    assert "Without its image v1 cannot run" in capsys.readouterr().err
    assert len(deploy.records()) == 1


# What runs again


def test_a_rollback_runs_the_release_before_with_the_process_types_of_then(deploy: Deploy) -> None:
    digest = deploy.released()
    assert ledger.main(["run", "v1"]) == 0
    deploy.build("one", "two")
    assert ledger.main(["release", "orders"]) == 0
    assert ledger.main(["run", "v2"]) == 0
    assert deploy.did()[-1][-2:] == ["one", "two"]
    assert ledger.main(["rollback"]) == 0
    last = deploy.did()[-1]
    assert last[0] == digest
    assert "--remove-orphans" in last
    assert {"one", "two"} & set(last) == {"one"}


def test_a_rollback_goes_back_over_what_never_was_ready(deploy: Deploy, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(5):
        deploy.released()
    for name in ("v1", "v2"):
        assert ledger.main(["run", name]) == 0
    deploy.failing("one")
    for name in ("v4", "v5"):
        assert ledger.main(["run", name]) == 1
        assert "make rollback runs the release before it" in capsys.readouterr().err
    deploy.failing()
    assert ledger.main(["rollback"]) == 0
    assert ledger.main(["rollback"]) == 0
    assert [record["run"] for record in deploy.records() if record.get("state") == "ready"] == ["v1", "v2", "v2", "v1"]
    assert ledger.main(["rollback"]) == 1
    assert "v1 runs, and no release before it has run here" in capsys.readouterr().err


def test_a_one_off_runs_in_the_release_that_runs(deploy: Deploy) -> None:
    digest = deploy.released()
    assert ledger.main(["run", "v1"]) == 0
    deploy.released()
    deploy.did()
    assert ledger.main(["admin", "report", "--days", "7"]) == 0
    assert deploy.did() == [[digest, "run", "--rm", "--no-deps", "admin", "report", "--days", "7"]]
    deploy.failing("purge")
    assert ledger.main(["admin", "purge"]) == 1
