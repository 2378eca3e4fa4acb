"""A pytest plugin: of all tests it lets a few run that need a database, and writes down which SQLite files are opened.

TWELVEFOLD_TESTS names the file that it writes to, one JSON object a line.
"""

import json
import os
import re
import sys
from typing import Any

AT_MOST = 2
NEEDS_A_DATABASE = re.compile(r"database|postgres|\bdb\b|^db|_db$|sql|session|connection|engine|client|django", re.I)

_output = os.open(os.environ["TWELVEFOLD_TESTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _write(**event: object) -> None:
    os.write(_output, (json.dumps(event) + "\n").encode())


def _audit(event: str, arguments: Any) -> None:
    if event == "sqlite3.connect" and ".coverage" not in str(arguments[0]):
        _write(sqlite=str(arguments[0]))


sys.addaudithook(_audit)


def pytest_collection_modifyitems(config: Any, items: "list[Any]") -> None:
    """Keeps the first test of some files that asks for something like a database."""
    chosen: dict[str, Any] = {}
    for item in items:
        names = getattr(item, "fixturenames", ())
        if any(NEEDS_A_DATABASE.search(name) for name in names):
            chosen.setdefault(str(item.path), item)
    kept = list(chosen.values())[:AT_MOST]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
    _write(collected=len(kept), python="{}.{}".format(*sys.version_info))


def pytest_runtest_logreport(report: Any) -> None:
    """A part of a test has ended."""
    if report.when == "call":
        _write(ran=report.nodeid)
