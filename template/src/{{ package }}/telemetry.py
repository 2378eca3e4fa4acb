"""What the service tells about itself in numbers, in Prometheus' text format."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from . import identity

REGISTRY = CollectorRegistry()

BUILD = Gauge("build_info", "What runs here: always 1.", ["service", "version", "commit"], registry=REGISTRY)
BUILD.labels(identity.SERVICE, identity.VERSION, identity.commit()).set(1)
REQUESTS = Counter(
    "http_requests", "Requests answered, by route template.", ["method", "route", "status"], registry=REGISTRY
)
REQUEST_SECONDS = Histogram(
    "http_request_duration_seconds",
    "Time from a request's arrival to the last byte of its answer, in seconds.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
IN_FLIGHT = Gauge("http_requests_in_flight", "Requests that are being answered now.", registry=REGISTRY)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition() -> bytes:
    """All metrics as they are now."""
    return generate_latest(REGISTRY)
