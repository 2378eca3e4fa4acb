"""Writes down which module asks the environment for which variable.

Each line is one way of asking, as JSON: the variable's `name`, who asked (`by`, as file:line), and the nearest place
in the service's own code that led there (`own`). The name `*` means that all variables were looked through.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

EVERYTHING = "*"
OF_PYTHON = ("os.py", "_collections_abc.py", "<frozen os>", "<frozen _collections_abc>")

begun: set[str] = set()


def start(output: str, roots: list[str]) -> None:
    """Begins to watch, and says so with a line of its own; asked again, it does nothing.

    The service's own code is what lies in files whose names begin with one of the roots.
    """
    if output in begun:
        return
    begun.add(output)
    descriptor = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    seen: set[tuple[str, str, str]] = set()

    def write(event: dict[str, Any]) -> None:
        os.write(descriptor, (json.dumps(event) + "\n").encode())

    def is_own(file: str) -> bool:
        return file.startswith(tuple(roots))

    def note(name: str) -> None:
        frame, by, own = sys._getframe(2), "", ""
        while frame is not None and not own:
            file = frame.f_code.co_filename
            if file != __file__ and not file.endswith(OF_PYTHON):
                place = f"{file}:{frame.f_lineno}"
                by = by or place
                own = place if is_own(file) else ""
            frame = frame.f_back  # type: ignore[assignment]
        if by and (name, by, own) not in seen:
            seen.add((name, by, own))
            write({"name": name, "by": by, "own": own})

    kind: Any = type(os.environ)
    read, walk = kind.__getitem__, kind.__iter__

    def asked(self: Any, key: Any) -> Any:
        note(key if isinstance(key, str) else os.fsdecode(key))
        return read(self, key)

    def walked(self: Any) -> Any:
        note(EVERYTHING)
        return walk(self)

    def told(self: Any, key: Any, value: Any) -> Any:  # tells a library something, and asks nothing
        try:
            return read(self, key)
        except KeyError:
            self[key] = value
            return value

    kind.__getitem__, kind.__iter__, kind.setdefault = asked, walked, told

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str) and arguments[0].endswith("/environ"):
            note(EVERYTHING)

    sys.addaudithook(audit)
    write({"watching": getattr(sys, "orig_argv", [])})
