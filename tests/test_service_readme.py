"""What the service's README says about changing it, done literally."""

import re
from pathlib import Path

import pytest

from . import copies

EXAMPLE = (
    "src/orders/notes",
    "claims/claim_notes.py",
    "tests/test_notes.py",
    "tests/test_admin.py",
    "migrations/versions/0001_notes.py",
)


@pytest.fixture
def service(default_service: Path, tmp_path: Path) -> Path:
    """A clone of the default service as a colleague makes it."""
    copies.git(tmp_path, "clone", "--quiet", default_service, "orders")
    copies.make(tmp_path / "orders", "setup")
    return tmp_path / "orders"


def test_without_the_example_the_rest_still_stands(service: Path) -> None:
    for path in EXAMPLE:
        copies.git(service, "rm", "-r", "--quiet", path)
    replace(service / "src/orders/features.py", '"notes",', "")
    replace(service / "factors.toml", "orders admin report", "orders admin jobs list")
    replace(service / "factors.toml", r"\[(thing|jobs)\]\n(.+\n)+\n", "", times=2)
    copies.make(service, "derive", "lint")
    copies.commit(service, "Remove the example")
    copies.make(service, "prove", "CLAIM=XII.3", env={"TWELVEFOLD": str(copies.ROOT)})
    copies.run("uv", "run", "pytest", "--collect-only", cwd=service, env=copies.service_environment(None))
    copies.run_starting_tests(service)


def replace(file: Path, old: str, new: str, times: int = 1) -> None:
    text, number = re.subn(old, new, file.read_text())
    assert number == times, f"{old} in {file.name}"
    file.write_text(text)


def test_a_new_revision_needs_no_formatting(service: Path) -> None:
    environment = copies.service_environment(None)
    copies.run("uv", "run", "alembic", "revision", "--message", "add tags", cwd=service, env=environment)
    copies.make(service, "lint")
    assert "add tags" in copies.git(service, "status", "--porcelain").replace("_", " ")
