"""A platform team forks the template, writes one file, and takes every new version without a conflict."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from hooks.releases import tag_missing

from . import copies
from .small_templates import safe_update

# As a platform team writes it: every standard, none left at its default.
PROFILE = """\
# The standards of Globex. Owner: platform@globex.example
profile:
  type: yaml
  when: false
  default:
    # Who answers for a service until its team has a name.
    owner: "@globex/platform"

    # Where services find this fork again.
    template_source: https://git.globex.example/platform/twelvefold.git

    # What a new service starts with; a team may answer otherwise.
    python: "3.12"
    licence: MIT
    ci: github
    devcontainer: true
    catalog: true
    ops: true

    # Where workflows run, and where images go.
    runner: globex-linux-x64
    image_registry: registry.globex.example

    # Base images, from our own mirror.
    python_image: mirror.globex.example/python
    python_tags:
      "3.11": 3.11.99-globex
      "3.12": 3.12.99-globex
      "3.13": 3.13.99-globex
      "3.14": 3.14.99-globex
    uv_image: mirror.globex.example/uv
    uv_tag: 0.13.9-globex
    postgres_image: mirror.globex.example/postgres
    postgres_tag: 18.99-globex
    valkey_image: mirror.globex.example/valkey
    valkey_tag: 9.99-globex

# Questions: #platform in our chat. Changes to this file need a review by two people of the platform team, since
# each of them reaches a hundred services.
"""

ANSWERS = {"owner", "python", "licence", "ci", "devcontainer", "catalog", "ops"}

# So that every standard shows.
WITH_A_CACHE = ("--defaults", "--data", "cache=true")

# Where `make new` finds the fork when its clone has no origin; nothing in a service says it.
FOR_MAKE_NEW = {"template_source"}


@pytest.fixture(scope="module")
def profile() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(PROFILE)["profile"]["default"]
    return values


@pytest.fixture(scope="module")
def upstream(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template that others maintain."""
    upstream = tmp_path_factory.mktemp("upstream") / "twelvefold"
    copies.git(copier_template, "clone", "--quiet", copier_template, upstream)
    return upstream


@pytest.fixture(scope="module")
def fork(upstream: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The platform team's fork, which differs from upstream in its profile only."""
    fork = tmp_path_factory.mktemp("fork") / "twelvefold"
    copies.git(upstream, "clone", "--quiet", upstream, fork)
    (fork / "profile.yml").write_text(PROFILE)
    copies.release(fork, "0.1.1")
    return fork


@pytest.fixture(scope="module")
def service(fork: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service with the platform team's defaults, from the newest release of its fork."""
    service = tmp_path_factory.mktemp("service") / "orders"
    generate(fork, service)
    return service


def test_forty_lines_set_every_standard(profile: dict[str, Any]) -> None:
    standards = copies.questions()["standards"]["default"]
    assert len(PROFILE.splitlines()) <= 40
    assert profile.keys() == standards.keys()
    assert [name for name in standards if profile[name] == standards[name]] == ["ci"]


def test_the_profile_s_answers_are_the_defaults(service: Path, profile: dict[str, Any]) -> None:
    assert profile.keys() & copies.recorded().keys() == ANSWERS
    assert copies.answers(service).items() >= {name: profile[name] for name in ANSWERS}.items()


def test_the_profile_s_values_show_in_the_service(service: Path, profile: dict[str, Any]) -> None:
    shown = "\n".join(text for name, text in copies.contents(service).items() if name != copies.ANSWERS_FILE)
    expected = {name: profile[name] for name in profile.keys() - ANSWERS - FOR_MAKE_NEW - {"python_tags"}}
    expected["python_tag"] = profile["python_tags"][profile["python"]]
    assert [name for name, value in expected.items() if value not in shown] == []


def test_none_of_upstream_s_values_is_left(service: Path, profile: dict[str, Any]) -> None:
    standards = copies.questions()["standards"]["default"]
    specific = {name: standards[name] for name in ("owner", "runner", "image_registry", "uv_image", "postgres_tag")}
    tags = {f"python {minor}": tag for minor, tag in standards["python_tags"].items()}
    for file, text in copies.contents(service).items():
        assert [name for name, value in (specific | tags).items() if value in text] == [], file


def test_a_team_still_answers_otherwise(fork: Path, tmp_path: Path) -> None:
    told = copies.copier_command("copy", "--defaults", "--data", "licence=Apache-2.0", fork, "orders", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert copies.answers(tmp_path / "orders")["licence"] == "Apache-2.0"


def test_a_misspelt_standard_is_an_error_and_not_passed_over(fork: Path, tmp_path: Path) -> None:
    misspelt = tmp_path / "fork"
    copies.git(tmp_path, "clone", "--quiet", fork, misspelt)
    (misspelt / "profile.yml").write_text(PROFILE.replace("    owner:", "    onwer:"))
    told = copies.copier_command("copy", "--defaults", "--vcs-ref", "HEAD", misspelt, "orders", cwd=tmp_path)
    assert told.returncode != 0
    assert "has no attribute 'onwer'" in told.stderr
    assert "Traceback" not in told.stderr
    assert not (tmp_path / "orders").exists()


def test_a_fork_takes_a_new_version_without_a_conflict_and_so_do_its_services(
    upstream: Path, fork: Path, profile: dict[str, Any], tmp_path: Path
) -> None:
    merging, updated, fresh = tmp_path / "fork", tmp_path / "of-before/orders", tmp_path / "of-now/orders"
    copies.git(tmp_path, "clone", "--quiet", fork, merging)
    generate(merging, updated)
    add_a_standard(upstream, "chat", "none")
    copies.release(upstream, "0.2.0")

    copies.git(merging, "fetch", "--quiet", "--no-tags", upstream, "refs/tags/v0.2.0")
    copies.git(merging, "merge", "--quiet", "--no-ff", "--message", "release: 0.2.0", "FETCH_HEAD")
    assert copies.git(merging, "diff", "--name-only", "FETCH_HEAD").split() == ["profile.yml"]
    assert (merging / "profile.yml").read_text() == PROFILE
    assert [release.tag for release in tag_missing(merging)] == ["v0.2.0"]

    assert safe_update(updated).code == 0
    generate(merging, fresh)
    assert copies.contents(updated) == copies.contents(fresh)
    assert copies.answers(fresh)["_commit"] == "v0.2.0"
    assert copies.contents(fresh)["docs/chat.md"] == "# Chat\n\nnone\n"
    assert profile["runner"] in copies.contents(fresh)[".github/workflows/test.yml"]


def generate(template: Path, service: Path) -> None:
    """Makes a service of a template's newest release."""
    told = copies.copier_command("copy", *WITH_A_CACHE, template, service, cwd=template)
    assert told.returncode == 0, told.stderr
    copies.commit(service, "Begin the service")


def add_a_standard(template: Path, name: str, value: str) -> None:
    """What a release of the template does that has something new for platform teams to set."""
    settings = template / "copier.yml"
    before, standards, after = settings.read_text().partition("standards:\n  type: yaml\n  when: false\n  default:\n")
    assert standards
    settings.write_text(f"{before}{standards}    {name}: {value}\n{after}")
    (template / f"template/docs/{name}.md.jinja").write_text(f"# {name.title()}\n\n{{{{ platform.{name} }}}}\n")
