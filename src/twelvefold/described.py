"""What `factors.toml` says of the process types, held against those that there are.

A table that is missing shows nothing of the service: while no table says what a process type does, nobody knows that
there is no worker.
"""

from __future__ import annotations

import re
from dataclasses import replace

from .harness.contract import Contract
from .results import Result, Verdict

# How the process types of each table are usually called.
NAMES = {
    "web": re.compile(r"^(web|api|http|server|app)$"),
    "jobs": re.compile(r"worker|queue|consumer|celery|sidekiq|jobs?$"),
    "clock": re.compile(r"clock|cron|beat|schedul"),
}
# The reasons of an experiment that finds no such table, or no process type that it speaks of.
ABSENT = {"there is no web process": "web", "there is no worker process": "jobs", "there is no clock process": "clock"}


def misnamed(contract: Contract) -> str:
    """Which table speaks of a process type that there is not, and how to mend it; an empty text if none does."""
    for table, name in _described(contract).items():
        if name not in contract.processes:
            there = ", ".join(contract.processes)
            return (
                f"factors.toml: [{table}] speaks of the process type {name}, and there is only {there}: mend\n"
                "`process` in that table, or the name in Procfile or [processes]; or remove the table."
            )
    return ""


def told(result: Result, contract: Contract) -> Result:
    """The result, but not run instead of not applicable while a process type that no table describes may be the one."""
    table = ABSENT.get(result.reason)
    if result.verdict is not Verdict.NOT_APPLICABLE or table is None or table in _described(contract):
        return result
    known = _described(contract).values()
    named = [name for name in contract.long_running if NAMES[table].search(name)]
    silent = [name for name in contract.long_running if name not in known and _may_be(name, table)]
    if not (found := dict.fromkeys([*named, *silent])):
        return result
    reason = f"factors.toml has no [{table}], though its process may be {' or '.join(found)}"
    return replace(result, verdict=Verdict.NOT_RUN, reason=reason)


def _described(contract: Contract) -> dict[str, str]:
    """The process type that each table speaks of."""
    tables = {"web": contract.web, "jobs": contract.jobs, "clock": contract.clock}
    return {name: table.process for name, table in tables.items() if table}


def _may_be(process: str, table: str) -> bool:
    """Whether the name does not speak against it; an unusual one says nothing."""
    kinds = [kind for kind, names in NAMES.items() if names.search(process)]
    return not kinds or table in kinds
