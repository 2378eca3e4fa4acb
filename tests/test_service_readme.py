"""What the service's README says about changing it, done literally."""

from pathlib import Path

import pytest

from . import copies


@pytest.fixture
def service(default_service: Path, tmp_path: Path) -> Path:
    """A clone of the default service as a colleague makes it."""
    copies.git(tmp_path, "clone", "--quiet", default_service, "orders")
    copies.make(tmp_path / "orders", "setup")
    return tmp_path / "orders"


def test_without_the_example_the_rest_still_stands(service: Path) -> None:
    for path in ("src/orders/notes", "tests/test_notes.py", "tests/test_admin.py", "migrations/versions/0001_notes.py"):
        copies.git(service, "rm", "-r", "--quiet", path)
    features = service / "src/orders/features.py"
    features.write_text(features.read_text().replace('"notes",', ""))
    copies.make(service, "derive", "lint")
    copies.run("uv", "run", "pytest", "--collect-only", cwd=service, env=copies.service_environment(None))
    copies.run_starting_tests(service)


def test_a_new_revision_needs_no_formatting(service: Path) -> None:
    environment = copies.service_environment(None)
    copies.run("uv", "run", "alembic", "revision", "--message", "add tags", cwd=service, env=environment)
    copies.make(service, "lint")
    assert "add tags" in copies.git(service, "status", "--porcelain").replace("_", " ")
