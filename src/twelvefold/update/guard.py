"""A second process that takes a step back at once when the first one is killed in the middle of it."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .git import KEPT_OPEN

DONE = b"."


@contextmanager
def guarded(take_back: Callable[[], object]) -> Iterator[None]:
    """Lets `take_back` run in another process if this one ends before the block does.

    The guard waits for the end of a pipe that this process and the git commands that it runs hold open, so it begins
    when none of them writes any more.
    """
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the guard starts none and waits for none
        guard = os.fork()
    if guard == 0:
        os.close(writer)
        _stand_guard(reader, take_back)
    os.close(reader)
    KEPT_OPEN.add(writer)
    try:
        yield
    finally:
        KEPT_OPEN.discard(writer)
        os.write(writer, DONE)
        os.close(writer)
        os.waitpid(guard, 0)


def _stand_guard(reader: int, take_back: Callable[[], object]) -> None:
    try:
        os.setsid()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if os.read(reader, 1) != DONE:
            take_back()
    finally:
        os._exit(0)
