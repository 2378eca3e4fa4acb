"""Whether all replicas tell the same of whatever the contract offers, once one of them was told something."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import uuid4

from . import api
from .api import Api, Operation
from .claim import Violation
from .deploy import Deploy, unique_email, unique_marker
from .fuzz import filled
from .http import NO_ANSWER
from .processes import Process

WRITES = ("POST", "PUT", "PATCH")
JSON = {"Content-Type": "application/json"}
DEEP = 4  # how far an example of a body goes into its schema
PAUSE_SECONDS = 0.2
PATIENCE_SECONDS = 2.0  # what a replica is told may reach the database after its answer


def tell_the_same(deploy: Deploy, first: Process, second: Process, age: float) -> str:
    """Has the first do all that the contract offers for a thing, and compares what both tell; returns what was seen.

    What they do not agree about beforehand, such as their own age, is theirs. Raises Violation.
    """
    document = api.known(deploy, first)
    if document is None:
        return "no contract tells what else may be asked"
    ids = dict.fromkeys(document.paths, deploy.create(first).id)
    own = {deploy.web.live, deploy.web.ready, deploy.web.metrics, deploy.web.contract}
    looks = [filled(one.path, ids) for one in document.operations if one.method == "GET" and one.path not in own]
    shared = [path for path in looks if _agree(first, second, path)]
    told = [one for one in document.operations if one.method in WRITES and _tell(document, first, one, ids)]
    time.sleep(age)
    for path in shared:
        _expect(partial(_agree, first, second, path), f"{path} to tell the same on each replica")
    return f"{len(told)} ways to write on one replica, {len(shared)} to read on another: the same"


def _agree(first: Process, second: Process, path: str) -> bool:
    """Whether both answer alike, twice, or the first not even itself."""
    answers = [_answer(one, path) for one in (first, second, first)]
    return answers[0] == answers[1] or answers[0] != answers[2]


def _answer(process: Process, path: str) -> tuple[int, str]:
    with suppress(*NO_ANSWER):
        response = process.get(path)
        return response.status, response.text
    return 0, ""


def _expect(holds: Callable[[], bool], expected: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise Violation(f"expected {expected}, whatever one of them was told")
        time.sleep(PAUSE_SECONDS)


def _tell(document: Api, process: Process, operation: Operation, ids: Mapping[str, str]) -> bool:
    """Calls an operation with a body as its schema has it; returns whether that was taken."""
    content = document.followed(operation.details.get("requestBody", {})).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    body = json.dumps(example(document, schema)).encode() if schema else b""
    with suppress(*NO_ANSWER):
        answer = process.ask(operation.method, filled(operation.path, ids), body=body, headers=JSON if body else {})
        return answer.status < 400
    return False


def example(document: Api, schema: Any, depth: int = 0) -> Any:
    """A value that fits a schema, as far as its type, its format and its choices say."""
    schema = document.followed(schema or {})
    for known in ("const", "default", "example"):
        if known in schema:
            return schema[known]
    if choices := schema.get("enum") or schema.get("examples"):
        return choices[0]
    if parts := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return example(document, parts[0], depth)
    match schema.get("type"):
        case "object" if depth < DEEP:
            fields = schema.get("properties", {})
            return {name: example(document, value, depth + 1) for name, value in fields.items()}
        case "array" if depth < DEEP:
            return [example(document, schema.get("items"), depth + 1) for _ in range(schema.get("minItems", 1))]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "string":
            return {"email": unique_email(), "uuid": str(uuid4()), "date": "2026-01-01"}.get(
                schema.get("format", ""), unique_marker()
            )
    return None
