"""Every error is a problem detail (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

log = structlog.get_logger()

# SQLSTATE: no connection, no resources, shut down or starting.
OUTAGE: Final = ("08", "53", "57P")
MEDIA_TYPE: Final = "application/problem+json"


class Violation(BaseModel):
    """One thing that is wrong with a request."""

    location: str = Field(description="Where, such as body.text.")
    message: str


class Problem(BaseModel):
    """What went wrong, in the form of RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
    violations: list[Violation] | None = None


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    "default": {
        "description": "A problem",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


def problem(
    status: int,
    detail: str | None = None,
    *,
    violations: list[Violation] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem as a response."""
    content = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, violations=violations)
    return JSONResponse(
        content.model_dump(exclude_none=True), status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem, and says so in its OpenAPI document."""
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(psycopg.OperationalError)(_unavailable)

    schema = app.openapi

    def openapi() -> dict[str, Any]:
        document = schema()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        shape = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(shape.pop("$defs"), Problem=shape)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


async def _http_error(request: Request, error: HTTPException) -> JSONResponse:
    phrase = HTTPStatus(error.status_code).phrase
    detail = str(error.detail) if error.detail != phrase else None
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (route := request.scope.get("route")):
        # The framework names the methods of the first route with this path; a path may have several.
        headers = {"Allow": ", ".join(request.app.openapi()["paths"].get(route.path, {})).upper()}
    return problem(error.status_code, detail, headers=headers)


async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    violations = [
        Violation(location=".".join(str(part) for part in wrong["loc"]), message=wrong["msg"])
        for wrong in error.errors()
    ]
    return problem(422, "The request does not have the documented form.", violations=violations)


async def _unavailable(_: Request, error: psycopg.OperationalError) -> JSONResponse:
    # A deadlock or a timeout of one statement is no outage: it is logged and answered like any other failure.
    if error.sqlstate and not error.sqlstate.startswith(OUTAGE):
        raise error
    log.warning("database unavailable", reason=str(error))
    return problem(503, "The database cannot be reached now.", headers={"Retry-After": "1"})
