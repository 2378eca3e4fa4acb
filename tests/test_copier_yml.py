"""What Copier does not check in copier.yml: it ignores unknown keys, unused values and names that hide a module."""

import inspect
import json
import re
import tomllib
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from copier import _template
from copier._jinja_ext import SandboxedEnvironment, YieldExtension
from copier._user_data import Question
from jinja2 import nodes

from . import copies
from .interpreters import real_interpreter

GIVEN_BY_COPIER = {"var_name", "answers", "context", "jinja_env", "settings"}
TEMPLATE = copies.ROOT / "template"


def test_settings_are_known_to_copier() -> None:
    source = inspect.getsource(_template)
    known = set(re.findall(r"""config_data(?:\.get\(|\[)\s*"(\w+)\"""", source))
    known |= set(re.findall(r"""_raw_config\.get\("_(\w+)\"""", source))
    assert known > {"subdirectory", "min_copier_version", "exclude", "migrations", "envops", "message_after_update"}
    assert copies.configuration().keys() <= known


@pytest.mark.parametrize("name", copies.questions())
def test_keys_of_a_question_are_known_to_copier(name: str) -> None:
    known = {field.name for field in fields(Question)} - GIVEN_BY_COPIER
    assert copies.questions()[name].keys() <= known


def test_nothing_needs_trust_or_brings_deleted_files_back() -> None:
    assert not copies.configuration().keys() & {"tasks", "jinja_extensions", "external_data", "skip_if_exists"}


def test_migrations_belong_to_a_version() -> None:
    for migration in copies.configuration().get("migrations", []):
        assert {"version", "command"} <= migration.keys() <= {"version", "command", "when", "working_directory"}


def test_undefined_names_are_errors() -> None:
    assert copies.configuration()["envops"]["undefined"] == "jinja2.StrictUndefined"


def test_one_copier_is_asked_for_pinned_and_installed() -> None:
    pinning = [*copies.ROOT.glob("requirements*.txt"), copies.ROOT / "pyproject.toml"]
    pinned = {path.name: {*re.findall(r"(?<![\w-])copier==([\w.]+)", path.read_text("utf-8"))} for path in pinning}
    assert pinned == {path.name: {version("copier")} for path in pinning}
    asked_for = copies.configuration()["min_copier_version"]
    assert asked_for.split(".")[:2] == version("copier").split(".")[:2]


@pytest.mark.parametrize("name", copies.questions())
def test_every_answer_and_every_derived_value_is_used(name: str) -> None:
    others = {other: question for other, question in copies.questions().items() if other != name}
    everywhere = [*sources_in(copies.configuration()), *sources_in(others), *sources_in_template()]
    assert name in {used.name for source in everywhere for used in source.find_all(nodes.Name)}


def test_the_platform_team_can_set_what_is_used_and_nothing_else() -> None:
    used = {
        attribute.attr
        for source in [*sources_in(copies.questions()), *sources_in_template()]
        for attribute in source.find_all(nodes.Getattr)
        if isinstance(attribute.node, nodes.Name) and attribute.node.name == "platform"
    }
    for hook in sorted((copies.ROOT / "hooks").glob("*.py")):
        used |= set(re.findall(r"""platform\["(\w+)"\]""", hook.read_text("utf-8")))
    assert copies.questions()["standards"]["default"].keys() == used


def test_the_profile_as_published_changes_nothing() -> None:
    assert copies.questions()["profile"]["default"] == {}


def test_patterns_match_whole_answers() -> None:
    patterns = [
        filtered.args[0].as_const()
        for source in sources_in(copies.questions())
        for filtered in source.find_all(nodes.Filter)
        if filtered.name == "regex_search"
    ]
    assert patterns
    for pattern in patterns:
        re.compile(pattern)
        if pattern.startswith("^"):  # `$` would let a line break pass
            assert pattern.endswith(r"\Z")
        else:  # one character that decides by itself
            assert re.fullmatch(r"\[.+\]", pattern, re.DOTALL)


@pytest.mark.parametrize("minor", copies.choices()["python"])
def test_keywords_and_standard_modules_are_reserved(minor: str) -> None:
    interpreter = real_interpreter(minor)
    if not interpreter:
        pytest.skip(f"not run: no Python {minor} here")
    program = """
import json, keyword, sys
print(json.dumps([*sys.stdlib_module_names, *keyword.kwlist, *keyword.softkwlist]))
"""
    assert unreserved(json.loads(copies.run(interpreter, "-c", program, cwd=copies.ROOT))) == set()


def test_packages_that_a_service_depends_on_are_reserved(default_service: Path) -> None:
    locked = {package["name"] for package in tomllib.loads((default_service / "uv.lock").read_text())["package"]}
    project = tomllib.loads((default_service / "pyproject.toml").read_text())
    built_with = {re.split(r"[\[=<>~! ]", requirement)[0] for requirement in project["build-system"]["requires"]}
    assert unreserved((locked | built_with) - {default_service.name}) == set()


def test_modules_and_programs_that_a_service_installs_are_reserved(default_service: Path) -> None:
    program = "import json, importlib.metadata; print(json.dumps(list(importlib.metadata.packages_distributions())))"
    python = default_service / ".venv/bin/python"
    modules = json.loads(copies.run(python, "-c", program, cwd=default_service))
    assert "fastapi" in modules
    assert unreserved(set(modules) - {default_service.name}) == set()
    programs = {program.name for program in python.parent.iterdir() if not re.search("[_.]", program.name)}
    assert "uvicorn" in programs
    assert unreserved(programs - {default_service.name}) == set()


def test_folders_of_a_service_are_reserved(default_service: Path) -> None:
    folders = {Path(name).parts[0] for name in copies.rendered(default_service) if "/" in name}
    assert "tests" in folders
    assert unreserved(folders) == set()


def unreserved(names: Iterable[str]) -> set[str]:
    """Those of the names that a service could be given."""
    reserved = set(copies.questions()["reserved_names"]["default"].split())
    as_modules = {re.sub(r"[-.]", "_", name).lower() for name in names}
    return {name for name in as_modules if re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)} - reserved


def sources_in_template() -> Iterator[nodes.Template]:
    """Every text that is rendered when a service is made: the names of files, and those files that are templates."""
    for path in sorted(TEMPLATE.rglob("*")):
        yield parse(path.name)
        if path.is_file() and path.suffix == ".jinja":
            yield parse(path.read_text("utf-8"))
    for path in sorted((copies.ROOT / "licences").iterdir()):
        yield parse(path.read_text("utf-8"))


def sources_in(settings: Any) -> Iterator[nodes.Template]:
    for text in texts_in(settings):
        yield parse(text)


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from texts_in(list(value.values()))
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)


def parse(text: str) -> nodes.Template:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an invalid escape in a pattern
        return ENVIRONMENT.parse(text)


ENVIRONMENT = SandboxedEnvironment(extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension", YieldExtension])
