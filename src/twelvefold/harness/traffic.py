"""What clients ask of web: everything that its OpenAPI document offers, and what goes wrong on the way."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from . import http
from .claim import NotRun
from .deploy import Deploy, Made, filled, unique_email
from .http import Response
from .processes import Process

METHODS = ("get", "head", "post", "put", "patch", "delete")  # in this order, so that what is deleted is deleted last
NO_HTTP = b"THIS IS NO HTTP\r\n\r\n"
UNKNOWN = "/no-such-path-anywhere"
SAMPLES: dict[str, Any] = {"integer": 1, "number": 1, "boolean": True, "array": [], "object": {}, "string": "sample"}
BY_FORMAT = {"uuid": "00000000-0000-4000-8000-000000000000", "email": "sample@example.com", "date": "2020-01-01"}


@dataclass(frozen=True)
class Exchange:
    """A request in words, and its answer; None when the connection ended without one."""

    request: str
    response: Response | None


def ask(web: Process, method: str, path: str, **options: Any) -> Exchange:
    """Asks, and takes no answer for an answer too."""
    try:
        return Exchange(f"{method} {path}", web.ask(method, path, **options))
    except http.NO_ANSWER:
        return Exchange(f"{method} {path}", None)


def ordinary(deploy: Deploy, web: Process) -> list[Exchange]:
    """A client that knows its way: the life of one thing, and every operation of the OpenAPI document."""
    found = [ask(web, "GET", path) for path in _known(deploy)]
    made = None
    if deploy.contract.thing:
        made = deploy.create(web)
        found += [Exchange(deploy.thing.create, made.response), Exchange(deploy.thing.read, deploy.read(web, made))]
        if deploy.thing.list:
            found.append(ask(web, *_split(deploy.thing.list)))
    found += [ask(web, method, path, body=body) for method, path, body in operations(deploy, web, made)]
    if made and deploy.thing.delete:
        found.append(Exchange(deploy.thing.delete, deploy.delete(web, deploy.create(web))))
    return found


def reading(deploy: Deploy, web: Process, made: Made, seconds: float) -> list[Exchange]:
    """A client that changes nothing: all that it can ask about a thing and the rest, for some seconds each."""
    listed = [deploy.thing.list] if deploy.thing.list else []
    found = [("GET", path) for path in _known(deploy)] + [_split(route) for route in listed]
    found += [(method, path) for method, path, _ in operations(deploy, web, made) if method in ("GET", "HEAD")]
    found.append(_split(deploy.thing.read.replace("{id}", made.id)))
    return [ask(web, method, path, timeout=seconds) for method, path in dict.fromkeys(found)]


def _known(deploy: Deploy) -> list[str]:
    web = deploy.web
    return [path for path in (web.live, web.ready, web.metrics, web.contract) if path]


def faulty(deploy: Deploy, web: Process) -> list[Exchange]:
    """Clients that make mistakes: unknown paths, wrong methods, bodies that are none, and bytes that are no HTTP."""
    found = [ask(web, "GET", UNKNOWN), ask(web, "POST", UNKNOWN, body={"a": 1}), ask(web, "BREW", "/")]
    if thing := deploy.contract.thing:
        method, path = _split(thing.create)
        typed = {"Content-Type": "application/json"}
        found += [
            ask(web, "DELETE" if method != "DELETE" else "PUT", path),
            ask(web, method, path, body=b"{", headers=typed),
            ask(web, method, path, body={}),
            ask(web, method, path, body={name: [1] for name in thing.body}),
            ask(web, method, path, body=b"\xff\xfe", headers=typed),
            ask(web, method, path, body=b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded"}),
            ask(web, *_split(thing.read.replace("{id}", "%00"))),
            ask(web, *_split(thing.read.replace("{id}", "no-such-thing"))),
        ]
    _send(web, NO_HTTP)
    _send(web, b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n")
    _send(web, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")  # leaves in the middle
    return found


def failing(deploy: Deploy, web: Process) -> list[Exchange]:
    """A client for whom the service cannot do anything, since the table is not there."""
    with away(deploy):
        return crying(deploy, web)


def crying(deploy: Deploy, web: Process, *, once: bool = False) -> list[Exchange]:
    """A client that asks for things, whatever becomes of it; `once` is for when each answer takes its time."""
    thing = deploy.thing
    method, path = _split(thing.create)
    found = [ask(web, method, path, body=filled(thing.body, marker="sample", email=unique_email()))]
    if once:
        return found
    found.append(ask(web, *_split(thing.read.replace("{id}", BY_FORMAT["uuid"]))))
    return [*found, ask(web, *_split(thing.list))] if thing.list else found


@contextmanager
def away(deploy: Deploy, table: str | None = None) -> Iterator[None]:
    """Takes a table away for a while, by default that of the things; raises NotRun where factors.toml names none."""
    table = table or deploy.thing.table
    if not table:
        raise NotRun("factors.toml has no [thing] table")
    with _renamed(deploy, table, f"{table.rpartition('.')[2]}_away"):
        yield


def operations(deploy: Deploy, web: Process, made: Made | None = None) -> list[tuple[str, str, Any]]:
    """Method, path and body of a request for each operation of the OpenAPI document; none without such a document."""
    document = _document(deploy, web)
    found = []
    for path, item in sorted(document.get("paths", {}).items()):
        for method in METHODS:
            operation = item.get(method) if isinstance(item, Mapping) else None
            if isinstance(operation, Mapping):
                parameters = [*item.get("parameters", []), *operation.get("parameters", [])]
                found.append(
                    (method.upper(), _filled_path(deploy, path, parameters, made), sample_body(document, operation))
                )
    return sorted(found, key=lambda one: METHODS.index(one[0].lower()))


def _document(deploy: Deploy, web: Process) -> dict[str, Any]:
    if not deploy.web.contract:
        return {}
    with suppress(*http.NO_ANSWER, ValueError):
        document = web.get(deploy.web.contract).json()
        if isinstance(document, dict) and isinstance(document.get("paths", {}), dict):
            return document
    return {}


def _filled_path(deploy: Deploy, path: str, parameters: list[Any], made: Made | None) -> str:
    kinds = {one["name"]: one.get("schema", {}) for one in parameters if isinstance(one, Mapping) and "name" in one}
    if made and re.sub(r"\{[^}]*\}", "{id}", path) == _split(deploy.thing.read)[1]:
        return re.sub(r"\{[^}]*\}", made.id, path)
    return re.sub(r"\{([^}:]*)[^}]*\}", lambda match: str(sample(kinds.get(match[1], {}), {})), path)


def sample_body(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Any:
    """A JSON body for an operation of an OpenAPI document; None where it takes none."""
    content = operation.get("requestBody", {}).get("content", {})
    kind = content.get("application/json", {}) if isinstance(content, Mapping) else {}
    return sample(kind["schema"], document) if "schema" in kind else None


def sample(schema: Any, document: Mapping[str, Any], depth: int = 0) -> Any:
    """A value of the form that a JSON schema asks for, as far as that is simple to tell."""
    if not isinstance(schema, Mapping) or depth > 8:
        return None
    if "$ref" in schema:
        with suppress(LookupError):
            return sample(http.pointer(document, str(schema["$ref"]).removeprefix("#")), document, depth + 1)
    for key in ("default", "example", "const"):
        if key in schema:
            return schema[key]
    for key in ("enum", "examples"):
        if schema.get(key):
            return schema[key][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return sample(schema[key][0], document, depth + 1)
    if "properties" in schema:
        wanted = schema.get("required", [])
        return {name: sample(one, document, depth + 1) for name, one in schema["properties"].items() if name in wanted}
    return BY_FORMAT.get(schema.get("format", ""), SAMPLES.get(str(schema.get("type")), "sample"))


@contextmanager
def _renamed(deploy: Deploy, table: str, other: str) -> Iterator[None]:
    there, back = sql.Identifier(*table.split(".")), sql.Identifier(other)
    schema = table.split(".")[:-1]
    moved = sql.Identifier(*schema, other)
    rename = sql.SQL("ALTER TABLE {} RENAME TO {}")
    with deploy.db.connect() as connection:
        connection.execute("SET lock_timeout = '10s'")
        connection.execute(rename.format(there, back))
        try:
            yield
        finally:
            back_again = rename.format(moved, sql.Identifier(table.split(".")[-1]))
            try:
                connection.execute(back_again)
            except psycopg.errors.DuplicateTable:  # the service has made a new one
                connection.execute(sql.SQL("DROP TABLE {} CASCADE").format(there))
                connection.execute(back_again)


def _send(web: Process, data: bytes) -> None:
    """Sends bytes, takes what comes back, and leaves."""
    with suppress(OSError), socket.create_connection((web.host, int(web.port or 0)), timeout=2) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


def _split(route: str) -> tuple[str, str]:
    method, _, path = route.partition(" ")
    return method, path
