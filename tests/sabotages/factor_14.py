"""Faults of telemetry."""

from . import Edit, Sabotage

MIDDLEWARE = "src/orders/web/middleware.py"
TELEMETRY = "src/orders/telemetry.py"
APP = "src/orders/web/app.py"
TRACING = "src/orders/tracing.py"
JOBS = "src/orders/jobs.py"
ROUTES = "src/orders/notes/routes.py"
MODEL = "src/orders/notes/model.py"
CREATED = '    response.headers["Location"]'
LABELS = "    requests, duration = _series(method, route, status)\n"
ROUTE = '    route = getattr(scope.get("route"), "path", "unmatched" if status == 404 else "other")\n'
METHOD = '    method = scope["method"] if scope["method"] in METHODS else "other"\n'
EXPOSITION = "    return generate_latest(REGISTRY)\n"
MEASURE = "    telemetry.QUEUE_JOBS.clear()\n"
COUNTED = "    requests.inc()\n"
ENDED = "            telemetry.IN_FLIGHT.dec()\n"
RECORDED = "            _record(scope, status, sent, perf_counter() - started)\n"
JOB_COUNTED = "            telemetry.JOBS.labels(job.name, outcome).inc()\n"
TAKEN = "        origin = arguments.pop(ORIGIN, {})\n"
ORIGIN = "    return tracing.carrier() | ("
BATCH = "    provider.add_span_processor(BatchSpanProcessor(exporter))\n"
ENDPOINT = """    if settings.otel_exporter_otlp_endpoint is None:
        return
"""

SABOTAGES = [
    Sabotage(
        "XIV.1",
        "the metrics are a static text",
        (Edit(TELEMETRY, EXPOSITION, "    return _TEXT\n\n\n_TEXT = generate_latest(REGISTRY)\n"),),
        ("XIV.2", "IX.2", "XIII.2"),
    ),
    Sabotage(
        "XIV.1",
        "a request counts twice",
        (Edit(MIDDLEWARE, COUNTED, "    requests.inc()\n    requests.inc()\n"),),
        ("XIV.2", "XIV.3", "IX.2"),
    ),
    Sabotage(
        "XIV.1",
        "every request counts as a success",
        (Edit(MIDDLEWARE, LABELS, LABELS.replace("status)", "200)")),),
        ("XIV.2", "XIV.3"),
    ),
    Sabotage(
        "XIV.1",
        "every tenth request counts for ten",
        (Edit(MIDDLEWARE, COUNTED, "    if next(NUMBERS) % 10 == 0:\n        requests.inc(10)\n"),),
        ("XIV.2", "XIV.3"),
    ),
    Sabotage(
        "XIV.1",
        "the queue is counted once, at the first question",
        (
            Edit(
                JOBS,
                MEASURE,
                "    if telemetry.QUEUE_JOBS.collect()[0].samples:\n        return\n" + MEASURE,
            ),
        ),
        ("XIV.3", "IX.2"),
    ),
    Sabotage(
        "XIV.1",
        "the queue's gauge counts jobs that run as well",
        (
            Edit(
                JOBS,
                "procrastinate_jobs WHERE status = 'todo'),\n",
                "procrastinate_jobs WHERE status IN ('todo', 'doing')),\n",
            ),
        ),
        ("XIV.3", "IX.2"),
    ),
    Sabotage(
        "XIV.1",
        "a request that fails does not count",
        (Edit(MIDDLEWARE, RECORDED, "            if status < 500:\n    " + RECORDED),),
        ("XIV.2", "XIV.3"),
    ),
    Sabotage(
        "XIV.1",
        "a request that is refused stays in flight",
        (Edit(MIDDLEWARE, ENDED, "            if status < 400:\n    " + ENDED),),
        ("XIV.2", "XIV.3"),
    ),
    Sabotage(
        "XIV.1",
        "a job counts twice",
        (Edit("src/orders/worker.py", JOB_COUNTED, JOB_COUNTED * 2),),
        ("XIV.2", "XIV.3"),
    ),
    Sabotage(
        "XIV.1",
        "the queue's gauge leaves out what waits to be tried again",
        (
            Edit(
                JOBS,
                "        (SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'),\n",
                "        (SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND scheduled_at IS NULL),\n",
            ),
        ),
        ("XIV.2", "XIV.3"),
    ),
    Sabotage(
        "XIV.1",
        "a body that is too large is refused before anybody counts",
        (
            Edit(
                APP,
                "    app.add_middleware(LimitBody, limit=settings.max_body_bytes)\n"
                "    app.add_middleware(Observe, lifecycle=app.state.lifecycle)\n",
                "    app.add_middleware(Observe, lifecycle=app.state.lifecycle)\n"
                "    app.add_middleware(LimitBody, limit=settings.max_body_bytes)\n",
            ),
        ),
        ("XIV.2", "XIV.3"),
    ),
    Sabotage(
        "XIV.1",
        "a deletion does not count",
        (Edit(MIDDLEWARE, COUNTED, '    if method != "DELETE":\n        requests.inc()\n'),),
        ("XIV.2", "XIV.3"),
    ),
    Sabotage(
        "XIV.2",
        "the context is dropped on the way into the queue",
        (Edit(JOBS, ORIGIN, "    return ("),),
        ("XIV.1", "XIV.3", "IX.2"),
    ),
    Sabotage(
        "XIV.2",
        "a job that is tried again begins a trace of its own",
        (Edit("src/orders/worker.py", TAKEN, TAKEN + "        if failures:\n            origin = {}\n"),),
        ("XIV.1", "XIV.3"),
    ),
    Sabotage(
        "XIV.2",
        "the context that a client sends is not read",
        (
            Edit(
                "src/orders/web/server.py",
                "    def on_headers_complete(self) -> None:\n",
                "    def on_header(self, name: bytes, value: bytes) -> None:\n"
                '        """Lets what comes from outside start no trace."""\n'
                '        if name.lower() != b"traceparent":\n'
                "            super().on_header(name, value)\n\n"
                "    def on_headers_complete(self) -> None:\n",
            ),
        ),
        ("XIV.1", "XIV.3"),
    ),
    Sabotage(
        "XIV.2",
        "each span is sent before the work goes on",
        (
            Edit(
                TRACING,
                BATCH,
                "    from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n\n"
                "    provider.add_span_processor(SimpleSpanProcessor(exporter))\n",
            ),
        ),
        ("XIV.1", "IX.2"),
    ),
    Sabotage(
        "XIV.2",
        "the end waits for the collector",
        (
            Edit(
                TRACING,
                "    if provider:\n        last = threading.Thread(target=provider.shutdown, daemon=True)\n",
                "    if provider:\n        provider.force_flush(60_000)\n"
                "        last = threading.Thread(target=provider.shutdown, daemon=True)\n",
            ),
            Edit(TRACING, "        timeout=EXPORT_SECONDS,\n", "        timeout=60,\n"),
        ),
        ("XIV.1", "IX.2"),
    ),
    Sabotage(
        "XIV.2",
        "a one-off waits until its spans are taken",
        (
            Edit(TRACING, "        timeout=EXPORT_SECONDS,\n", '        timeout=10 if process == "admin" else 1,\n'),
            Edit(
                "src/orders/admin/__init__.py",
                "        asyncio.run(_run(chosen, loaded, values))\n",
                '        with tracing.span(chosen.name, "client"):\n'
                "            asyncio.run(_run(chosen, loaded, values))\n",
            ),
            Edit(
                "src/orders/admin/__init__.py",
                '    log.info("done")\n',
                '    log.info("done")\n    if tracing.provider:\n        tracing.provider.shutdown()\n',
            ),
        ),
        ("XIV.1", "XIV.3"),
    ),
    Sabotage(
        "XIV.2",
        "traces go to the usual place when nobody names one",
        (
            Edit(TRACING, ENDPOINT, ""),
            Edit(
                TRACING,
                "str(settings.otel_exporter_otlp_endpoint).rstrip",
                'str(settings.otel_exporter_otlp_endpoint or "http://127.0.0.1:4318").rstrip',
            ),
            Edit(TRACING, "ParentBasedTraceIdRatio(settings.otel_traces_sampler_arg)", "ParentBasedTraceIdRatio(1)"),
        ),
        ("XIV.1", "IX.2"),
    ),
    Sabotage(
        "XIV.3",
        "the path as it is asked for is a label",
        (Edit(MIDDLEWARE, ROUTE, '    route = scope["path"]\n'),),
        ("XIV.2", "IX.2"),
    ),
    Sabotage(
        "XIV.3",
        "the client's program is a label",
        (
            Edit(
                TELEMETRY,
                "IN_FLIGHT = Gauge(",
                'CLIENTS = Counter("http_clients", "Requests by program.", ["client"], registry=REGISTRY)\n'
                "IN_FLIGHT = Gauge(",
            ),
            Edit(
                MIDDLEWARE,
                COUNTED,
                COUNTED + '    client = dict(scope["headers"]).get(b"user-agent", b"")\n'
                '    telemetry.CLIENTS.labels(client.decode("latin-1")).inc()\n',
            ),
        ),
        ("XIV.2", "IX.2"),
    ),
    Sabotage(
        "XIV.3",
        "every method is a label of its own",
        (Edit(MIDDLEWARE, METHOD, '    method = scope["method"]\n'),),
        ("XIV.1", "XIV.2", "IX.2"),
    ),
    Sabotage(
        "XIV.3",
        "each job has a series of its own",
        (
            Edit(
                "src/orders/worker.py",
                JOB_COUNTED,
                '            telemetry.JOBS.labels(f"{job.name}:{job_id}", outcome).inc()\n',
            ),
        ),
        ("XIV.2",),
        also=("XIV.1",),
    ),
    Sabotage(
        "XIV.3",
        "the domain of each author is a label",
        (
            Edit(
                TELEMETRY,
                "IN_FLIGHT = Gauge(",
                'NOTES = Counter("notes", "Notes by domain.", ["domain"], registry=REGISTRY)\nIN_FLIGHT = Gauge(',
            ),
            Edit(
                ROUTES,
                CREATED,
                '    telemetry.NOTES.labels((new.author or "").rpartition("@")[2]).inc()\n' + CREATED,
            ),
            Edit(ROUTES, "from ..web.context", "from .. import telemetry\nfrom ..web.context"),
        ),
        ("XIV.1", "XIV.2"),
    ),
    Sabotage(
        "XIV.3",
        "a field that a client may fill is a label",
        (
            Edit(MODEL, "\n    text: Text\n", '\n    text: Text\n    source: Text = "unknown"\n'),
            Edit(
                TELEMETRY,
                "IN_FLIGHT = Gauge(",
                'NOTES = Counter("notes", "Notes by source.", ["source"], registry=REGISTRY)\nIN_FLIGHT = Gauge(',
            ),
            Edit(ROUTES, CREATED, "    telemetry.NOTES.labels(new.source).inc()\n" + CREATED),
            Edit(ROUTES, "from ..web.context", "from .. import telemetry\nfrom ..web.context"),
        ),
        ("XIV.1", "XIV.2"),
    ),
    Sabotage(
        "XIV.3",
        "the tenant that a header names is a label",
        (Edit(MIDDLEWARE, ROUTE, ROUTE + '    route = Headers(scope=scope).get("x-tenant", "") + route\n'),),
        ("XIV.1", "XIV.2"),
    ),
    Sabotage(
        "XIV.3",
        "where a click came from, as its address says, is a label",
        (
            Edit(
                TELEMETRY,
                "IN_FLIGHT = Gauge(",
                'CLICKS = Counter("clicks", "Clicks by source.", ["source"], registry=REGISTRY)\nIN_FLIGHT = Gauge(',
            ),
            Edit(
                ROUTES,
                "    return Page(",
                '    telemetry.CLICKS.labels(request.query_params.get("utm_source", "")).inc()\n    return Page(',
            ),
            Edit(
                ROUTES,
                "async def list_notes(\n    database: Database,",
                "async def list_notes(\n    request: Request, database: Database,",
            ),
            Edit(ROUTES, "from ..web.context", "from .. import telemetry\nfrom ..web.context"),
        ),
        ("XIV.1", "XIV.2"),
    ),
]
