"""Lets a command that was told to end do so in good order."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..signals import handled, interrupt


class Ending:
    """Whether somebody wanted to stop the command while it could not be stopped."""

    def __init__(self) -> None:
        self.is_wanted = False

    def end_if_wanted(self) -> None:
        """Raises KeyboardInterrupt when somebody wanted to stop it."""
        if self.is_wanted:
            raise KeyboardInterrupt

    @contextmanager
    def scratch(self, prefix: str) -> Iterator[Path]:
        """A folder for as long as the block lasts; who stops the command while it is removed changes nothing."""
        folder = tempfile.mkdtemp(prefix=prefix)
        try:
            yield Path(folder).resolve()
        finally:
            with self._put_off():
                _remove(Path(folder))

    @contextmanager
    def _put_off(self) -> Iterator[None]:
        def want(number: int, frame: object) -> None:
            self.is_wanted = True

        with handled(want, signal.SIGINT, signal.SIGTERM):
            yield


def _remove(folder: Path) -> None:
    """Removes a folder, in which commands of a template may have made others that are not to be written."""
    shutil.rmtree(folder, ignore_errors=True)
    for current, folders, _ in os.walk(folder):
        for name in folders:
            if not (Path(current) / name).is_symlink():
                (Path(current) / name).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def ending_as_by_an_interrupt() -> Iterator[Ending]:
    """Lets SIGTERM end what runs as Ctrl-C does, so that it takes back what it has begun."""
    with handled(interrupt, signal.SIGTERM):
        yield Ending()
