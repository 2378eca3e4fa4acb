"""The check of `make lint` that every migration keeps the release before it working."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from dev import migrations, postgres

KNOWN = """
    CREATE TYPE mood AS ENUM ('glad', 'sad');
    CREATE DOMAIN slug AS text;
    CREATE FUNCTION half(whole integer) RETURNS integer LANGUAGE sql RETURN whole / 2;
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TYPE point3 AS (x integer, y integer, z integer);
    CREATE TYPE days AS RANGE (subtype = date);
    CREATE EXTENSION citext;
    CREATE SEQUENCE numbers;
    CREATE TABLE people (email text PRIMARY KEY, number serial);
    CREATE TABLE tags (author text REFERENCES people);
    CREATE TABLE notes (
        id uuid PRIMARY KEY DEFAULT uuidv7(),
        text text NOT NULL,
        author text,
        title varchar(50),
        rank integer DEFAULT 0,
        price numeric(10, 2),
        mood mood,
        slug slug,
        created_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (author, title)
    );
    CREATE INDEX by_author ON notes (author);
    CREATE VIEW texts AS SELECT text, author FROM notes;
    CREATE TRIGGER touched BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION touch();
    CREATE POLICY open ON notes USING (true);
    GRANT SELECT ON notes TO PUBLIC;
    CREATE SCHEMA billing;
    CREATE TABLE billing.invoices (id uuid PRIMARY KEY);
"""

REWRITTEN = "notes is rewritten or emptied, and locked meanwhile"
BUILT = "notes cannot be written while its index is built"
HALF = "half(whole integer) returning integer"

BREAKING = [
    ("DROP TABLE people CASCADE", {"people is gone"}),
    ("DROP TABLE notes CASCADE", {"notes is gone", "texts is gone"}),
    ("DROP SCHEMA billing CASCADE", {"schema billing is gone", "billing.invoices is gone"}),
    ("DROP VIEW texts", {"texts is gone"}),
    ("DROP SEQUENCE numbers", {"numbers is gone"}),
    ("DROP DOMAIN slug CASCADE", {"type slug is gone", "notes.slug is gone"}),
    ("DROP TYPE mood CASCADE", {"type mood is gone", "notes.mood is gone"}),
    ("DROP TYPE point3", {"type point3 is gone"}),
    ("DROP TYPE days", {"type days is gone"}),
    ("DROP FUNCTION half", {f"function {HALF} is gone"}),
    ("DROP TRIGGER touched ON notes", {"notes has lost its trigger touched"}),
    ("DROP POLICY open ON notes", {"notes has lost its policy open"}),
    ("DROP EXTENSION plpgsql CASCADE", {"extension plpgsql is gone", "notes has lost its trigger touched"}),
    ("DROP EXTENSION citext", {"extension citext is gone"}),
    ("ALTER TABLE people DROP number", {"people.number is gone"}),
    ("ALTER TABLE notes DROP rank", {"notes.rank is gone"}),
    ("DO 'BEGIN EXECUTE ''ALTER TABLE notes '' || ''DROP rank''; END'", {"notes.rank is gone"}),
    ("SET LOCAL search_path TO billing; ALTER TABLE public.notes DROP rank", {"notes.rank is gone"}),
    ("ALTER TABLE notes DROP rank, ADD rank integer DEFAULT 0", {"notes.rank is made anew, without its values"}),
    ("ALTER TABLE tags RENAME TO labels", {"tags is gone"}),
    ("ALTER TABLE tags SET SCHEMA billing", {"tags is gone"}),
    ("ALTER SCHEMA billing RENAME TO bills", {"schema billing is gone", "billing.invoices is gone"}),
    ("ALTER TABLE notes RENAME rank TO place", {"notes.rank is gone"}),
    ("ALTER VIEW texts RENAME TO bodies", {"texts is gone"}),
    ("ALTER VIEW texts RENAME text TO body", {"texts.text is gone"}),
    ("ALTER FUNCTION half RENAME TO part", {f"function {HALF} is gone"}),
    ("ALTER TYPE mood RENAME TO air", {"type mood is gone", "notes.mood is no longer of type public.mood"}),
    ("ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'", {"type mood has lost its value sad"}),
    ("ALTER TABLE notes ALTER rank TYPE text", {"notes.rank is no longer of type integer", REWRITTEN}),
    ("ALTER TABLE notes ALTER title TYPE varchar(20)", {REWRITTEN}),
    ("ALTER TABLE notes ALTER price TYPE numeric(8, 2)", {REWRITTEN}),
    (
        "ALTER TABLE notes ALTER created_at TYPE timestamp",  # without a rewrite where the time zone is UTC
        {"notes.created_at is no longer of type timestamp with time zone"},
    ),
    ("ALTER TABLE notes ADD number bigserial", {REWRITTEN}),
    ("TRUNCATE notes", {REWRITTEN}),
    ("ALTER TABLE notes ADD kind text NOT NULL", {"notes.kind must be given"}),
    ("ALTER TABLE notes ADD kind text; ALTER TABLE notes ALTER kind SET NOT NULL", {"notes.kind must be given"}),
    ("ALTER TABLE notes ADD kind text CHECK (kind IS NOT NULL)", {"notes.kind must be given"}),
    ("ALTER TABLE notes ALTER author SET NOT NULL", {"notes.author must be given"}),
    ("ALTER TABLE notes ADD CHECK (author IS NOT NULL) NOT VALID", {"notes.author must be given"}),
    ("ALTER TABLE notes ALTER rank SET NOT NULL", {"notes.rank may not be null"}),
    ("ALTER TABLE notes ALTER rank DROP DEFAULT", {"notes.rank has lost its default"}),
    ("ALTER TABLE notes ALTER created_at DROP DEFAULT", {"notes.created_at must be given"}),
    ("ALTER TABLE notes ADD CHECK (rank > 0) NOT VALID", {"notes must obey CHECK ((rank > 0))"}),
    ("ALTER TABLE notes ADD low integer CHECK (low < rank)", {"notes must obey CHECK ((low < rank))"}),
    ("ALTER DOMAIN slug ADD CHECK (value <> '')", {"slug must obey CHECK ((VALUE <> ''::text))"}),
    (
        "ALTER TABLE notes ADD FOREIGN KEY (author) REFERENCES people NOT VALID",
        {"notes must obey FOREIGN KEY (author) REFERENCES public.people(email)"},
    ),
    ("ALTER TABLE notes ADD UNIQUE (text)", {"notes must be unique (text)", BUILT}),
    ("CREATE UNIQUE INDEX ON notes (lower(text))", {"notes must be unique (lower(text))", BUILT}),
    ("ALTER TABLE notes ADD kind text DEFAULT '' UNIQUE", {"notes must be unique (kind)", BUILT}),
    ("ALTER TABLE notes ADD kind text UNIQUE NULLS NOT DISTINCT", {"notes must be unique (kind)", BUILT}),
    ("ALTER TABLE notes ADD kind text UNIQUE", {BUILT}),
    ("ALTER TABLE notes ADD kind text, ADD UNIQUE (author, kind)", {BUILT}),
    ("ALTER TABLE notes ADD kind text; CREATE UNIQUE INDEX ON notes (lower(kind))", {BUILT}),
    (
        "CREATE UNIQUE INDEX ON notes (text) WHERE rank > 0",
        {"notes must be unique (text) WHERE (rank > 0)", BUILT},
    ),
    (
        "ALTER TABLE notes ADD EXCLUDE USING btree (text WITH =)",
        {"notes must obey EXCLUDE USING btree (text WITH =)", BUILT},
    ),
    (
        "ALTER TABLE notes DROP CONSTRAINT notes_author_title_key",
        {"notes is no longer unique (author, title), as ON CONFLICT may need"},
    ),
    (
        "ALTER TABLE notes ALTER rank SET NOT NULL, ALTER rank DROP DEFAULT,"
        " ALTER rank ADD GENERATED ALWAYS AS IDENTITY",
        {"notes.rank may not be null", "notes.rank may not be written"},
    ),
    ("ALTER TABLE notes ENABLE ROW LEVEL SECURITY", {"notes shows and takes only the rows that a policy allows"}),
    ("REVOKE SELECT ON notes FROM PUBLIC", {"PUBLIC has lost SELECT on notes"}),
    (f"REVOKE INSERT ON people FROM {postgres.USER}", {f"{postgres.USER} has lost INSERT on people"}),
    ("REVOKE EXECUTE ON FUNCTION half FROM PUBLIC", {f"PUBLIC has lost EXECUTE on {HALF}"}),
    ("CREATE INDEX ON notes (created_at)", {BUILT}),
]

HARMLESS = [
    "CREATE TABLE labels (name text NOT NULL UNIQUE CHECK (name <> ''), author text REFERENCES people)",
    "CREATE TABLE labels (name text); CREATE INDEX ON labels (name); ALTER TABLE labels RENAME name TO label",
    "CREATE TABLE labels (name text); DROP TABLE labels",
    "CREATE FUNCTION twice(integer) RETURNS integer LANGUAGE sql RETURN $1 * 2; DROP FUNCTION twice",
    "ALTER TABLE notes ADD kind text",
    "ALTER TABLE notes ADD kind text NOT NULL DEFAULT ''",
    "ALTER TABLE notes ADD kind text NOT NULL; ALTER TABLE notes ALTER kind SET DEFAULT ''",
    "ALTER TABLE notes ADD kind text CHECK (kind <> '')",
    "ALTER TABLE notes ADD kind text REFERENCES people",
    "ALTER TABLE notes ADD kind varchar(50), ADD FOREIGN KEY (text, kind) REFERENCES notes (author, title)",
    "ALTER TABLE notes ADD shout text GENERATED ALWAYS AS (upper(text)) VIRTUAL",
    "ALTER TABLE notes ALTER title TYPE varchar(80)",
    "ALTER TABLE notes ALTER title TYPE text",
    "ALTER TABLE notes ALTER price TYPE numeric(12, 2)",
    "ALTER TABLE notes ALTER text DROP NOT NULL",
    "ALTER TABLE notes ALTER text SET DEFAULT ''",
    "ALTER TABLE notes ALTER rank SET DEFAULT 1",
    "ALTER TABLE notes RENAME CONSTRAINT notes_author_title_key TO one",
    "ALTER TABLE tags DROP CONSTRAINT tags_author_fkey",
    "ALTER INDEX by_author RENAME TO author",
    "DROP INDEX by_author",
    "ALTER TYPE mood ADD VALUE 'mad'",
    "CREATE OR REPLACE VIEW texts AS SELECT text, author, rank FROM notes",
    "DROP VIEW texts; CREATE VIEW texts AS SELECT author, text, rank FROM notes",
    "CREATE OR REPLACE FUNCTION half(whole integer) RETURNS integer LANGUAGE sql RETURN whole >> 1",
    "CREATE TRIGGER copied BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION touch()",
    "GRANT INSERT ON notes TO PUBLIC",
    "COMMENT ON TABLE notes IS 'what people write'",
    "INSERT INTO people VALUES ('ada@example.com'); UPDATE people SET email = 'ada'; DELETE FROM people",
]


@pytest.fixture(scope="module")
def server_url(database_url: str) -> str:
    return database_url


@contextmanager
def empty(server: str) -> Iterator[str]:
    """An empty database beside another, for as long as it is needed."""
    name = f"empty_{uuid4().hex}"
    yield postgres.create_database(server, name)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def known(database_url: str) -> Iterator[psycopg.Connection]:
    """A database with the schema that the release before knows."""
    with empty(database_url) as url, psycopg.connect(url) as connection:
        connection.execute(migrations.CATALOG)
        connection.execute(KNOWN)
        connection.commit()
        yield connection


def broken(known: psycopg.Connection, statements: str) -> set[str]:
    with known.transaction(force_rollback=True):
        before = migrations.catalog(known)
        known.execute(statements)
        keys = migrations.breaks(before, migrations.catalog(known))
    return {migrations.BREAKS[kind][0].format(*path) for kind, path in keys}


@pytest.mark.parametrize(("statements", "what"), BREAKING, ids=[statements for statements, _ in BREAKING])
def test_what_breaks_the_release_before_is_seen(known: psycopg.Connection, statements: str, what: set[str]) -> None:
    assert broken(known, statements) == what


@pytest.mark.parametrize("statements", HARMLESS)
def test_what_the_release_before_can_live_with_passes(known: psycopg.Connection, statements: str) -> None:
    assert broken(known, statements) == set()


@dataclass
class Service:
    """A repository with migrations, each branch in a line."""

    root: Path
    server: str
    heads: dict[str, str] = field(default_factory=dict)

    def migrate(self, *statements: str, contracts: str | None = None, branch: str = "versions") -> str:
        """Adds a migration; returns how findings call it."""
        down = self.heads.get(branch)
        revision = self.heads[branch] = f"{branch[0]}{int(down[1:]) + 1 if down else 1}"
        lines = [f"op.execute({statement!r})" for statement in statements]
        blocks = [f"with op.get_context().autocommit_block(): {line}" if "CONC" in line else line for line in lines]
        file = self.root / "migrations" / branch / f"{revision}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(
            f"from alembic import op\n{revision=}\ndown_revision={down!r}\n"
            f"branch_labels={(branch,) if branch == 'platform' and not down else None}\n"
            + (f"{contracts=}\n" if contracts else "")
            + "def upgrade():\n    "
            + "\n    ".join(blocks)
        )
        return f"migrations/{branch}/{revision}.py ({revision})"

    def release(self, name: str) -> None:
        """Commits and tags what there is."""
        self.git("add", ".")
        self.git("commit", "--allow-empty", "--message", name)
        self.git("tag", name)

    def git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.root, check=True, capture_output=True)

    def check(self) -> list[str]:
        """What is wrong."""
        folder = self.root / "migrations"
        release = migrations.release_before(folder)
        with empty(self.server) as one, empty(self.server) as other:
            return migrations.check(one, folder, release) and migrations.check(other, folder, release, closely=True)


@pytest.fixture
def service(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Service:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for person in "AUTHOR", "COMMITTER":
        monkeypatch.setenv(f"GIT_{person}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{person}_EMAIL", "ada@example.com")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    (tmp_path / "migrations").mkdir()
    shutil.copy(migrations.FOLDER / "env.py", tmp_path / "migrations")
    service = Service(tmp_path, database_url)
    service.git("init")
    service.migrate("CREATE TABLE notes (text text, author text)")
    return service


def test_a_finding_names_the_file_the_statement_and_the_way_out(service: Service) -> None:
    place = service.migrate("ALTER TABLE notes ADD kind text", "ALTER TABLE notes\n  DROP author")
    assert service.check() == [
        f"{place}: ALTER TABLE notes DROP author\n  notes.author is gone. "
        "Add the new one beside it, let this release do without the old, and take that away in a later one."
    ]


def test_only_what_a_migration_leaves_behind_matters(service: Service) -> None:
    service.migrate("CREATE FUNCTION one() RETURNS integer LANGUAGE sql RETURN 1")
    service.migrate("DROP FUNCTION one", "CREATE FUNCTION one() RETURNS integer LANGUAGE sql RETURN 1")
    service.migrate("UPDATE notes SET author = 'Ada'", "ALTER TABLE notes RENAME author TO a", "DELETE FROM notes")
    service.migrate("ALTER TABLE notes RENAME a TO author")
    assert [finding.splitlines()[0] for finding in service.check()] == [
        "migrations/versions/v4.py (v4): ALTER TABLE notes RENAME author TO a",
        "migrations/versions/v5.py (v5): ALTER TABLE notes RENAME a TO author",
    ]


def test_an_index_is_built_concurrently(service: Service) -> None:
    service.migrate("CREATE INDEX CONCURRENTLY ON notes (text)", "UPDATE notes SET text = ''")
    assert service.check() == []
    place = service.migrate("CREATE INDEX ON notes (author)")
    assert service.check() == [
        f"{place}: CREATE INDEX ON notes (author)\n"
        "  notes cannot be written while its index is built. Build it CONCURRENTLY, in an autocommit_block()."
    ]


def test_a_rule_may_come_in_steps(service: Service) -> None:
    service.migrate(
        "ALTER TABLE notes ADD CONSTRAINT given CHECK (author IS NOT NULL) NOT VALID", contracts="v1: always given"
    )
    service.migrate("ALTER TABLE notes VALIDATE CONSTRAINT given")
    service.migrate("ALTER TABLE notes ALTER author SET NOT NULL")
    service.migrate("ALTER TABLE notes DROP CONSTRAINT given")
    assert service.check() == []


def test_where_no_release_is_known_each_migration_counts_as_one(service: Service) -> None:
    service.migrate("CREATE TABLE tags (name text)")
    place = service.migrate("ALTER TABLE tags RENAME name TO label")
    service.migrate("ALTER TABLE tags ADD name text")
    assert migrations.release_before(service.root / "migrations") is None
    assert [finding.partition(": ")[0] for finding in service.check()] == [place]


def test_what_no_release_has_may_change(service: Service) -> None:
    service.release("v1.0.0")
    service.migrate("CREATE TABLE tags (name text)")
    service.migrate("ALTER TABLE tags RENAME name TO label", contracts="v2: not released")
    assert service.check() == []
    place = service.migrate("ALTER TABLE notes DROP author")
    service.migrate("CREATE INDEX ON tags (label)")
    assert [finding.partition(": ")[0] for finding in service.check()] == [place]


def test_a_release_is_complete_before_what_comes_after_it(service: Service) -> None:
    service.migrate("CREATE TABLE queue (job text)", branch="platform")
    service.release("v1.0.0")
    place = service.migrate("ALTER TABLE notes RENAME TO texts", branch="platform")
    assert [finding.partition(": ")[0] for finding in service.check()] == [place]


def test_the_release_before_is_the_newest_that_lacks_a_migration(service: Service) -> None:
    def before() -> str:
        release = migrations.release_before(service.root / "migrations")
        return release.name if release else ""

    service.release("v1.8.0")
    service.release("v1.9.0")
    assert before() == "v1.8.0"
    service.git("switch", "--create", "other")
    service.release("v2.0.0")
    service.git("switch", "-")
    service.migrate("CREATE TABLE tags (name text)")
    assert before() == "v1.9.0"
    service.release("v1.10.0")
    assert before() == "v1.9.0"
    service.migrate("DROP TABLE tags")
    assert before() == "v1.10.0"


def test_a_shallow_clone_knows_no_release(service: Service) -> None:
    service.release("v1.0.0")
    service.git("clone", "--depth=1", service.root.as_uri(), "clone")
    assert migrations.release_before(service.root / "clone" / "migrations") is None


def test_what_was_declared_may_go(service: Service) -> None:
    service.migrate("ALTER TABLE notes ADD writer text")
    service.migrate("ALTER TABLE notes DROP author", contracts="v2: 1.1.0 reads writer instead")
    assert service.check() == []


@pytest.mark.parametrize("contracts", ["v9: unknown", "v3: itself", "v2: "])
def test_a_declaration_names_a_migration_before_it_and_says_why(service: Service, contracts: str) -> None:
    service.migrate("ALTER TABLE notes ADD writer text")
    place = service.migrate("ALTER TABLE notes DROP author", contracts=contracts)
    assert service.check() == [
        f'{place}: contracts has to read "REVISION: reason", with a migration that comes before.'
    ]


def test_what_is_declared_has_to_be_released_before(service: Service) -> None:
    service.release("v1.0.0")
    service.migrate("ALTER TABLE notes ADD writer text")
    place = service.migrate("ALTER TABLE notes DROP author", contracts="v2: writer is read instead")
    assert service.check() == [
        f"{place}: v1.0.0 was made before v2 and may need what this takes away. Leave it to a release after that of v2."
    ]
    file = service.root / f"migrations/versions/{service.heads['versions']}.py"
    dropped = file.read_text()
    file.unlink()
    service.release("v1.1.0")
    file.write_text(dropped)
    assert service.check() == []


def test_a_migration_that_cannot_run_is_named(service: Service) -> None:
    service.migrate("SELECT 1 / 0")
    file = service.root / "migrations/versions/v2.py"
    assert service.check() == [f"{file} cannot run on an empty database: division by zero"]


def test_the_command_fails_when_something_is_wrong(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> tuple[int, str]:
        with empty(service.server) as one, empty(service.server) as other, monkeypatch.context() as patch:
            patch.chdir(service.root)
            patch.setattr(postgres, "server", lambda *_, **__: nullcontext(one))
            patch.setattr(postgres, "create_database", lambda *_: other)
            return migrations.main(), capsys.readouterr().out

    service.release("v1.0.0")
    assert run() == (0, "Every migration was compared with v1.0.0\n")
    place = service.migrate("DROP TABLE notes")
    code, output = run()
    assert code == 1
    assert output.startswith(f"{place}: DROP TABLE notes\n  notes is gone. ")
