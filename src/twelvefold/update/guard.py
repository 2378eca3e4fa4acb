"""A second process that takes a step back at once when the first one is killed in the middle of it."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ..signals import handled
from .git import KEPT_OPEN

DONE = READY = b"."
STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def guarded(take_back: Callable[[], object]) -> Iterator[None]:
    """Takes back when the block fails; another process does if this one ends before, or does not manage it.

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
    is_done = False
    try:
        os.read(told, 1)
        try:
            yield
        except BaseException:
            with handled(signal.SIG_IGN, *STOPPING):  # a second Ctrl-C, for the commands that it starts too
                take_back()
            is_done = True
            raise
        is_done = True
    finally:
        with handled(signal.SIG_IGN, *STOPPING):
            KEPT_OPEN.discard(held)
            if is_done:
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
