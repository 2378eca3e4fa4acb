"""The HTTP application: the features' routes between the service's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from .. import identity, parts, tracing
from ..resources import attached
from ..settings import Settings
from . import errors, health
from .context import Lifecycle
from .middleware import LimitBody, Observe


def create_app(settings: Settings, lifecycle: Lifecycle | None = None) -> FastAPI:
    """The application, not yet attached to its resources: that happens when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with attached(settings) as resources:
            app.state.resources = resources
            yield

    app = FastAPI(
        title=identity.SERVICE,
        version=identity.VERSION,
        lifespan=lifespan,
        docs_url="/docs" if settings.feature_api_docs else None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would name the host that the client claims
        responses=errors.RESPONSES,
        generate_unique_id_function=lambda route: route.name,
        telemetry={
            "tracing": tracing.provider is not None,
            "tracer_provider": tracing.provider,
            "operation_spans": False,  # with them a request costs twice as much again
            "metrics": False,
            "logs": False,
            "auto_configure": False,
            "exclude": lambda scope: scope["path"] in health.PATHS,
        },
    )
    app.state.settings = settings
    app.state.lifecycle = lifecycle or Lifecycle()
    errors.install(app)
    health.install(app)
    for module in parts.of_features("routes"):
        app.include_router(module.router)
    app.add_middleware(LimitBody, limit=settings.max_body_bytes)
    app.add_middleware(Observe, lifecycle=app.state.lifecycle)
    return app
