"""Does in the service's process what a library in trouble does: warns, logs, crashes in a thread, fails to import."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import warnings
from typing import Any

LOOK_SECONDS = 0.05
LIBRARY = "a.library"
TOLD = ("an error of two lines", "an error", "a thread's crash")  # what no service keeps to itself

begun: set[str] = set()


def start(folder: str, crash: str = "") -> None:
    """Makes trouble as soon as the folder holds a file `trouble-PID`, after writing what is imported to `modules-PID`.

    Before that a file `warn-PID` has a library log one warning; then it is called `warned-PID`.
    With `crash`, the import of that module fails instead. Asked again, it does nothing.
    """
    if folder in begun:
        return
    begun.add(folder)
    if crash:
        sys.meta_path.insert(0, Crash(crash))
        return

    def wait() -> None:
        names = ("trouble", "modules", "warn", "warned")
        asked, answer, mild, warned = (os.path.join(folder, f"{name}-{os.getpid()}") for name in names)
        while not os.path.exists(asked):
            time.sleep(LOOK_SECONDS)
            if os.path.exists(mild):
                with open(mild) as file:
                    logging.getLogger(LIBRARY).warning("%s a warning", file.read())
                os.rename(mild, warned)
        with open(f"{answer}-", "w") as file:
            json.dump(list(sys.modules), file)
        os.rename(f"{answer}-", answer)
        with open(asked) as file:
            make_trouble(file.read())

    def begin() -> None:
        threading.Thread(target=wait, daemon=True).start()

    begin()
    os.register_at_fork(after_in_child=begin)


def make_trouble(token: str) -> None:
    """Everything that ends up on stderr in a form of its own, unless somebody sees to it."""
    library = logging.getLogger(LIBRARY)
    warnings.warn(f"{token} a warning", stacklevel=2)
    library.warning("%s a record", token)
    library.error("%s an error of two lines\nTraceback (most recent call last):", token)
    library.warning("%s a record with \udcff no character", token)
    library.warning("%d a record that cannot be formatted", token)
    try:
        raise RuntimeError(f"{token} an error")
    except RuntimeError:
        library.exception("it failed")
    crashing = threading.Thread(target=_raise, args=(f"{token} a thread's crash",))
    crashing.start()
    crashing.join()
    Unraisable(token)


def _raise(text: str) -> None:
    raise RuntimeError(text)


class Unraisable:
    """Something whose end fails."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __del__(self) -> None:
        raise RuntimeError(f"{self.token} an unraisable error")


class Crash:
    """Finds one module, and has its import fail."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, name: str, *_: Any) -> None:
        """Raises at this name, and finds no other one."""
        if name == self.name:
            raise RuntimeError(f"the import of {name} fails")
