"""Real cache servers, private and on a free port."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from . import tether
from .claim import NotRun
from .processes import eventually, free_port

# For each scheme the programs that serve it, and the Debian package of the first.
SERVERS = {
    "redis": (("redis-server", "valkey-server"), "redis-server"),
    "valkey": (("valkey-server", "redis-server"), "valkey-server"),
    "memcached": (("memcached",), "memcached"),
}


@dataclass(frozen=True)
class Cache:
    """A running cache server."""

    scheme: str
    port: int
    pid: int

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
        self.command("flush_all" if self.scheme == "memcached" else "FLUSHALL")


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
        yield Cache(scheme, port, process.pid)
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
