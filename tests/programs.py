"""Small programs, run as the experiments run the processes of a service."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twelvefold.harness.processes import Process, ProcessDriver


@contextmanager
def running(program: str, folder: Path, *arguments: str, port: int | None = None) -> Iterator[Process]:
    """Runs Python code, and kills it with all that it has started when the context ends."""
    driver = ProcessDriver("")
    handle = driver.start([sys.executable, "-c", program, *arguments], {}, folder)
    process = Process("worker", handle, driver, port)
    try:
        yield process
    finally:
        process.kill()
        handle.stdout.close()
