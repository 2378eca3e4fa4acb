"""A second process that takes a step back at once when the first one is killed in the middle of it."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from .git import KEPT_OPEN

DONE = READY = b"."


@contextmanager
def guarded(take_back: Callable[[], object]) -> Iterator[None]:
    """Lets `take_back` run in another process if this one ends before the block does.

    The guard waits for the end of a pipe that this process and the git commands that it runs hold open, so it begins
    when none of them writes any more. The block begins once a signal to this process's group spares the guard.
    """
    watched, held = os.pipe()
    told, telling = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the guard starts none and waits for none
        guard = os.fork()
    if guard == 0:
        os.close(held)
        _stand_guard(watched, telling, take_back)
    os.close(watched)
    os.close(telling)
    KEPT_OPEN.add(held)
    try:
        os.read(told, 1)
        yield
    finally:
        KEPT_OPEN.discard(held)
        with suppress(BrokenPipeError):  # somebody has killed the guard
            os.write(held, DONE)
        os.close(held)
        os.close(told)
        os.waitpid(guard, 0)


def _stand_guard(watched: int, telling: int, take_back: Callable[[], object]) -> None:
    """Waits for the other process, and never returns."""
    try:
        os.setsid()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        os.write(telling, READY)
        if os.read(watched, 1) != DONE:
            take_back()
    finally:
        os._exit(0)
