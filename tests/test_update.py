"""An update brings the template's new version and every changed answer, and loses nothing that is the team's."""

import re
from collections.abc import Callable
from functools import cache
from itertools import permutations
from pathlib import Path

import pytest

from . import copies
from .interpreters import real_interpreter

NEXT_RELEASE = "0.2.0"

# What the next release of the template brings.
NEW_TARGET = """\
loc: $(UV) ## Count the lines of code
	@git ls-files src | xargs wc -l

"""
NEW_SETTING = '    region: str = Field("eu", description="Where this runs.")\n'
NEW_QUESTION = """
region:
  type: str
  help: Where does it run?
  choices: [eu, us]
  default: eu
"""
NEW_PAGE = "# Regions\n\n{{ name }} runs in `{{ region }}`.\n"

# What the team has done since it began the service.
OWN_TARGET = """
seed: $(UV) ## Fill the database with samples
	@$(UV) run python -m orders health
"""
OWN_FUNCTION = '''

def team_routes() -> int:
    """The team's own line in a file that the template maintains."""
    return 1
'''
OWN_MODULE = '"""What a customer owes."""\n\nTAX = 19\n'
OWN_MIGRATION = '''\
"""Add the table of invoices."""

from alembic import op

revision = "0100"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the table."""
    op.execute("create table invoices (id bigint primary key)")


def downgrade() -> None:
    """Drops the table."""
    op.execute("drop table invoices")
'''


@pytest.fixture(scope="module")
def template(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A template of which a service can be made, and a next release that has not come yet."""
    template = tmp_path_factory.mktemp("update") / "twelvefold"
    copies.git(copier_template, "clone", "--quiet", copier_template, template)
    return template


@pytest.fixture(scope="module")
def lived_in(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service of the first release on which a team has worked: it has deleted the example and begun its own."""
    service = tmp_path_factory.mktemp("team") / "orders"
    copies.generate_committed(template, service, python=copies.default_python())
    add(service / "Makefile", OWN_TARGET)
    add(service / "src/orders/web/app.py", OWN_FUNCTION)
    add(service / "README.md", "\n## On call\n\nAsk the team.\n")
    (service / "src/orders/invoices.py").write_text(OWN_MODULE)
    for name in starters(service):
        if name not in ("README.md", "src/orders/features.py"):
            (service / name).unlink()
    replace(service / "src/orders/features.py", r"^FEATURES.*\n", "FEATURES: tuple[str, ...] = ()\n")
    own = service / "migrations/versions/0100_invoices.py"
    own.parent.mkdir(exist_ok=True)
    own.write_text(OWN_MIGRATION)
    copies.make(service, "setup", "derive")
    copies.commit(service, "Begin our own service")
    return service


@pytest.fixture(scope="module")
def updated(template: Path, lived_in: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service after `copier update` to the next release of the template; committed before, not after."""
    folder = template / "template"
    replace(folder / "Makefile.jinja", r"^(?=clean:)", NEW_TARGET)
    replace(folder / "src/{{ package }}/settings.py", r"^(?=    log_level: )", NEW_SETTING)
    replace(folder / "README.md.jinja", r"\Z", "\n## Regions\n\nSee `docs/regions.md`.\n")
    replace(folder / "src/{{ package }}/features.py", r"\Z", "\n# A better list is to come.\n")
    for starter in (folder / "src/{{ package }}/notes").glob("*.py"):
        add(starter, "\n# The next release has changed this.\n")
    replace(folder / ".env.example.jinja", r"\Z", "\n# Where this runs.\n# REGION=eu\n")
    (folder / "docs/regions.md.jinja").write_text(NEW_PAGE)
    (folder / ".editorconfig").unlink()
    add(template / "copier.yml", NEW_QUESTION)
    copies.release(template, NEXT_RELEASE)

    service = tmp_path_factory.mktemp("updated") / "orders"
    copies.git(lived_in, "clone", "--quiet", lived_in, service)
    told = copies.copier_command("update", "--defaults", cwd=service)
    assert told.returncode == 0, told.stderr
    return service


def test_an_update_changes_what_the_release_changed_and_nothing_else(updated: Path) -> None:
    assert sorted(copies.changed(updated)) == sorted(
        [
            " D .editorconfig",
            " M .copier-answers.yml",
            " M Makefile",
            " M src/orders/settings.py",
            "?? docs/regions.md",
        ]
    )


def test_an_update_merges_the_release_with_the_team_s_edits(updated: Path, lived_in: Path) -> None:
    makefile = (updated / "Makefile").read_text()
    assert NEW_TARGET in makefile
    assert makefile.endswith(OWN_TARGET)
    assert NEW_SETTING in (updated / "src/orders/settings.py").read_text()
    assert OWN_FUNCTION in (updated / "src/orders/web/app.py").read_text()
    assert (updated / "docs/regions.md").read_text() == "# Regions\n\norders runs in `eu`.\n"


def test_an_update_asks_what_is_new_and_keeps_what_was_answered(updated: Path, lived_in: Path) -> None:
    before, after = copies.answers(lived_in), copies.answers(updated)
    assert after == before | {"region": "eu", "_commit": f"v{NEXT_RELEASE}"}


def test_starters_stay_as_the_team_left_them_and_deleted_ones_deleted(updated: Path, lived_in: Path) -> None:
    assert starters(updated) == starters(lived_in)
    assert starters(updated) == ["README.md", "migrations/versions/0100_invoices.py", "src/orders/features.py"]
    for name in starters(updated):
        assert (updated / name).read_text() == (lived_in / name).read_text()


def test_an_updated_service_passes_its_own_checks(updated: Path, tmp_path: Path) -> None:
    service = tmp_path / "orders"
    copies.run("cp", "--recursive", updated, service, cwd=tmp_path)
    copies.commit(service, "Take the template's new version")
    copies.make(service, "setup", "derive", "lint", "test")
    assert "REGION=eu" in (service / ".env.example").read_text()
    derived = copies.ownership(service)["derived"]
    assert {line[3:] for line in copies.changed(service)} <= set(derived)


def test_an_edit_of_the_same_line_is_a_conflict_that_shows_both(updated: Path, lived_in: Path, tmp_path: Path) -> None:
    service = tmp_path / "orders"
    copies.git(lived_in, "clone", "--quiet", lived_in, service)
    replace(service / "Makefile", r"^(?=clean:)", "count: ## Count\n	@true\n\n")
    copies.commit(service, "Count in our own way")
    told = copies.copier_command("update", "--defaults", cwd=service)
    assert told.returncode == 0, told.stderr
    makefile = (service / "Makefile").read_text()
    assert makefile.index("<<<<<<< before updating") < makefile.index("count: ") < makefile.index("=======")
    assert makefile.index("=======") < makefile.index("loc: ") < makefile.index(">>>>>>> after updating")
    assert copies.git(service, "diff", "--name-only", "--diff-filter=U").split() == ["Makefile"]


def test_an_update_to_the_same_release_changes_nothing(updated: Path, tmp_path: Path) -> None:
    service = tmp_path / "orders"
    copies.run("cp", "--recursive", updated, service, cwd=tmp_path)
    copies.commit(service, "Take the template's new version")
    told = copies.copier_command("update", "--defaults", cwd=service)
    assert told.returncode == 0, told.stderr
    assert copies.changed(service) == []


CHANGES = [(name, *change) for name, values in copies.choices().items() for change in permutations(values, 2)]
OTHER_TEXTS = [("description", "Keeps notes.", "Keeps orders: {{ all }}."), ("owner", "@acme/platform", "@ada")]


@pytest.fixture(scope="module")
def made_with(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, object], Path]:
    """Makes a service with one answer that is not left to its default. Not to be changed."""

    @cache
    def make(name: str, answer: object) -> Path:
        service = tmp_path_factory.mktemp("answer") / "orders"
        return copies.generate_committed(copier_template, service, **{name: answer})

    return make


@pytest.mark.parametrize(("name", "old", "new"), CHANGES + OTHER_TEXTS)
def test_a_changed_answer_gives_what_a_new_service_has(
    made_with: Callable[[str, object], Path], tmp_path: Path, name: str, old: object, new: object
) -> None:
    before, fresh = made_with(name, old), made_with(name, new)
    service = tmp_path / "orders"
    copies.git(before, "clone", "--quiet", before, service)
    copies.update(service, **{name: new})
    owned = copies.ownership(service)
    left_alone = ("starter", "derived")
    assert copies.contents(service) == {
        file: (before / file).read_text("utf-8") if copies.owner_of(file, owned) in left_alone else text
        for file, text in copies.contents(fresh).items()
    }
    assert empty_folders(service) == []


def test_a_changed_python_gives_a_service_that_passes_its_own_checks(copier_template: Path, tmp_path: Path) -> None:
    here = [minor for minor in copies.choices()["python"] if real_interpreter(minor)]
    if len(here) < 2:
        pytest.skip(f"not run: no second Python here, only {here}")
    old, new = here[-1], here[0]
    service = copies.generate_committed(copier_template, tmp_path / "orders", python=old)
    copies.make(service, "setup")
    copies.commit(service, "Lock the packages")
    copies.update(service, python=new)
    copies.make(service, "setup", "lint", "test")
    assert f'requires-python = ">={new}"' in (service / "uv.lock").read_text()


def test_a_renamed_service_keeps_its_package_and_passes_its_own_checks(copier_template: Path, tmp_path: Path) -> None:
    service = copies.generate(copier_template, tmp_path / "orders", python=copies.default_python())
    add(service / "src/orders/web/app.py", OWN_FUNCTION)
    copies.commit(service, "Begin the service")
    copies.update(service, name="order-history")
    assert OWN_FUNCTION in (service / "src/orders/web/app.py").read_text()
    assert not [line for line in copies.changed(service) if not line.startswith(" M ")]
    copies.make(service, "setup", "derive", "lint", "test")
    copies.run(service / ".venv/bin/order-history", "--version", cwd=service)


def add(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def replace(path: Path, pattern: str, text: str) -> None:
    """Puts a text in the one place of a file that a pattern matches."""
    edited, times = re.subn(pattern, lambda _: text, path.read_text(), flags=re.MULTILINE)
    assert times == 1, f"{path} has {pattern!r} {times} times"
    path.write_text(edited)


def starters(service: Path) -> list[str]:
    owned = copies.ownership(service)
    return [name for name in copies.rendered(service) if copies.owner_of(name, owned) == "starter"]


def empty_folders(service: Path) -> list[Path]:
    folders = (path for path in service.rglob("*") if path.is_dir() and ".git" not in path.relative_to(service).parts)
    return [folder for folder in folders if not any(folder.iterdir())]
