"""What an OpenAPI document tells of a thing that can be created with POST and read by its identifier."""

from __future__ import annotations

import re
from typing import Any

from .reading import Values, at, mapping

# Of the formats of a string that OpenAPI and JSON Schema name, a text that has one.
SAMPLES = {
    "date": "2030-01-31",
    "date-time": "2030-01-31T12:00:00Z",
    "email": "{email}",
    "ipv4": "192.0.2.1",
    "time": "12:00:00Z",
    "uri": "https://example.com/{marker}",
    "uuid": "0190163d-8694-739b-aea5-966c26f8ad91",
}


def created_thing(document: Values) -> dict[str, Any]:
    """The entries of `[thing]` in a `factors.toml`; none if the document has no such thing."""
    paths = mapping(document.get("paths"))
    for path, operations in paths.items():
        post = at(operations, "post")
        single = next((one for one in paths if re.fullmatch(rf"{re.escape(str(path))}/\{{\w+\}}", str(one))), None)
        if not post or "{" in str(path) or single is None or not at(paths[single], "get"):
            continue
        body = {name: _sample(schema) for name, schema in _needed(_sent(document, post)).items()}
        if "{marker}" in body.values():
            parameter = single.rpartition("{")[2].rstrip("}")
            routes = _routes(path, operations, paths[single])
            return routes | _answer(post, body, parameter)
    return {}


def _routes(path: str, several: Values, single: Values) -> dict[str, str]:
    one = f"{path}/{{id}}"
    found = {"create": f"POST {path}", "read": f"GET {one}"}
    if at(several, "get"):
        found["list"] = f"GET {path}"
    if at(single, "delete"):
        found["delete"] = f"DELETE {one}"
    return found


def _answer(post: Values, body: Values, parameter: str) -> dict[str, Any]:
    statuses = [int(code) for code in map(str, mapping(at(post, "responses"))) if re.fullmatch(r"2\d\d", code)]
    return {
        "body": body,
        "status": statuses[0] if statuses else 201,
        "id": f"/{parameter if parameter in body else 'id'}",
        "marker": f"/{next(name for name, value in body.items() if value == '{marker}')}",
    }


def _sent(document: Values, post: Values) -> Values:
    """The schema of the body, with references followed."""
    body = _followed(document, at(post, "requestBody"))
    return _followed(document, at(body, "content", "application/json", "schema"))


def _followed(document: Values, value: Any) -> Values:
    reference = at(value, "$ref")
    return mapping(at(document, *str(reference).removeprefix("#/").split("/")) if reference else value)


def _needed(schema: Values) -> Values:
    """The properties without which a body is refused; all, where none is named."""
    properties = mapping(schema.get("properties"))
    return {name: kind for name, kind in properties.items() if name in (schema.get("required") or properties)}


def _sample(schema: Any) -> Any:
    """A value that fits, with the marker where any text fits."""
    kind = at(schema, "type")
    match next((one for one in kind if one != "null"), None) if isinstance(kind, list) else kind:
        case "string" if at(schema, "enum"):
            return at(schema, "enum")[0]
        case "string":
            return SAMPLES.get(str(at(schema, "format")), "{marker}")
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case "array":
            return []
    return {}
