"""Traces, by OpenTelemetry: what caused what, across statements and processes.

Its SDK is only imported where OTEL_EXPORTER_OTLP_ENDPOINT is set. A collector that is away costs spans, nothing else.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from . import identity

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from .settings import Settings

EXPORT_SECONDS = 1.0  # how long an export may take, and how long an end waits for the last one

provider: TracerProvider | None = None  # set once, as the process starts


def configure(settings: Settings, process: str) -> None:
    """Starts to trace, if the settings say where traces go."""
    if settings.otel_exporter_otlp_endpoint is None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    global provider
    headers = settings.secret("otel_exporter_otlp_headers") if settings.otel_exporter_otlp_headers else ""
    pairs = [pair.split("=", 1) for pair in headers.split(",") if pair]
    # The library reads the variable as well, and quotes in a warning what it cannot read.
    logging.getLogger("opentelemetry.util.re").disabled = True
    exporter = OTLPSpanExporter(
        endpoint=f"{str(settings.otel_exporter_otlp_endpoint).rstrip('/')}/v1/traces",
        headers={name.strip(): unquote(value.strip()) for name, value in pairs},
        timeout=EXPORT_SECONDS,
    )
    provider = TracerProvider(
        sampler=ParentBasedTraceIdRatio(settings.otel_traces_sampler_arg),
        resource=Resource.create(
            {"service.name": identity.SERVICE, "service.version": identity.VERSION, "process.type": process}
        ),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))


def finish() -> None:
    """Hands the last spans over, and does not wait long for a collector that is away."""
    if provider:
        last = threading.Thread(target=provider.shutdown, daemon=True)
        last.start()
        last.join(EXPORT_SECONDS)


@contextmanager
def span(
    name: str, kind: Literal["client", "producer", "consumer"], parent: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Traces what happens inside, as part of what happens around it or of the `parent` that a carrier names."""
    if provider is None:
        yield
        return
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract(parent) if parent is not None else None
    tracer = provider.get_tracer(identity.SERVICE)
    with tracer.start_as_current_span(name, context, SpanKind[kind.upper()]):
        yield


def carrier() -> dict[str, str]:
    """What another process needs to continue the current trace."""
    found: dict[str, str] = {}
    if provider:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        TraceContextTextMapPropagator().inject(found)
    return found


def current() -> dict[str, str]:
    """The ids of the current trace and span, for an event; empty where nothing is traced."""
    if provider is None:
        return {}
    from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

    context = get_current_span().get_span_context()
    if not context.trace_flags.sampled:
        return {}
    return {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}
