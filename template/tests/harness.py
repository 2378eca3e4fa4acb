"""What the tests run: the PostgreSQL of development, and processes as their platform sees them."""

import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import LiteralString

import psycopg

from dev import postgres


def server(folder: Path) -> AbstractContextManager[str]:
    """Starts a server with its data below `folder`; gives the URL of an empty database."""
    return postgres.server(folder, durable=False)


@dataclass
class Process:
    """One that has been started; `port` is the one that it was told to listen on."""

    popen: subprocess.Popen[str]
    port: int

    def get(self, path: str) -> tuple[int, str]:
        """Asks over a connection of its own."""
        http = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            http.request("GET", path)
            response = http.getresponse()
            return response.status, response.read().decode()
        finally:
            http.close()

    def wait_for(self, path: str, status: int, seconds: float = 10) -> None:
        """Asks until the answer has this status."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if self.get(path)[0] == status:
                    return
            except OSError:
                assert self.popen.poll() is None, self.popen.communicate()[0]
            assert time.monotonic() < deadline, f"{path} did not answer {status} within {seconds} s"
            time.sleep(0.02)

    def stop(self, signal: int) -> str:
        """Sends the signal, waits for the end and returns all that the process wrote."""
        self.popen.send_signal(signal)
        return self.popen.communicate(timeout=20)[0]


def eventually(holds: Callable[[], object], what: str = "what was awaited", seconds: float = 20) -> None:
    """Asks until it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def until(connection: psycopg.Connection, query: LiteralString, seconds: float = 20) -> None:
    """Asks the database until the query finds something."""
    eventually(lambda: connection.execute(query).fetchall(), query, seconds)


Start = Callable[..., AbstractContextManager[Process]]
