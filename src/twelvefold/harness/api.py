"""What a service documents in its OpenAPI document: its operations, and what they may answer."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from .claim import NotRun, Violation
from .deploy import Deploy
from .http import NO_ANSWER, pointer
from .processes import Process

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
PARAMETER = re.compile(r"\{[^{}/]+\}")
MISSING = object()
CHOSEN = {"enum", "const", "format"}  # what a text has that is not just any
# What says whether an object may have members that it does not name, or where else they are named.
OPEN = {"additionalProperties", "unevaluatedProperties", "patternProperties", "allOf", "anyOf", "oneOf"}


@dataclass(frozen=True)
class Operation:
    """A method on a path, such as `GET /notes/{note_id}`."""

    method: str
    path: str
    """With its parameters in braces, below the document's own base."""
    details: dict[str, Any]
    shared: list[dict[str, Any]]
    """The parameters that the path gives all its operations."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def documents(self, status: int) -> dict[str, Any] | None:
        """What is documented of answers with this status; None when nothing is."""
        responses = {str(name).lower(): value for name, value in self.details.get("responses", {}).items()}
        for name in (str(status), f"{status // 100}xx", "default"):
            if name in responses:
                return dict(responses[name])
        return None

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """Its own and those of its path; they may be references."""
        return [*self.details.get("parameters", []), *self.shared]


@dataclass(frozen=True)
class Api:
    """An OpenAPI document."""

    document: Mapping[str, Any]

    @cached_property
    def base(self) -> str:
        """What precedes every path: empty, or such as `/api/v1`."""
        servers = self.document.get("servers") or [{"url": ""}]
        return urlsplit(str(servers[0].get("url", ""))).path.rstrip("/")

    @cached_property
    def operations(self) -> list[Operation]:
        """All of them, in the document's order."""
        return [
            Operation(method.upper(), self.base + path, item[method], [*item.get("parameters", [])])
            for path, item in self.document.get("paths", {}).items()
            for method in item
            if method in METHODS
        ]

    @cached_property
    def paths(self) -> dict[str, set[str]]:
        """The documented methods of each path."""
        found: dict[str, set[str]] = {}
        for operation in self.operations:
            found.setdefault(operation.path, set()).add(operation.method)
        return found

    def followed(self, value: Any) -> Any:
        """What a reference stands for."""
        while isinstance(value, Mapping) and isinstance(value.get("$ref"), str):
            try:
                value = pointer(self.document, value["$ref"].removeprefix("#"))
            except LookupError:
                raise Violation(f"the OpenAPI document refers to {value['$ref']}, which it does not hold") from None
        return value

    def template_of(self, path: str) -> str | None:
        """The documented path that a path belongs to; one without parameters comes first."""
        fitting = [one for one in self.paths if re.fullmatch(pattern_of(one), path.rstrip("/") or "/")]
        return min(fitting, key=lambda one: len(PARAMETER.findall(one)), default=None)

    def operation(self, route: str) -> Operation | None:
        """The operation of a route such as `GET /notes/{id}`, whatever its parameters are called."""
        method, _, path = route.partition(" ")
        same = (one for one in self.operations if one.method == method and unnamed(one.path) == unnamed(path))
        return next(same, None)


def texts(api: Api, operation: Operation) -> list[str]:
    """The fields of its JSON body that may be texts of whatever kind, as far as the document tells."""
    content = api.followed(operation.details.get("requestBody", {})).get("content", {})
    schema = api.followed(content.get("application/json", {}).get("schema", {}))
    found = []
    for name, value in schema.get("properties", {}).items():
        field = api.followed(value)
        kinds = [field, *map(api.followed, (*field.get("anyOf", ()), *field.get("oneOf", ())))]
        if any(kind.get("type") in ("string", ["string", "null"]) and not CHOSEN & kind.keys() for kind in kinds):
            found.append(name)
    return found


def unnamed(path: str) -> str:
    """A path without the names of its parameters."""
    return PARAMETER.sub("{}", path)


def pattern_of(template: str) -> str:
    """The regular expression of a documented path."""
    return "[^/]+".join(re.escape(part) for part in PARAMETER.split(template.rstrip("/") or "/"))


def parsed(text: str, where: str) -> Api:
    """The document in a text, JSON or YAML; raises Violation when it is none, and NotRun when it is too old."""
    try:
        document = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise Violation(f"{where} is no OpenAPI document: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise Violation(f"{where} is no OpenAPI document: it has no paths")
    if not str(document.get("openapi", "")).startswith("3."):
        raise NotRun(f"{where} is no OpenAPI document of version 3, the only one that is understood")
    return Api(document)


def committed(file: Path) -> Api:
    """The document in a file; raises Violation when there is none."""
    if not file.is_file():
        raise Violation(f"expected the committed contract in {file.name}, saw no such file")
    return parsed(file.read_text("utf-8", errors="replace"), file.name)


def known(deploy: Deploy, web: Process) -> Api | None:
    """The served document, or else the committed one; None where there is none that can be read."""
    path, file = deploy.web.contract, deploy.web.committed_contract
    with suppress(Violation, NotRun, *NO_ANSWER):
        if path:
            return parsed(web.get(path).text, path)
        if file:
            return committed(deploy.workspace.source / file)
    return None


def differences(left: Any, right: Any, place: str = "") -> Iterator[str]:
    """The JSON pointers at which two documents differ, each with how."""
    if isinstance(left, dict) and isinstance(right, dict):
        for name in [*left, *(name for name in right if name not in left)]:
            below = f"{place}/{str(name).replace('~', '~0').replace('/', '~1')}"
            yield from differences(left.get(name, MISSING), right.get(name, MISSING), below)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, pair in enumerate(zip(left, right, strict=True)):
            yield from differences(*pair, f"{place}/{number}")
    elif type(left) is not type(right) or left != right:
        yield f"{place or '/'} ({_told(left)} and {_told(right)})"


def _told(value: Any) -> str:
    return "nothing" if value is MISSING else json.dumps(value, ensure_ascii=False)[:60]


def closed(api: Api) -> Api:
    """The document, with answers that may hold nothing but what is documented.

    JSON Schema lets an object have more members than it names; a client that reads the document does not expect them.
    An object that says itself whether it may have more stays as it is, and so does one that is made of several.
    """
    twin = Api(copy.deepcopy(dict(api.document)))
    found: dict[int, dict[str, Any]] = {}
    parts: set[int] = set()
    for operation in twin.operations:
        for response in operation.details.get("responses", {}).values():
            for media in twin.followed(response).get("content", {}).values():
                _collect(twin, media.get("schema"), found, parts)
    for number, schema in found.items():
        if schema.get("properties") and not OPEN & schema.keys() and number not in parts:
            schema["additionalProperties"] = False
    return twin


def _collect(api: Api, value: Any, found: dict[int, dict[str, Any]], parts: set[int], part: bool = False) -> None:
    """Finds every schema below one, and which of them are only parts of others (`allOf`)."""
    schema = api.followed(value)
    if not isinstance(schema, dict):
        return
    if part:
        parts.add(id(schema))
    if id(schema) in found:
        return
    found[id(schema)] = schema
    for name in ("allOf", "anyOf", "oneOf"):
        for one in schema.get(name, []):
            _collect(api, one, found, parts, part=part or name == "allOf")
    below = (*schema.get("properties", {}).values(), *schema.get("prefixItems", []))
    for one in (*below, schema.get("items"), schema.get("additionalProperties")):
        _collect(api, one, found, parts)
