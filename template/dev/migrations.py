"""Checks that every migration keeps the release before it working, since a rollback runs its code on the new schema.

It runs the migrations on an empty PostgreSQL and looks at what each one makes of the schema: whatever is gone, or asked
for anew, breaks code that was written before. A migration that takes away what is no longer used says so, as in
`contracts = "0003: 1.4.0 reads body instead"`, and names a migration of the release since when this is so.

The release before is the newest tag (v1.2.3) that lacks some of the migrations. Where no tag is known, as in a shallow
clone, each migration counts as released before the next.
"""

import re
import subprocess
import sys
import textwrap
import traceback
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import create_engine, event
from sqlalchemy.pool import NullPool

from dev import postgres

FOLDER = Path("migrations")
BRANCHES = "platform", "versions"
CATALOG = Path(__file__).with_name("catalog.sql").read_text()

BESIDE = "Add the new one beside it, let this release do without the old, and take that away in a later one."
LATER = "Let this release do without it, and take it away in a later one."
GIVE = "Give it a default, or let this release always write it and a later one demand it."
OBEY = "Let this release comply, and have the database demand it in a later one."
DECLARE = 'What no code needs any more may go, if the migration says since when: contracts = "REVISION: reason"'

# What breaks code that was written before, by the kinds of `catalog.sql`, and what to do instead.
BREAKS = {
    "schema": ("schema {0} is gone", BESIDE),
    "relation": ("{0} is gone", BESIDE),
    "rows": ("{0} is rewritten or emptied, and locked meanwhile", BESIDE),
    "column": ("{0}.{1} is gone", BESIDE),
    "values": ("{0}.{1} is made anew, without its values", BESIDE),
    "column type": ("{0}.{1} is no longer of type {2}", BESIDE),
    "default": ("{0}.{1} has lost its default", LATER),
    "key": ("{0} is no longer {1}, as ON CONFLICT may need", LATER),
    "trigger": ("{0} has lost its trigger {1}", LATER),
    "policy": ("{0} has lost its policy {1}", LATER),
    "type": ("type {0} is gone", BESIDE),
    "value": ("type {0} has lost its value {1}", BESIDE),
    "function": ("function {0} is gone", BESIDE),
    "extension": ("extension {0} is gone", LATER),
    "privilege": ("{1} has lost {2} on {0}", LATER),
    "required": ("{0}.{1} must be given", GIVE),
    "not null": ("{0}.{1} may not be null", GIVE),
    "identity": ("{0}.{1} may not be written", OBEY),
    "unique": ("{0} must be {1}", OBEY),
    "constraint": ("{0} must obey {1}", OBEY),
    "row security": ("{0} shows and takes only the rows that a policy allows", OBEY),
    "index": ("{0} cannot be written while its index is built", "Build it CONCURRENTLY, in an autocommit_block()."),
}

Key = tuple[str, tuple[str, ...]]  # a kind and a path, such as ("column", ("notes", "text"))
Catalog = dict[Key, list[set[str]]]  # where something is asked: of code that knows these columns, or those


class Release(NamedTuple):
    """A release, and the files of its migrations."""

    name: str
    files: set[str]


class Watcher:
    """Follows migrations in a database, and collects what they break."""

    def __init__(self, database: psycopg.Connection, release: Release | None) -> None:
        self.database, self.release = database, release
        self.applied: dict[str, Script] = {}
        self.known: Catalog = {}  # to code of the release before
        self.broken: dict[Key, str] = {}  # by which statement
        self.told: set[Key] = set()
        self.findings: list[str] = []

    def start(self, applied: dict[str, Script]) -> None:
        """Takes what there is now for what the release before knows."""
        self.applied = applied
        self.database.execute(CATALOG)
        self.known = catalog(self.database)
        self.database.commit()

    def look(self, statement: str) -> Catalog:
        """Finds what is broken after a statement."""
        now = catalog(self.database)
        broken = breaks(self.known, now)
        kept = {key: cause for key, cause in self.broken.items() if key in broken}
        self.broken = kept | dict.fromkeys(sorted(broken - kept.keys()), statement)
        return now

    def on_executed(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        """Follows SQLAlchemy's event `after_cursor_execute`."""
        self.look(statement)

    def on_applied(self, *, step: Any, **_: Any) -> None:
        """Follows alembic's event `on_version_apply`, at the end of each migration."""
        now = self.look("upgrade()")
        fresh = {key: statement for key, statement in self.broken.items() if key not in self.told}
        self.findings += self._judge(step.up_revision, fresh)
        self.told = set(self.broken)
        self.applied[step.up_revision_id] = step.up_revision
        if self.release is None:
            self.known = now

    def _judge(self, script: Script, broken: dict[Key, str]) -> list[str]:
        place = f"{FOLDER}/{file(script)} ({script.revision})"
        if hasattr(script.module, "contracts"):
            declared = re.fullmatch(r"(\S+): \S.*", str(script.module.contracts), re.DOTALL)
            since = self.applied.get(declared[1]) if declared else None
            if since is None:
                return [f'{place}: contracts has to read "REVISION: reason", with a migration that comes before.']
            if broken and self.release and file(since) not in self.release.files:
                needs = f"{self.release.name} was made before {since.revision} and may need what this takes away"
                return [f"{place}: {needs}. Leave it to a release after that of {since.revision}."]
            return []
        findings = []
        for statement in dict.fromkeys(broken.values()):
            keys = [key for key in broken if broken[key] == statement]
            lines = [f"  {BREAKS[kind][0].format(*path)}. {BREAKS[kind][1]}" for kind, path in keys]
            findings.append("\n".join([f"{place}: {textwrap.shorten(statement, 200)}", *lines]))
        return findings


def catalog(database: psycopg.Connection) -> Catalog:
    """The schema of this moment."""
    found: Catalog = {}
    for kind, path, needs in database.execute("SELECT * FROM pg_temp.catalog()").fetchall():
        asked = found.setdefault((kind, tuple(path)), [])
        asked += [] if needs is None else [set(needs)]
    return found


def breaks(known: Catalog, now: Catalog) -> set[Key]:
    """What code that knows one schema misses in the other, or is asked for anew; a whole stands for its parts."""
    names = {path for kind, path in known if kind in ("relation", "column", "type")}
    broken = {key for key in known.keys() - now.keys() if not known[key]}
    for kind, path in now.keys() - known.keys():
        asked = now[kind, path] if path[:1] in names else []
        broken |= {(kind, path) for needs in asked if all((path[0], column) in names for column in needs)}
    wholes = {path for _, path in broken}
    return {(kind, path) for kind, path in broken if not wholes & {path[:length] for length in range(1, len(path))}}


def file(script: Script) -> str:
    """A migration's file, within the folder of all of them."""
    return "/".join(Path(script.path).parts[-2:])


def release_before(folder: Path) -> Release | None:
    """The newest release without some of today's migrations, or else the oldest; None where no release is known."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout

    present = {f"{path.parent.name}/{path.name}" for branch in BRANCHES for path in folder.glob(f"{branch}/*.py")}
    release = None
    with suppress(OSError, subprocess.CalledProcessError):
        if git("rev-parse", "--is-shallow-repository") == "true\n":
            return None
        for tag in git("tag", "--list", "v[0-9]*", "--merged", "HEAD", "--sort=-version:refname").split():
            release = Release(tag, set(git("ls-tree", "-r", "-z", "--name-only", tag, ".").split("\0")))
            if present - release.files:
                break
    return release


def check(url: str, folder: Path, release: Release | None, *, closely: bool = False) -> list[str]:
    """Runs the migrations on an empty database; returns what is wrong with those that the release lacks.

    Looking closely, after each statement, takes longer and tells which one is to blame.
    """
    branches = [folder / branch for branch in BRANCHES if (folder / branch).is_dir()]
    with psycopg.connect(url) as database:
        watcher = Watcher(database, release)
        engine = create_engine("postgresql+psycopg://", creator=lambda: database, poolclass=NullPool)
        with engine.connect() as connection:
            config = Config(attributes={"connection": connection, "applied": lambda **_: None})
            config.set_main_option("script_location", str(folder))
            config.set_main_option("path_separator", "newline")
            config.set_main_option("version_locations", "\n".join(map(str, branches)))
            try:
                scripts = ScriptDirectory.from_config(config).walk_revisions()
                released = {script.revision: script for script in scripts if release and file(script) in release.files}
                for script in released.values():
                    if not script.nextrev & released.keys():
                        command.upgrade(config, script.revision)
                watcher.start(released)
                config.attributes["applied"] = watcher.on_applied
                if closely:
                    event.listen(connection, "after_cursor_execute", watcher.on_executed)
                command.upgrade(config, "heads")
            except Exception as error:  # whatever a migration raises
                frames = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
                place = next((path for path in frames if path.parent in branches), folder)
                reason = textwrap.shorten(str(getattr(error, "orig", error)), 300)
                watcher.findings.append(f"{place} cannot run on an empty database: {reason}")
    return watcher.findings


def main() -> int:
    """Prints what is wrong; returns the exit code."""
    release = release_before(FOLDER)
    try:
        with TemporaryDirectory() as folder, postgres.server(Path(folder), durable=False) as url:
            again = postgres.create_database(url, "again")
            findings = check(url, FOLDER, release) and check(again, FOLDER, release, closely=True)
    except postgres.UnavailableError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    known = release.name if release else "the one before it, since no release (like v1.2.3) is known in this clone"
    hint = [DECLARE] if findings else []
    sys.stdout.write("\n".join([*findings, *hint, f"Every migration was compared with {known}\n"]))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
