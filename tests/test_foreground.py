"""Who does a program's work, where the sockets that show it come and go."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from twelvefold.claims import factor_08_concurrency as concurrency
from twelvefold.harness.claim import Violation
from twelvefold.harness.processes import Process

from .programs import running

PROGRAM = """
import os, socket, sys, time

def now_and_then():
    while True:
        time.sleep(0.02)
        with socket.create_connection(("127.0.0.1", int(sys.argv[1]))):
            time.sleep(0.02)

def always():
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))):
        time.sleep(60)

def never():
    time.sleep(60)

print("begun", flush=True)
"""


@contextmanager
def connecting(what: str, folder: Path) -> Iterator[Process]:
    """A program that connects to this test, or whose child does."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=4096) as server,
        running(PROGRAM + what, folder, str(server.getsockname()[1])) as process,
    ):
        while not process.lines:
            assert process.alive, process.tail()
        yield process


@pytest.mark.parametrize(
    "what",
    [
        "always()",
        "never()",
        "now_and_then()",
        "now_and_then() if os.fork() else never()",
        "always() if os.fork() else always()",
    ],
)
def test_the_pid_that_was_started_does_the_work(what: str, tmp_path: Path) -> None:
    with connecting(what, tmp_path) as process:
        for _ in range(20 if what == "now_and_then()" else 1):
            concurrency.expect_at_work(process)


@pytest.mark.parametrize("what", ["never() if os.fork() else always()", "never() if os.fork() else now_and_then()"])
def test_a_child_does_it_all(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "WORK_SECONDS", 1.5)
    with connecting(what, tmp_path) as process, pytest.raises(Violation, match="child"):
        concurrency.expect_at_work(process)
