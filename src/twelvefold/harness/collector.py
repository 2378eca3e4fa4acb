"""Collectors of traces (OTLP over HTTP): one that listens, and those that do not."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from .processes import free_port

TRACES = "/v1/traces"
KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")


@dataclass(frozen=True)
class Span:
    """A part of a trace; its identifiers are hexadecimal."""

    trace: str
    id: str
    parent: str
    """Empty for the first of a trace."""
    name: str
    kind: str
    """`server`, `producer`, `consumer` and so on."""
    service: str
    """What the resource calls itself (`service.name`)."""
    ended: int
    """When, in nanoseconds since 1970."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"


@dataclass
class Collector:
    """What has arrived at a port."""

    port: int
    spans: list[Span] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    """Whatever was sent, with one character for each byte."""
    connections: int = 0
    trouble: list[str] = field(default_factory=list)
    """What arrived and was no OTLP."""

    @property
    def url(self) -> str:
        """Its address, as an exporter is told."""
        return f"http://127.0.0.1:{self.port}"

    def of(self, trace: str) -> list[Span]:
        """The spans of a trace."""
        return [span for span in list(self.spans) if span.trace == trace]


@contextmanager
def listening(port: int = 0, counts: Callable[[int], bool] = lambda _: True) -> Iterator[Collector]:
    """A collector that takes what it is sent; raises OSError when its port is taken.

    `counts` tells of a client's port whether its connection counts.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 120  # longer than an exporter that keeps its connection has nothing to send

        def setup(self) -> None:
            super().setup()
            collector.connections += counts(self.client_address[1])

        def do_POST(self) -> None:
            try:
                _take(collector, self.path, dict(self.headers.items()), _body(self.rfile, self.headers))
            except Exception as error:  # whatever arrives, the collector stays
                collector.trouble.append(f"{self.path}: {type(error).__name__}: {error}")
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        collector = Collector(server.server_port)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield collector
        finally:
            server.shutdown()


def _body(stream: BufferedIOBase, headers: Message) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return stream.read(int(headers.get("content-length", 0)))
    body = b""
    while size := int(stream.readline().partition(b";")[0], 16):
        body += stream.read(size)
        stream.readline()
    stream.readline()
    return body


def _take(collector: Collector, path: str, headers: Mapping[str, str], body: bytes) -> None:
    given = {name.lower(): value for name, value in headers.items()}
    if given.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    collector.bodies.append(body.decode("latin-1"))
    if not path.endswith(TRACES):
        return
    if given.get("content-type", "").startswith("application/json"):
        collector.spans.extend(_of_json(json.loads(body)))
    else:
        collector.spans.extend(_of_protobuf(body))


def _of_protobuf(body: bytes) -> Iterator[Span]:
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = {entry.key: entry.value.string_value for entry in group.resource.attributes}.get("service.name", "")
        for span in (span for scope in group.scope_spans for span in scope.spans):
            ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
            yield Span(*ids, span.name, KINDS[span.kind], service, span.end_time_unix_nano)


def _of_json(body: Any) -> Iterator[Span]:
    for group in body.get("resourceSpans", []):
        attributes = group.get("resource", {}).get("attributes", [])
        service = {entry["key"]: entry["value"].get("stringValue", "") for entry in attributes}.get("service.name", "")
        for span in (span for scope in group.get("scopeSpans", []) for span in scope.get("spans", [])):
            ids = (span["traceId"], span["spanId"], span.get("parentSpanId") or "")
            kind, ended = KINDS[int(span.get("kind", 0))], int(span.get("endTimeUnixNano", 0))
            yield Span(*ids, span.get("name", ""), kind, service, ended)


@contextmanager
def refusing() -> Iterator[str]:
    """The address of a collector that is away: connections are refused."""
    with socket.socket() as place:  # bound and not listening, so that nobody else gets the port
        place.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{place.getsockname()[1]}"


@contextmanager
def silent() -> Iterator[str]:
    """The address of a collector that hangs: connections are taken, and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", free_port()), backlog=512) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
