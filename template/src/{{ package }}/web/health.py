"""What the platform asks: is it alive, is it ready, how is it doing."""

from typing import Literal

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel

from .. import identity, telemetry

PATHS = frozenset({"/livez", "/readyz", "/metrics"})


class Liveness(BaseModel):
    """The process runs, and this is what it is."""

    status: Literal["alive"]
    service: str
    version: str
    commit: str


class Readiness(BaseModel):
    """Whether requests should be sent here; each resource is ok, or named with its kind of failure."""

    status: Literal["ready", "not ready", "draining"]
    resources: dict[str, str]


async def livez() -> Liveness:
    """Asks no resource: restarting the process would not bring one back."""
    return Liveness(status="alive", service=identity.SERVICE, version=identity.VERSION, commit=identity.commit())


async def readyz(request: Request) -> Readiness:
    """Asks every attached resource, and says no as soon as the process has been told to stop."""
    state = request.app.state
    readiness = Readiness.model_validate(await state.resources.readiness(draining=state.lifecycle.draining))
    if readiness.status == "ready":
        return readiness
    return JSONResponse(readiness.model_dump(), status_code=503)  # type: ignore[return-value]


async def metrics(request: Request) -> Response:
    """The process's metrics, for Prometheus."""
    await request.app.state.resources.measure()
    return Response(telemetry.exposition(), media_type=telemetry.CONTENT_TYPE)


def install(app: FastAPI) -> None:
    """Adds the routes to the application itself, which finds them sooner than those of an included router."""
    app.get("/livez", tags=["operations"])(livez)
    app.get("/readyz", tags=["operations"], responses={503: {"model": Readiness}})(readyz)
    app.get("/metrics", tags=["operations"], response_class=PlainTextResponse)(metrics)
