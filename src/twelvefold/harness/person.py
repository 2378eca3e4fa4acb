"""A person whose data the service keeps, people whose addresses are taken for hers, and what is left of her."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from . import contents
from .caches import Cache, resp
from .claim import expect
from .databases import Database
from .deploy import Deploy, unique_marker
from .http import answered
from .processes import Process
from .tracing import Trace

BEGINNING = 16  # so much of a text is its title, or an excerpt of it
UNMISTAKABLE = 8  # an identifier of so many characters stands nowhere by chance
LARGEST_BYTES = 20_000_000
KEPT_SECONDS = 3600
WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT")
OPENED = re.compile(r"\) += \d+<(/[^>]*)>")
# How a whole value is read from Redis, by its type.
READING = {
    b"string": (b"GET",),
    b"hash": (b"HGETALL",),
    b"list": (b"LRANGE", b"0", b"-1"),
    b"set": (b"SMEMBERS",),
    b"zset": (b"ZRANGE", b"0", b"-1"),
    b"stream": (b"XRANGE", b"-", b"+"),
}


@dataclass
class Person:
    """Somebody, and the things that were created in her name."""

    email: str
    ids: list[str] = field(default_factory=list)
    markers: list[str] = field(default_factory=list)
    alone: bool = False
    """Whether nobody else's address has the part before the @ of hers in it, so that this too stands for her."""

    def words(self) -> list[str]:
        """By what she is known, in lower case; the beginning of a text gives it away as well."""
        ids = [one for one in self.ids if len(one) >= UNMISTAKABLE]
        name = [self.email.partition("@")[0]] if self.alone else []
        beginnings = [marker[:BEGINNING] for marker in self.markers]
        return [word.lower() for word in (*contents.forms(self.email), *beginnings, *ids, *name)]

    def writes(self, deploy: Deploy, web: Process, spelling: str = "") -> str:
        """Creates a thing in her name, which may be spelled otherwise, and reads it; returns its identifier."""
        marker = unique_marker()
        with answered("web"):
            response = deploy.attempt(web, marker, spelling or self.email)
        created = response.status == deploy.thing.status
        expect(created, f"{deploy.thing.status} from {deploy.thing.create}", f"{response.status} {response.text}")
        self.ids.append(deploy.id_in(response))
        self.markers.append(marker)
        return self.ids[-1]

    def reads(self, deploy: Deploy, web: Process) -> None:
        """Reads all her things, so that they are in whatever keeps copies."""
        for identifier, marker in zip(self.ids, self.markers, strict=True):
            with answered("web"):
                expect(deploy.marker_of(web, identifier) == marker, f"{marker} in {deploy.thing.read}")


def someone() -> Person:
    """A person whose address has signs that mean something else in a pattern."""
    return Person(f"Ada_{uuid4().hex[:20]}.l@Example.com")


def somebody_else() -> Person:
    """A person whose address is like nobody's."""
    return Person(f"Grace{uuid4().hex[:20]}@Example.com", alone=True)


def neighbours_of(person: Person) -> list[Person]:
    """Others, whose addresses hold hers, or are like it where it is taken for a pattern."""
    email = person.email
    return [
        Person(f"x{email}"),
        Person(f"{email}.au"),
        Person(email.replace("_", "x")),
        Person(email.replace(".l@", "xl@")),
    ]


@dataclass(frozen=True)
class Search:
    """Looks for a person, and takes no neighbour for her."""

    person: Person
    neighbours: list[Person]

    def in_database(self, database: Database) -> dict[str, list[str]]:
        """The rows that tell of her, by table."""
        rows = contents.rows_with(database, self.person.words())
        found = {table: [row for row in lines if self._tells(row.encode())] for table, lines in rows.items()}
        return {table: lines for table, lines in found.items() if lines}

    def in_cache(self, cache: Cache) -> list[str]:
        """The entries that tell of her, by name."""
        return [name.decode(errors="replace") for name, value in _entries(cache) if self._tells(name + b"\0" + value)]

    def in_files(self, files: Iterable[Path]) -> list[str]:
        """The files that tell of her, by what is in them or by their names."""
        return [str(file) for file in files if self._tells(_bytes(file))]

    def _tells(self, data: bytes) -> bool:
        rest = data.lower()
        for word in (form.lower().encode() for one in self.neighbours for form in contents.forms(one.email)):
            rest = rest.replace(word, b"").replace(word.hex().encode(), b"")
        words = [word.encode() for word in self.person.words()]
        return any(word in rest or word.hex().encode() in rest for word in words)


def keep(cache: Cache) -> None:
    """Lets nothing in a cache end by itself from now on, so that what is gone later was taken away."""
    for name in cache.names():
        if cache.scheme == "memcached":
            cache.exchange(b"touch %b %d\r\n" % (name, KEPT_SECONDS))
        else:
            cache.exchange(resp(b"PERSIST", name))


def files_of(folder: Path, traces: Iterable[Trace]) -> set[Path]:
    """The files of a folder, and those that traced programs have opened to write to them, as far as they are there."""
    found = {file for file in folder.rglob("*") if file.is_file()}
    for call in (call for trace in traces for call in trace.calls()):
        if (WRITING.search(call.text) or call.name == "creat") and (match := OPENED.search(call.text)):
            found.add(Path(match[1]))
        elif call.name.startswith(("rename", "link")) and not call.failed:
            found |= {Path(name) for name in re.findall(r'"(/[^"]*)"', call.text)}
    return {file for file in found if file.is_file() and file.parts[1] not in ("dev", "proc", "sys")}


def _entries(cache: Cache) -> Iterator[tuple[bytes, bytes]]:
    for name in cache.names():
        if cache.scheme == "memcached":
            yield name, cache.exchange(b"get %b\r\n" % name)
            continue
        kind = cache.exchange(resp(b"TYPE", name)).strip().lstrip(b"+")
        command, *range_ = READING.get(kind, (b"DUMP",))
        yield name, cache.exchange(resp(command, name, *range_))


def _bytes(file: Path) -> bytes:
    with suppress(OSError):
        if file.stat().st_size <= LARGEST_BYTES:
            return f"{file.name}\0".encode() + file.read_bytes()
    return b""
