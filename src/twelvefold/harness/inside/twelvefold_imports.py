"""Writes down what the service's own code imports from other packages, by whatever way.

Each line is JSON: the module's `name`, and the file that asked for it (`by`).
"""

import builtins
import importlib
import json
import os
import sys


def start(output: str, roots: "list[str]") -> None:
    """Begins to watch, and says so with a line of its own."""
    descriptor = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    places = tuple(roots)
    seen = set()

    def write(event: object) -> None:
        os.write(descriptor, (json.dumps(event) + "\n").encode())

    def note(name: str, file: object) -> None:
        own = isinstance(file, str) and any(file == root or file.startswith(root + "/") for root in places)
        if own and (name, file) not in seen:
            seen.add((name, file))
            write({"name": name, "by": file})

    imported, module = builtins.__import__, importlib.import_module

    def watched(name, globals=None, locals=None, fromlist=(), level=0):  # type: ignore[no-untyped-def]  # noqa: A002
        if not level:
            asked = (globals if globals is not None else sys._getframe(1).f_globals).get("__file__")
            for one in fromlist or ():
                note(name + "." + one, asked)
            if not fromlist:
                note(name, asked)
        return imported(name, globals, locals, fromlist, level)

    def import_module(name, package=None):  # type: ignore[no-untyped-def]
        if not name.startswith("."):
            note(name, sys._getframe(1).f_globals.get("__file__"))
        return module(name, package)

    builtins.__import__, importlib.import_module = watched, import_module
    write({"watching": getattr(sys, "orig_argv", [])})
