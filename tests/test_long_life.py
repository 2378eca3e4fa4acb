"""A service of any release, on which a team has worked, arrives at what lies here with all of its work.

One of the first release runs all of its own tests and is proved by the fast experiments; the others run the tests that
start every process. A release whose template is what lies here has no way to go. With `EVERYTHING=1`, as `nox -s lives`
has it, all of them run everything.
"""

import os
import subprocess
import sys
from pathlib import Path

import copier
import pytest

from hooks.releases import HistoryError, Release, releases, tag_missing

from . import copies
from .interpreters import real_interpreter
from .small_templates import safe_update

# What a team may have answered, and the release since which it is asked.
PRESETS: dict[str, tuple[dict[str, object], str]] = {
    "default": ({}, "v0.1.0"),
    "worker and clock": ({"shape": "worker-clock"}, "v0.2.0"),
    "with a cache": ({"cache": True}, "v0.2.0"),
}

# What the changelog asks of a team: `factors.toml` describes the example, of which this service has an older one.
OF_THE_EXAMPLE = {
    'body = { text = "{marker}", author = "{email}" }': 'body = { text = "{marker}" }',
    'purge = "orders admin purge-person {email}"\n': "",
    'others = ["orders admin export-person {email}"]\n': "",
}
OWN_ONE_OFF = '''\
"""The one-offs of the notes."""

import sys

from ..admin import Admin, one_off


@one_off(prints=True)
async def report(admin: Admin) -> None:
    """Prints how many notes there are."""
    async with admin.resources.postgres.connection() as connection:
        (number,) = await (await connection.execute("select count(*) from notes")).fetchone() or (0,)
    sys.stdout.write(f"{number}\\n")
'''
ALL = bool(os.environ.get("EVERYTHING"))

LOGO = b"\x89PNG\r\n\x1a\n\x00\xff"
OWN_PAGE = "# What an invoice is\n\nA debt, with a date.\n"
OWN_MODULE = '"""What a customer owes."""\n\nTAX = 19\n'
OWN_TEST = '''\
"""What a customer owes."""

from orders.invoices import TAX


def test_the_tax_is_the_usual_one() -> None:
    """The rate of 2026."""
    assert TAX == 19
'''
OWN_SETTING = '    region: str = Field("eu", description="Where this runs.")\n'
OWN_TARGET = "\nseed: ## Fill the database with samples\n\t@true\n"
OWN_FUNCTION = '''

def of_the_team() -> int:
    """The team's own line in a file that the template maintains."""
    return 1
'''
OWN_MIGRATION = '''\
"""Add the table of invoices."""

from alembic import op

revision = "0100"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the table."""
    op.execute("create table invoices (id bigint primary key)")


def downgrade() -> None:
    """Drops the table."""
    op.execute("drop table invoices")
'''


def known() -> list[Release]:
    """The releases in this repository's history; none where it is not all here."""
    try:
        return releases(copies.ROOT)
    except HistoryError:
        return []


def makes_the_same(release: Release) -> bool:
    """Whether a release makes of the same answers what is made by what lies here."""
    what = ("copier.yml", "profile.yml", "reserved.yml", "licences", "template")
    return not copies.git(copies.ROOT, "diff", "--name-only", release.commit, "--", *what)


def number(tag: str) -> tuple[int, ...]:
    return tuple(map(int, tag.removeprefix("v").split(".")))


RELEASES = [release.tag for release in known() if ALL or not makes_the_same(release)]
LIVES = [(tag, preset) for preset, (_, since) in PRESETS.items() for tag in RELEASES if number(tag) >= number(since)]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template with all its releases, and what lies here as the newest."""
    folder = tmp_path_factory.mktemp("lives") / "twelvefold"
    copies.git(copies.ROOT, "clone", "--quiet", copies.ROOT, folder)
    tag_missing(folder)
    return copies.clone_work_tree(folder, "999.0.0")


@pytest.mark.parametrize(("tag", "preset"), LIVES, ids=[f"{tag} {preset}" for tag, preset in LIVES])
def test_a_service_arrives_with_its_work_and_its_tests(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str, preset: str
) -> None:
    service = tmp_path / "orders"
    answers = {"python": copies.default_python(), **PRESETS[preset][0]}
    copier.run_copy(str(template), service, answers, vcs_ref=tag, defaults=True, quiet=True)
    copies.commit(service, "Begin the service")
    for work in (begin_invoices, configure, document, clean_up):
        work(service)
        copies.commit(service, f"{work.__name__.replace('_', ' ').capitalize()}")
    done = team_s_lines(service)

    with monkeypatch.context() as environment:
        for name, value in copies.service_environment(real_interpreter(copies.default_python())).items():
            environment.setenv(name, value)
        told = safe_update(service, derive=True)

    assert told.code == 0, told.summary
    assert not told.summary["not_derived"]
    assert "uv.lock" in told.files["made_again"]
    assert {name: lines for name, lines in done.items() if not has(service, name, lines)} == {}
    assert not (service / ".editorconfig").exists()
    copies.make(service, "setup", "derive")
    assert copies.changed(service) == []
    run_tests(service, every=ALL or tag == RELEASES[0])
    assert safe_update(service).summary["outcome"] == "up to date"
    if tag == RELEASES[0]:
        describe(service)
        prove(service)


def begin_invoices(service: Path) -> None:
    """A module, its test and its table."""
    (service / "src/orders/invoices.py").write_text(OWN_MODULE)
    (service / "tests/test_invoices.py").write_text(OWN_TEST)
    versions = service / "migrations/versions"
    newest = max(path.name.partition("_")[0] for path in versions.glob("[0-9]*_*.py"))
    (versions / "0100_invoices.py").write_text(OWN_MIGRATION.replace("{before}", newest))


def configure(service: Path) -> None:
    """A setting, a target of make, a function, each in a file of the template's."""
    settings = service / "src/orders/settings.py"
    text = settings.read_text()
    assert text.count("    log_level: ") == 1
    settings.write_text(text.replace("    log_level: ", f"{OWN_SETTING}    log_level: "))
    for name, lines in (("Makefile", OWN_TARGET), ("src/orders/logs.py", OWN_FUNCTION)):
        with (service / name).open("a") as file:
            file.write(lines)


def document(service: Path) -> None:
    """A page, a picture, and a part of the README."""
    (service / "docs/invoices.md").write_text(OWN_PAGE)
    (service / "docs/logo.png").write_bytes(LOGO)
    with (service / "README.md").open("a") as file:
        file.write("\n## On call\n\nAsk the team.\n")


def clean_up(service: Path) -> None:
    """A file that the team does not want, and one that it wants elsewhere."""
    (service / ".editorconfig").unlink()


def team_s_lines(service: Path) -> dict[str, bytes]:
    """What a team has written, by the file in which it stands."""
    return {
        "src/orders/invoices.py": OWN_MODULE.encode(),
        "tests/test_invoices.py": OWN_TEST.encode(),
        "migrations/versions/0100_invoices.py": (service / "migrations/versions/0100_invoices.py").read_bytes(),
        "src/orders/settings.py": OWN_SETTING.encode(),
        "Makefile": OWN_TARGET.encode(),
        "src/orders/logs.py": OWN_FUNCTION.encode(),
        "docs/invoices.md": OWN_PAGE.encode(),
        "docs/logo.png": LOGO,
        "README.md": b"\n## On call\n\nAsk the team.\n",
    }


def has(service: Path, name: str, lines: bytes) -> bool:
    path = service / name
    return path.is_file() and lines in path.read_bytes()


def describe(service: Path) -> None:
    """Says in `factors.toml` what this service has, and gives it the one-off that is tried."""
    contract = service / "factors.toml"
    text = contract.read_text()
    for old, new in OF_THE_EXAMPLE.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    contract.write_text(text)
    (service / "src/orders/notes/admin.py").write_text(OWN_ONE_OFF)
    copies.make(service, "lint")
    copies.commit(service, "Describe what this service has")


def run_tests(service: Path, *, every: bool) -> None:
    """Runs its own tests, or those that start every process type, since all of them take minutes."""
    if every:
        copies.make(service, "lint", "test")
    else:
        copies.run_starting_tests(service)


def prove(service: Path) -> None:
    """Has the experiments run on it, and expects none to be red."""
    selection = [] if ALL else ["--fast"]
    done = subprocess.run(
        [sys.executable, "-m", "twelvefold", "prove", str(service), *selection],
        env=os.environ | {"PYTHONPATH": str(copies.ROOT / "src")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout
