"""What a command does with the signals that stop it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Handler = Callable[[int, object], None] | signal.Handlers


def interrupt(number: int, frame: object) -> None:
    """Stops what runs as Ctrl-C does."""
    raise KeyboardInterrupt


@contextmanager
def handled(handler: Handler, *numbers: signal.Signals) -> Iterator[None]:
    """Handles signals so as long as the block lasts; those that are ignored, as after nohup, stay ignored."""
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, one in before.items():
            signal.signal(number, one)
