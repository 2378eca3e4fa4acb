"""An update brings the template's new version and every changed answer, and loses nothing that is the team's."""

import re
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from hooks.releases import HistoryError, releases, tag_missing

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

NEW_LINE = "\n# The next release has changed this.\n"

# What the team has answered, and done since it began the service.
ANSWERS = {"description": "Keeps orders.", "owner": "@acme/orders", "catalog": True}
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
    copies.generate_committed(template, service, python=copies.default_python(), **ANSWERS)
    add(service / "Makefile", OWN_TARGET)
    add(service / "src/orders/web/app.py", OWN_FUNCTION)
    add(service / "README.md", "\n## On call\n\nAsk the team.\n")
    (service / "src/orders/invoices.py").write_text(OWN_MODULE)
    for name in owned_by(service, "starter"):
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
def kept(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service of the first release whose team has kept the example and edited it."""
    service = tmp_path_factory.mktemp("kept") / "orders"
    copies.generate_committed(template, service)
    for name in owned_by(service, "starter"):
        add(service / name, "\n# Our own line.\n")
    copies.commit(service, "Make the example ours")
    return service


@pytest.fixture(scope="module")
def next_release(template: Path, lived_in: Path, kept: Path) -> None:
    """Lets the template have its next release, which changes files of every class."""
    folder = template / "template"
    ownership = copies.ownership(kept)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix().replace("{{ package }}", "orders").removesuffix(".jinja")
        if path.is_file() and is_left_alone(name, ownership):
            add(path, NEW_LINE)
    replace(folder / "Makefile.jinja", r"^(?=clean:)", NEW_TARGET)
    replace(folder / "src/{{ package }}/settings.py.jinja", r"^(?=    log_level: )", NEW_SETTING)
    (folder / "docs/regions.md.jinja").write_text(NEW_PAGE)
    (folder / ".editorconfig").unlink()
    add(template / "copier.yml", NEW_QUESTION)
    copies.release(template, NEXT_RELEASE)


@pytest.fixture(scope="module")
def updated(next_release: None, lived_in: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service after `copier update` to the next release of the template; committed before, not after."""
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
    assert before.items() >= ANSWERS.items()
    assert after == before | {"region": "eu", "_commit": f"v{NEXT_RELEASE}"}


def test_starters_stay_as_the_team_left_them_and_deleted_ones_deleted(updated: Path, lived_in: Path) -> None:
    starters = owned_by(updated, "starter")
    assert starters == ["README.md", "migrations/versions/0100_invoices.py", "src/orders/features.py"]
    for name in starters:
        assert (updated / name).read_text() == (lived_in / name).read_text()


def test_an_example_that_is_kept_stays_as_it_is(next_release: None, kept: Path, tmp_path: Path) -> None:
    service = tmp_path / "orders"
    copies.git(kept, "clone", "--quiet", kept, service)
    copies.update(service)
    assert owned_by(service, "starter") == owned_by(kept, "starter") != []
    assert owned_by(service, "derived") == owned_by(kept, "derived") != []
    for name in owned_by(kept, "starter") + owned_by(kept, "derived"):
        assert (service / name).read_text() == (kept / name).read_text()


def test_an_updated_service_passes_its_own_checks(updated: Path, tmp_path: Path) -> None:
    service = tmp_path / "orders"
    copies.run("cp", "--recursive", updated, service, cwd=tmp_path)
    copies.commit(service, "Take the template's new version")
    copies.make(service, "setup", "derive", "lint")
    copies.run_starting_tests(service)
    assert "REGION=eu" in (service / ".env.example").read_text()
    assert {line[3:] for line in copies.changed(service)} <= set(owned_by(service, "derived"))


def test_an_edit_of_the_same_line_is_a_conflict_that_shows_both(
    next_release: None, lived_in: Path, tmp_path: Path
) -> None:
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


# Each value is left once, and arrived at once.
CHANGES = [(name, *change) for name, values in copies.choices().items() for change in pairwise([*values, values[0]])]
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
    assert copies.contents(service) == expected_after(copies.contents(before), fresh)
    assert empty_folders(service) == []


def test_services_of_the_two_releases_before_can_be_updated(tmp_path: Path) -> None:
    template = tmp_path / "twelvefold"
    copies.git(copies.ROOT, "clone", "--quiet", copies.ROOT, template)
    try:
        tag_missing(template)
        supported = releases(template)[-2:]
    except HistoryError as error:
        pytest.skip(f"not run: {error}")
    if not supported:
        pytest.skip("not run: there has been no release yet")
    copies.clone_work_tree(template, "999.0.0")
    for tag, _ in supported:
        service = tmp_path / tag / "orders"
        told = copies.copier_command("copy", "--defaults", "--vcs-ref", tag, template, service, cwd=tmp_path)
        assert told.returncode == 0, told.stderr
        copies.commit(service, "Begin the service")
        begun = copies.contents(service)
        told = copies.copier_command("update", "--defaults", cwd=service)
        assert told.returncode == 0, told.stderr
        answers = {name: answer for name, answer in copies.answers(service).items() if not name.startswith("_")}
        fresh = copies.generate_committed(template, tmp_path / "fresh" / tag / "orders", **answers)
        assert copies.contents(service) == expected_after(begun, fresh)


def test_an_edited_service_of_the_release_before_keeps_its_edits(tmp_path: Path) -> None:
    template = tmp_path / "twelvefold"
    copies.git(copies.ROOT, "clone", "--quiet", copies.ROOT, template)
    try:
        tag_missing(template)
        tag = releases(template)[-1].tag
    except (HistoryError, IndexError) as error:
        pytest.skip(f"not run: {error or 'there has been no release yet'}")
    service = tmp_path / "orders"
    python = f"python={copies.default_python()}"
    told = copies.copier_command(
        "copy", "--defaults", "--vcs-ref", tag, "--data", python, template, service, cwd=tmp_path
    )
    assert told.returncode == 0, told.stderr
    add(service / "src/orders/web/app.py", OWN_FUNCTION)
    add(service / "src/orders/notes/__init__.py", "\nOWN = 1\n")
    replace(service / "src/orders/settings.py", r"^(?=    log_level: )", NEW_SETTING)
    (service / "migrations/versions/0100_invoices.py").write_text(OWN_MIGRATION.replace("None", '"0001"', 1))
    copies.commit(service, "Begin our own service")
    copies.clone_work_tree(template, "999.0.0")
    told = copies.copier_command("update", "--defaults", cwd=service)
    assert told.returncode == 0, told.stderr
    assert OWN_FUNCTION in (service / "src/orders/web/app.py").read_text()
    assert NEW_SETTING in (service / "src/orders/settings.py").read_text()
    assert "OWN = 1" in (service / "src/orders/notes/__init__.py").read_text()


def test_a_changed_python_gives_a_service_that_passes_its_own_checks(copier_template: Path, tmp_path: Path) -> None:
    here = [minor for minor in copies.choices()["python"] if real_interpreter(minor)]
    if len(here) < 2:
        pytest.skip(f"not run: no second Python here, only {here}")
    old, new = here[0], here[-1]
    service = copies.generate_committed(copier_template, tmp_path / "orders", python=old)
    copies.make(service, "setup")
    copies.commit(service, "Lock the packages")
    copies.update(service, python=new)
    copies.make(service, "setup", "lint")
    copies.run_starting_tests(service)
    assert f'requires-python = ">={new}"' in (service / "uv.lock").read_text()


def test_a_renamed_service_keeps_its_package_and_passes_its_own_checks(copier_template: Path, tmp_path: Path) -> None:
    service = copies.generate(copier_template, tmp_path / "orders", python=copies.default_python())
    add(service / "src/orders/web/app.py", OWN_FUNCTION)
    copies.commit(service, "Begin the service")
    copies.update(service, name="order-history")
    assert OWN_FUNCTION in (service / "src/orders/web/app.py").read_text()
    assert not [line for line in copies.changed(service) if not line.startswith(" M ")]
    copies.make(service, "setup", "derive", "lint")
    copies.run_starting_tests(service)
    copies.run(service / ".venv/bin/order-history", "--version", cwd=service)


def add(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def replace(path: Path, pattern: str, text: str) -> None:
    """Puts a text in the one place of a file that a pattern matches."""
    edited, times = re.subn(pattern, lambda _: text, path.read_text(), flags=re.MULTILINE)
    assert times == 1, f"{path} has {pattern!r} {times} times"
    path.write_text(edited)


def expected_after(before: dict[str, str], fresh: Path) -> dict[str, str]:
    """What an update gives to a service on which nobody has worked: starters and derived files stay as they were.

    Also those that a new service would not have: they are the team's, who deletes them.
    """
    ownership = copies.ownership(fresh)
    ownership["derived"] = sorted({*ownership["derived"], "openapi.json"})
    ownership["starter"] = sorted({*ownership["starter"], "claims/"})
    left_alone = {name for name in before.keys() | copies.contents(fresh) if is_left_alone(name, ownership)}
    new = {name: text for name, text in copies.contents(fresh).items() if name not in left_alone}
    return new | {name: text for name, text in before.items() if name in left_alone}


def is_left_alone(name: str, ownership: dict[str, list[str]]) -> bool:
    return copies.owner_of(name, ownership) in ("starter", "derived")


def owned_by(service: Path, owner: str) -> list[str]:
    ownership = copies.ownership(service)
    return [name for name in copies.rendered(service) if copies.owner_of(name, ownership) == owner]


def empty_folders(service: Path) -> list[Path]:
    folders = (path for path in service.rglob("*") if path.is_dir() and ".git" not in path.relative_to(service).parts)
    return [folder for folder in folders if not any(folder.iterdir())]
