"""What every request passes through: two plain ASGI layers that neither buffer nor start a task."""

import re
import secrets
from asyncio import CancelledError
from functools import cache
from itertools import count
from time import perf_counter

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import telemetry, tracing
from . import errors
from .context import Lifecycle

log = structlog.get_logger()

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PROCESS_ID = secrets.token_hex(8)
NUMBERS = count(1)
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


class Observe:
    """Gives each request its id, its access log event and its place in the metrics; answers what failed."""

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle) -> None:
        self._app = app
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request, or passes a start-up message on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        started = perf_counter()
        request_id = _request_id(scope)
        status = 0
        sent = 0

        async def observed(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
                if self._lifecycle.draining:  # the client's next request goes to another process
                    message["headers"].append((b"connection", b"close"))
            else:
                sent += len(message.get("body", b""))
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=request_id)
        telemetry.IN_FLIGHT.inc()
        try:
            await self._app(scope, receive, observed)
        except CancelledError:  # the grace time is over
            self._lifecycle.cut_off += 1
            log.error("request cut off")
            if status == 0:
                await errors.problem(503)(scope, receive, observed)
        except Exception:
            log.exception("request failed")
            if status == 0:
                await errors.problem(500)(scope, receive, observed)
        finally:
            telemetry.IN_FLIGHT.dec()
            _record(scope, status, sent, perf_counter() - started)


class LimitBody:
    """Refuses a request body over the limit, before reading it where its length is announced."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request, or passes a start-up message on."""
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        too_large = HTTPException(413, f"The body is larger than {self._limit} bytes.")
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced) > self._limit:
            await errors.problem(413, too_large.detail, headers={"connection": "close"})(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise too_large
            return message

        await self._app(scope, limited, send)


def _request_id(scope: Scope) -> str:
    given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")
    # Unique without asking the system for random numbers at each request, which would take a twentieth of its time.
    return given if REQUEST_ID.match(given) else f"{PROCESS_ID}{next(NUMBERS):016x}"


@cache  # looking labels up takes a lock each time, and there are as many as there are routes
def _series(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return telemetry.REQUESTS.labels(method, route, status), telemetry.REQUEST_SECONDS.labels(method, route)


def _record(scope: Scope, status: int, sent: int, seconds: float) -> None:
    # The template of the route and a known method: what a client makes up must not grow the set of series.
    route = getattr(scope.get("route"), "path", "unmatched" if status == 404 else "other")
    method = scope["method"] if scope["method"] in METHODS else "other"
    requests, duration = _series(method, route, status)
    requests.inc()
    duration.observe(seconds)
    what = {"method": method, "route": route, "status": status, "duration": round(seconds, 6), "bytes": sent}
    log.info("request", **what, **tracing.current())
