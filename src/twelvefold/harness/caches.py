"""Real cache servers, private and on a free port."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import unquote_to_bytes

from . import tether
from .claim import NotRun
from .processes import eventually, free_port

# For each scheme the programs that serve it, and the Debian package of the first.
SERVERS = {
    "redis": (("redis-server", "valkey-server"), "redis-server"),
    "valkey": (("valkey-server", "redis-server"), "valkey-server"),
    "memcached": (("memcached",), "memcached"),
}

# For each protocol a question that ends a request, and what its answer ends with.
LAST_WORDS = {
    "redis": (b"*2\r\n$4\r\nECHO\r\n$10\r\ntwelvefold\r\n", b"$10\r\ntwelvefold\r\n"),
    "memcached": (b"mn\r\n", b"MN\r\n"),
}


@dataclass(frozen=True)
class Cache:
    """A running cache server."""

    scheme: str
    port: int
    pid: int
    program: str
    password: str = ""
    """By which the experiment itself is let in; memcached has none."""

    @property
    def url(self) -> str:
        """Its address."""
        return self.at(self.port)

    def at(self, port: int) -> str:
        """The URL of the same server behind a proxy on this machine."""
        return f"{self.scheme}://127.0.0.1:{port}" + ("" if self.scheme == "memcached" else "/0")

    def command(self, *words: str) -> bytes:
        """Sends one line in the server's text protocol; returns what it answers at once."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(" ".join(words).encode() + b"\r\n")
            connection.settimeout(0.3)
            answer = b""
            with suppress(TimeoutError):
                while data := connection.recv(65536):
                    answer += data
            return answer

    def flush(self) -> None:
        """Forgets everything."""
        self.exchange(b"flush_all\r\n" if self.scheme == "memcached" else resp(b"FLUSHALL"))

    def exchange(self, request: bytes) -> bytes:
        """Sends a whole request in the server's protocol; returns its whole answer."""
        ask, end = LAST_WORDS["memcached" if self.scheme == "memcached" else "redis"]
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            let_in = resp(b"AUTH", self.password.encode()) if self.password else b""
            connection.sendall(let_in + request + ask)
            answer = b""
            while not answer.endswith(end) and (data := connection.recv(65536)):
                answer += data
            return answer.removesuffix(end).removeprefix(b"+OK\r\n" if let_in else b"")

    def names(self) -> list[bytes]:
        """The names of everything that it holds."""
        if self.scheme == "memcached":
            listed = re.findall(rb"^key=(\S+)", self.exchange(b"lru_crawler metadump all\r\n"), re.MULTILINE)
            return [unquote_to_bytes(name) for name in listed]
        return re.findall(rb"\$\d+\r\n(.*?)\r\n", self.exchange(resp(b"KEYS", b"*")), re.DOTALL)

    def keeping(self, key: bytes, value: bytes) -> bytes:
        """The request to keep a value under a name, whatever is there."""
        if self.scheme == "memcached":
            return b"set %b 0 60 %d\r\n%b\r\n" % (key, len(value), value)
        return resp(b"SET", key, value)

    def guarded(self, password: str) -> Cache:
        """The same server, which from now on lets in who has this password, and nobody else; who is in is put out."""
        self.exchange(resp(b"CONFIG", b"SET", b"requirepass", password.encode()))
        guarded = replace(self, password=password)
        guarded.exchange(resp(b"CLIENT", b"KILL", b"TYPE", b"normal"))
        return guarded

    def hits(self) -> int:
        """How often it had what it was asked for, by its own count."""
        if self.scheme == "memcached":
            found = re.search(rb"STAT get_hits (\d+)", self.exchange(b"stats\r\n"))
        else:
            found = re.search(rb"keyspace_hits:(\d+)", self.exchange(resp(b"INFO", b"stats")))
        return int(found[1]) if found else 0


GARBAGE = {
    "holds garbage": b"garbage",
    "holds nothing under its keys": b"",
    "holds JSON of another shape": b"{}",
    "holds null": b"null",
    "holds half a JSON": b'{"id": "',
    "holds half a pickle": b"\x80\x04\x95\xff",
}


def ways_to_spoil(cache: Cache) -> Iterator[tuple[str, Callable[[], object]]]:
    """What may become of a cache that is still there, and how: all that is in it is spoilt, or nothing fits in."""

    def spoil(request: Callable[[bytes], bytes]) -> None:
        for key in cache.names():
            cache.exchange(request(key))

    for name, value in GARBAGE.items():
        yield name, partial(spoil, partial(cache.keeping, value=value))
    if cache.scheme != "memcached":
        yield "holds values of another kind", partial(spoil, _list)
        yield "is full", lambda: cache.exchange(resp(b"CONFIG", b"SET", b"maxmemory", b"1"))


def mend(cache: Cache) -> None:
    """Makes room again in a full cache, and empties it."""
    if cache.scheme != "memcached":
        cache.exchange(resp(b"CONFIG", b"SET", b"maxmemory", b"0"))
    cache.flush()


def _list(key: bytes) -> bytes:
    return resp(b"DEL", key) + resp(b"RPUSH", key, b"one")


def resp(*words: bytes) -> bytes:
    """A command in Redis's protocol."""
    return b"".join((b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)))


@contextmanager
def server(scheme: str, folder: Path) -> Iterator[Cache]:
    """Runs a server for URLs of this scheme; raises NotRun where the machine has none."""
    programs, package = SERVERS[scheme]
    program = next(filter(None, map(shutil.which, programs)), None)
    if program is None:
        raise NotRun(f"no {programs[0]} is on this machine: install the package {package}")
    port = free_port()
    process = tether.spawn(_argv(program, port), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: _listens(port), f"{program} to listen", 10)
        yield Cache(scheme, port, process.pid, Path(program).name)
    finally:
        process.kill()
        process.wait()


def _argv(program: str, port: int) -> list[str]:
    if program.endswith("memcached"):
        return [program, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "64", "-u", "nobody"]
    return [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
