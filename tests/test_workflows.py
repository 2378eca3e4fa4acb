"""The workflows of a service and of the template: what they may do, what they run, and that they can fail."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import acting, copies

TOOLS = acting.TOOLS

SCORECARD = copies.ROOT / "src/twelvefold/scorecard.schema.json"

# All other jobs read at most.
WRITERS = {"release.yml: build", "release.yml: publish", "tags.yml: tags", "update.yml: propose"}


@pytest.fixture(params=["service", "template"])
def github(request: pytest.FixtureRequest) -> Path:
    """The folder `.github` of a new service, then that of the template."""
    root: Path = request.getfixturevalue("default_service") if request.param == "service" else copies.ROOT
    return root / ".github"


@pytest.fixture
def service(default_service: Path, tmp_path: Path) -> Path:
    """A clone of a new service, to be run and spoilt."""
    clone = tmp_path / "service"
    copies.git(tmp_path, "clone", "--quiet", default_service, clone)
    copies.git(clone, "remote", "remove", "origin")
    return clone


def workflows(github: Path) -> dict[str, dict[str, Any]]:
    found = {path.name: yaml.safe_load(path.read_text()) for path in sorted(github.glob("workflows/*.yml"))}
    assert found
    return found


def jobs(github: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for file, workflow in workflows(github).items():
        for name, job in workflow["jobs"].items():
            yield f"{file}: {name}", job


def steps(github: Path) -> Iterator[dict[str, Any]]:
    for _, job in jobs(github):
        yield from job.get("steps", [])


# -- As they are written -----------------------------------------------------------------------------------------------


def test_actionlint_finds_nothing(github: Path) -> None:
    files = sorted(github.glob("workflows/*.yml"))
    copies.run(TOOLS / "actionlint", "-shellcheck", TOOLS / "shellcheck", *files, cwd=github.parent)


def test_zizmor_finds_nothing_even_as_an_auditor(github: Path) -> None:
    options = ["--offline", "--persona", "auditor", "--no-ignores", "--strict-collection", "--no-progress"]
    copies.run(TOOLS / "zizmor", *options, "workflows", cwd=github)


def test_workflows_fit_their_schema(github: Path) -> None:
    schema = ["--builtin-schema", "vendor.github-workflows"]
    copies.run(sys.executable, "-m", "check_jsonschema", *schema, *sorted(github.glob("workflows/*.yml")), cwd=github)


def test_the_configuration_of_renovate_fits_its_schema(github: Path) -> None:
    schema = ["--builtin-schema", "vendor.renovate"]
    copies.run(sys.executable, "-m", "check_jsonschema", *schema, "renovate.json", cwd=github)


def test_every_action_is_pinned_to_a_commit_with_its_version_beside_it(github: Path) -> None:
    written = "".join(path.read_text() for path in github.glob("workflows/*.yml"))
    pins = re.findall(r"uses: ([\w-]+/[\w-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$", written, re.MULTILINE)
    used = [step["uses"] for step in steps(github) if "uses" in step]

    assert sorted(used) == sorted(f"{action}@{commit}" for action, commit, _ in pins)
    assert len({action for action, _, _ in pins}) == len(set(pins)), "one action, two versions"


def test_every_job_ends_and_may_do_no_more_than_it_needs(github: Path) -> None:
    assert {str(workflow["permissions"]) for workflow in workflows(github).values()} == {"{}"}
    for name, job in jobs(github):
        assert "timeout-minutes" in job or "uses" in job, name
        assert ("write" in job["permissions"].values()) == (name in WRITERS), name


def test_what_gets_a_version_was_proved_and_its_evidence_bound_to_its_digest(default_service: Path) -> None:
    released = workflows(default_service / ".github")["release.yml"]["jobs"]
    built = {name: f"${{{{ needs.build.outputs.{name} }}}}" for name in ("image", "digest")}

    assert set(built) < released["build"]["outputs"].keys()
    assert released["prove"]["env"]["IMAGE"] == f"{built['image']}@{built['digest']}"
    assert {"run": "make prove", "name": "Prove the twelve factors"} in released["prove"]["steps"]
    assert set(released["publish"]["needs"]) == {"build", "prove"}
    [evidence] = [step["with"] for step in released["publish"]["steps"] if "predicate-type" in step.get("with", {})]
    assert evidence["predicate-type"] == json.loads(SCORECARD.read_text())["$id"]
    assert evidence["predicate-path"].endswith("/twelve-factor.json")
    assert (evidence["subject-name"], evidence["subject-digest"]) == (built["image"], built["digest"])


def test_no_step_can_use_the_credentials_of_the_checkout(github: Path) -> None:
    checkouts = [step for step in steps(github) if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("digest", [None, "sha256:" + "0" * 64])
def test_renovate_finds_the_tag_and_the_digest_of_each_base_image(default_service: Path, digest: str | None) -> None:
    dockerfile = (default_service / "Dockerfile").read_text()
    if digest:
        dockerfile = dockerfile.replace('_DIGEST=""', f'_DIGEST="@{digest}"')
    managers = json.loads((default_service / ".github/renovate.json").read_text())["customManagers"]
    [manager] = [manager for manager in managers if manager["managerFilePatterns"] == ["Dockerfile"]]
    patterns = [pattern.replace("(?<", "(?P<") for pattern in manager["matchStrings"]]

    found = [match.groupdict() for pattern in patterns for match in re.finditer(pattern, dockerfile)]

    assert {image["depType"] for image in found} == set(re.findall(r"^ARG (\w+_DIGEST)=", dockerfile, re.MULTILINE))
    assert {image["currentDigest"] for image in found} == {digest}
    for image in found:
        name = f"{image['depName']}:{image['currentValue']}"
        uses = re.findall(rf"^FROM (\S+)\$\{{{image['depType']}\}}", dockerfile, re.MULTILINE)
        assert set(uses) == {name}


# -- As they run -------------------------------------------------------------------------------------------------------


def run(service: Path, event: str, workflow: str, job: str, **environment: str) -> tuple[bool, str]:
    """Runs one job on this machine, with actions that do nothing; returns whether it succeeded, and its log."""
    return acting.run(service, event, workflow, "--job", job, env=environment)


@pytest.mark.parametrize("job", ["lint", "test"])
def test_a_new_service_passes_its_own_workflow(service: Path, job: str) -> None:
    # Its tests all pass elsewhere; here some of them show that the workflow runs them.
    succeeded, log = run(service, "push", "test.yml", job, PYTEST_ADDOPTS="-k 'settings or processes'")
    assert succeeded, log
    [uv] = re.findall(r"^FROM \S+:([\d.]+)\$\{UV_DIGEST\}", (service / "Dockerfile").read_text(), re.MULTILINE)
    assert f"version={uv}\n" in log, "CI uses another uv than the image"


def test_a_failing_test_fails_the_workflow(service: Path) -> None:
    # The first one by name, so that the others need not run.
    (service / "tests/a_sabotage_test.py").write_text("def test_sabotage() -> None:\n    assert 1 + 1 == 3\n")
    succeeded, log = run(service, "push", "test.yml", "test", PYTEST_ADDOPTS="--exitfirst")
    assert not succeeded
    assert "test_sabotage" in log, log


def test_a_wrong_type_fails_the_workflow(service: Path) -> None:
    (service / "tests/test_sabotage.py").write_text('def test_sabotage() -> None:\n    assert len(1) == "1"\n')
    succeeded, log = run(service, "push", "test.yml", "lint")
    assert not succeeded
    assert "test_sabotage.py:2" in log, log


def test_what_is_not_locked_is_not_installed(service: Path) -> None:
    project = service / "pyproject.toml"
    project.write_text(project.read_text().replace("\ndependencies = [", '\ndependencies = ["iniconfig",'))
    # What uv asks the package index to find this out is in its cache.
    succeeded, log = run(service, "push", "test.yml", "test", UV_OFFLINE="1")
    assert not succeeded
    assert "uv.lock" in log, log


def test_without_its_token_renovate_says_what_is_missing(service: Path) -> None:
    succeeded, log = run(service, "workflow_dispatch", "dependencies.yml", "renovate")
    assert succeeded, log
    assert "RENOVATE_TOKEN is missing" in log, log
    assert "Run Main Propose updates" not in log


def test_the_workflow_builds_the_image_and_starts_it(service: Path) -> None:
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "info"], check=False, capture_output=True).returncode:
        pytest.skip("the image job did not run: no container engine answers")
    commit = copies.git(service, "rev-parse", "HEAD").strip()
    engine = {name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}
    try:
        # Packages may be within reach of this machine's own network only.
        succeeded, log = run(service, "push", "test.yml", "image", BUILD_ARGS="--network host", **engine)
    finally:
        remove = [docker, "image", "rm", "--force", "service", f"service:{commit}"]
        subprocess.run(remove, check=False, capture_output=True)
    assert succeeded, log
    assert f"({commit})" in log, log
