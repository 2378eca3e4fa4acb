"""Whether all replicas tell the same of whatever the contract offers, once one of them was told something."""

from __future__ import annotations

import time
from functools import partial

from . import api
from .claim import Violation
from .deploy import Deploy
from .fuzz import filled
from .processes import Process, eventually
from .traffic import ask, sample_body

WRITES = ("POST", "PUT", "PATCH")
PATIENCE_SECONDS = 2.0  # what a replica is told may reach the database after its answer


def tell_the_same(deploy: Deploy, first: Process, second: Process, age: float) -> str:
    """Has the first do all that the contract offers for a thing, and compares what both tell; returns what was seen.

    What they do not agree about beforehand, such as how long they have run, is their own. Raises Violation.
    """
    document = api.known(deploy, first)
    if document is None:
        return "no contract tells what else may be asked"
    ids = dict.fromkeys(document.paths, deploy.create(first).id)
    own = {deploy.web.live, deploy.web.ready, deploy.web.metrics, deploy.web.contract}
    looks = [filled(one.path, ids) for one in document.operations if one.method == "GET" and one.path not in own]
    shared = [path for path in looks if _agree(first, second, path)]
    writes = [one for one in document.operations if one.method in WRITES]
    for one in writes:
        ask(first, one.method, filled(one.path, ids), body=sample_body(document.document, one.details))
    time.sleep(age)
    for path in shared:
        try:
            eventually(partial(_agree, first, second, path), "", PATIENCE_SECONDS)
        except Violation:
            raise Violation(
                f"expected {path} to tell the same on each replica, whatever one of them was told"
            ) from None
    return f"{len(writes)} ways to write on one replica, {len(shared)} to read on another: the same"


def _agree(first: Process, second: Process, path: str) -> bool:
    """Whether both answer alike, or the first not even like itself."""
    responses = [ask(one, "GET", path).response for one in (first, second, first)]
    answers = [(one.status, one.text) if one else None for one in responses]
    return answers[0] == answers[1] or answers[0] != answers[2]
