"""Asks a service what nobody would ask: generated from its OpenAPI document, and what generators rarely think of."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from . import tether
from .api import PARAMETER, Api, Operation, closed
from .claim import HarnessError, NotRun
from .http import Response

SEED = 12
EXAMPLES = 12  # for each operation, beside those at the edges of what its schema allows
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
PHASES = "examples,coverage,fuzzing"
FUZZ_SECONDS = 180
ANSWER_SECONDS = 30
NETWORK = ("Connection", "Timeout", "Chunked", "Decod", "Header", "Redirect")  # in the names of what goes wrong there

# What a server may answer to a request that is not well formed, or not for any operation, whatever the document says.
OF_HTTP = {400, 404, 405, 406, 408, 411, 412, 413, 414, 415, 416, 417, 426, 431, 501, 505}

ODD_TEXTS = (
    *(
        "",
        " ",
        "0",
        "-1",
        "null",
        "true",
        "NaN",
        "[]",
        "{}",
        "é",
        "\u202e\ufeff",
        "😀" * 3,
        "\uffff",
        "%s%n{0}{x}",
        "$(id)",
    ),
    *("\x00", "a\x00b", "\x7f\x1b[2J", "\r\nX-Odd: 1", "' OR 1=1; --", '"', "\\", "../../etc/passwd", "<script>"),
    *(
        "9" * 19,
        "9" * 400,
        "1e400",
        "-0",
        "0x10",
        "१",
        "2024-02-30",
        "00000000-0000-0000-0000-000000000000",
        "a" * 20_000,
    ),
    *("a@b", "@", "a@b..c", "a@.b", "a@" + "b" * 70 + ".example", "a" * 300 + "@b.example"),
    *("http://[::1", "9999-12-31T23:59:60Z", "0000-01-01"),
)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**31, 2**63, 2**64, 10**400, 1e308, 0.1, [], {}, [None], {"": None}, "\ud800", "\udc00x"),
    *ODD_TEXTS,
)
ODD_BODIES = (
    *(
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b"0",
        b"\xff\xfe\x00",
        b'{"a": \xc3\x28}',
        b"\xef\xbb\xbf{}",
        b"NaN",
    ),
    *(b"[" * 100_000, b'{"a":' * 50_000, b"1" * 10_000, b'{"\\u0000": "\\u0000"}', b'{"": "\\ud800"}', b"{'a': 1}"),
)
ODD_TYPES = (
    *("", "text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense", ";"),
    *("application/json; charset=nonsense", "application/json; charset=utf-16", "application/json; charset=", "*/*"),
)
ODD_HEADERS = (
    *(
        ("Accept", "application/xml"),
        ("Accept", ";;q=x"),
        ("Accept-Language", "\xff;q=9"),
        ("Accept-Encoding", "x;q=-1"),
    ),
    *(("Authorization", "Basic !"), ("Authorization", "Bearer " + "a" * 5000), ("Authorization", "\xff")),
    *(
        ("Cookie", "=;;=\xff; a=" + "b" * 4000),
        ("Range", "bytes=9-0"),
        ("If-None-Match", "\xff"),
        ("Expect", "nonsense"),
    ),
    *(
        ("If-Modified-Since", "yesterday"),
        ("X-Request-ID", "\xff" * 500),
        ("X-Request-ID", ""),
        ("Upgrade", "websocket"),
    ),
    *(("traceparent", "00-zz-zz-zz"), ("tracestate", "=" * 600), ("baggage", "a" * 9000), ("Origin", "null")),
    *(("X-Forwarded-For", "nonsense, ::1, 999.9.9.9"), ("X-Forwarded-Proto", "\xff"), ("X-Forwarded-Host", "a b")),
    *(("Host", ""), ("Host", "nonsense:99999"), ("Host", "[::1"), ("Content-Length", "-1"), ("Content-Length", "x")),
    *(
        ("Transfer-Encoding", "nonsense"),
        ("Content-Encoding", "gzip"),
        ("Content-Encoding", "nonsense"),
        ("X" * 300, "x"),
    ),
)
ODD_TARGETS = (
    *(
        "/%00",
        "/%ff",
        "/%zz",
        "//",
        "/..%2f..%2fetc/passwd",
        "/é",
        "/" + "a" * 8000,
        "*",
        "http://127.0.0.1/",
        "/?%00=%ff",
        "/;",
    ),
    *("/%E2%80%AE", "/\\..\\..", "/a" * 1000, "/?" + "a=1&" * 2000),
)
# With these a server may wait for what does not come, or hang up.
FRAMING = ("Content-Length", "Transfer-Encoding", "Expect", "Upgrade")
ODD_METHODS = ("HEAD", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "NONSENSE")
HUGE = 4_000_000


@dataclass(frozen=True)
class Question:
    """A request, in the bytes that are sent."""

    told: str
    """What is odd about it."""
    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    operation: Operation | None = None
    """The operation that it is for; without one, only HTTP says what may be answered."""
    well_formed: bool = True
    """Whether an answer has to be one that is documented, not one of HTTP's own."""
    unanswered: bool = False
    """Whether a server may wait for more, or hang up."""

    @property
    def data(self) -> bytes:
        """The whole request."""
        given = {name.lower() for name, _ in self.headers}
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers)]
        if "host" not in given:
            lines.append("Host: 127.0.0.1")
        if self.body is not None and "content-length" not in given:
            lines.append(f"Content-Length: {len(self.body)}")
        head = "\r\n".join((*lines, "Connection: close", "", ""))
        return head.encode("latin-1", "replace") + (self.body or b"")


@dataclass
class Fuzzed:
    """What came of it."""

    asked: int
    faults: list[str] = field(default_factory=list)
    """One a kind: the request, and what is wrong with its answer."""


def generated(api: Api, port: int, folder: Path, bodies: Mapping[str, Any], ids: Mapping[str, str]) -> Fuzzed:
    """Asks what schemathesis makes of the document, always the same; the folder is its own.

    Raises HarnessError when it breaks off, and NotRun when it cannot work with the document, or takes too long.
    """
    folder.mkdir()
    report = folder / "report.ndjson"
    (folder / "openapi.json").write_text(json.dumps(_with_examples(closed(api), bodies, ids).document))
    words = [
        *(
            sys.executable,
            "-m",
            "schemathesis.cli",
            "run",
            "openapi.json",
            "--url",
            f"http://127.0.0.1:{port}{api.base}",
        ),
        *("--checks", CHECKS, "--phases", PHASES, "--max-examples", str(EXAMPLES), "--seed", str(SEED)),
        *("--generation-database", "none", "--no-shrink", "--continue-on-failure", "--warnings", "off", "--no-color"),
        *("--suppress-health-check", "all", "--request-timeout", str(ANSWER_SECONDS)),
        *("--report", "ndjson", "--report-ndjson-path", str(report)),
    ]
    environment = {"PATH": os.defpath, "HOME": str(folder), "NO_PROXY": "*", "PYTHONDONTWRITEBYTECODE": "1"}
    with (folder / "output").open("wb") as output:
        process = tether.spawn(words, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            process.wait(FUZZ_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise NotRun(f"schemathesis did not end within {FUZZ_SECONDS} s") from None
    said = (folder / "output").read_text(errors="replace")
    if process.returncode not in (0, 1) or not report.exists():
        raise HarnessError(f"schemathesis ended with {process.returncode}: {said[-600:]}")
    return _found(api, report)


def _with_examples(api: Api, bodies: Mapping[str, Any], ids: Mapping[str, str]) -> Api:
    """Has it ask for things that exist, which it would hardly guess."""
    for operation in api.operations:
        for parameter in map(api.followed, operation.parameters):
            if parameter.get("in") == "path" and str(operation) in ids:
                parameter["example"] = ids[str(operation)]
        content = api.followed(operation.details.get("requestBody", {})).get("content", {})
        if str(operation) in bodies and "application/json" in content:
            content["application/json"]["example"] = bodies[str(operation)]
    return api


def _found(api: Api, report: Path) -> Fuzzed:
    """What the report tells; of many faults of one kind only the first."""
    fuzzed, kinds = Fuzzed(0), set()
    for event in map(json.loads, report.read_text().splitlines()):
        recorder = event.get("ScenarioFinished", {}).get("recorder") or {}
        fuzzed.asked += len(recorder.get("interactions") or {})
        for case, checks in (recorder.get("checks") or {}).items():
            asked = (recorder.get("interactions") or {}).get(case, {})
            for fault in _faults(api, asked, checks):
                kind = (recorder["label"], fault.splitlines()[0][:40])
                if kind not in kinds:
                    kinds.add(kind)
                    fuzzed.faults.append(fault)
        if broken := event.get("NonFatalError") or event.get("FatalError"):
            value = broken.get("value") or broken.get("exception") or {}
            told = f"{broken.get('label', 'the document')}: {value.get('type', 'error')}: {value.get('message', '')}"[
                :300
            ]
            if not any(word in str(value.get("type")) for word in NETWORK):
                raise NotRun(f"schemathesis cannot work with the document: {told}")
            fuzzed.faults.append(told)
    return fuzzed


def _faults(api: Api, asked: Mapping[str, Any], checks: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    request, response = asked.get("request") or {}, asked.get("response") or {}
    method, status = request.get("method", ""), response.get("status_code")
    path = urlsplit(request.get("uri", "")).path
    if status == 501 and method not in api.paths.get(api.template_of(path) or "", ()):
        return  # a method that the server does not know, and need not
    body = _text(response.get("content"))
    for check in checks:
        if check.get("status") == "failure":
            failure = check["failure_info"]["failure"]
            told = ": ".join(filter(None, (failure["title"], " ".join(failure["message"].split()))))
            yield f"{method} {request.get('uri', '')[:120]} gave {status}, {told[:200]} ({body[:120]})"


def _text(content: Any) -> str:
    encoded = content.get("$base64", "") if isinstance(content, Mapping) else content or ""
    return base64.b64decode(encoded).decode(errors="replace") if isinstance(content, Mapping) else str(encoded)


def odd(api: Api, port: int, bodies: Mapping[str, Any], ids: Mapping[str, str]) -> Fuzzed:
    """Asks what generators rarely think of, as long as there is somebody to ask."""
    fuzzed, kinds = Fuzzed(0), set()
    before = "nothing"
    for question in odd_questions(api, bodies, ids):
        try:
            response = ask(port, question, 2 if question.unanswered else ANSWER_SECONDS)
        except OSError as error:
            fuzzed.faults.insert(0, f"after {before} nobody answers any more ({error})")
            break
        fuzzed.asked += 1
        before = f"{question.method} {question.target[:120]} with {question.told}"
        fault = judge(api, question, response)
        kind = (str(question.operation), question.told, fault)
        if fault and kind not in kinds:
            kinds.add(kind)
            fuzzed.faults.append(f"{before} gave {fault}")
    return fuzzed


def ask(port: int, question: Question, timeout: float = 10) -> Response | None:
    """Sends the bytes as they are; returns None when there is no answer, or none that is HTTP.

    Raises OSError when nobody takes the connection.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        with suppress(OSError):  # the server may have heard enough, and have answered
            connection.sendall(question.data)
        try:
            answer = HTTPResponse(connection, method=question.method)
            answer.begin()
            return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        except (OSError, HTTPException):
            return None


def judge(api: Api, question: Question, response: Response | None) -> str:
    """What is wrong with an answer; empty when nothing is."""
    if response is None:
        return "" if question.unanswered else "no answer"
    if response.status >= 500 and not (response.status in OF_HTTP and question.operation is None):
        return f"{response.status}"
    if question.operation is None or (not question.well_formed and response.status in OF_HTTP):
        return ""
    documented = question.operation.documents(response.status)
    if documented is None:
        return f"{response.status}, which is not documented"
    content = api.followed(documented).get("content", {})
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.body and content and not any(_covers(str(name), kind) for name in content):
        return f"{response.status} with {kind or 'no media type'}, where {' or '.join(content)} is documented"
    return ""


def _covers(pattern: str, kind: str) -> bool:
    wanted = pattern.partition(";")[0].strip().lower()
    main, _, sub = wanted.partition("/")
    return wanted in ("*/*", kind) or (sub == "*" and kind.startswith(f"{main}/"))


def odd_questions(api: Api, bodies: Mapping[str, Any], ids: Mapping[str, str]) -> Iterator[Question]:
    """What generators rarely think of.

    `bodies` has a good body for some operations by their name, `ids` a good parameter for some paths.
    """
    for operation in api.operations:
        path = filled(operation.path, ids)
        good = bodies.get(str(operation))
        yield from _odd_parameters(api, operation, path, good)
        if "requestBody" in operation.details:
            yield from _odd_bodies(operation, path, good)
        for name, value in ODD_HEADERS:
            framing = name in FRAMING
            told = f"{name}: {value[:20]}"
            yield _question(told, operation, path, good, ((name, value),), well_formed=False, unanswered=framing)
    for path in api.paths:
        for method in ODD_METHODS:
            if method not in api.paths[path]:
                yield Question(method, method, filled(path, ids))
    for target in ODD_TARGETS:
        yield Question("an odd target", "GET", target, unanswered=len(target) > 4000)


def filled(template: str, ids: Mapping[str, str]) -> str:
    """A path with a value for each of its parameters."""
    return PARAMETER.sub(ids.get(template, "1"), template)


def _odd_parameters(api: Api, operation: Operation, path: str, good: Any) -> Iterator[Question]:
    for text in ODD_TEXTS:
        word = quote(text, safe="")
        if word and PARAMETER.search(operation.path):
            odd = PARAMETER.sub(word, operation.path)  # nothing in a quoted word has a meaning there
            yield _question(
                "an odd path parameter", operation, odd, good, unanswered=len(odd) > 4000, well_formed=False
            )
    for parameter in map(api.followed, operation.parameters):
        if parameter.get("in") != "query":
            continue
        name = quote(str(parameter["name"]), safe="")
        words = [*(quote(text, safe="") for text in ODD_TEXTS), "%ff", "%", "1&" + name + "=2", "%ed%a0%80"]
        for word in words:
            target = f"{path}?{name}={word}"
            yield _question(f"an odd {parameter['name']}", operation, target, good, unanswered=len(target) > 4000)


def _odd_bodies(operation: Operation, path: str, good: Any) -> Iterator[Question]:
    for name in good if isinstance(good, dict) else ():
        for value in ODD_VALUES:
            yield _question(f"an odd {name}", operation, path, {**good, name: value})
    for body in ODD_BODIES:
        yield _question(f"the body {body[:20]!r}", operation, path, body, well_formed=False)
    for kind in ODD_TYPES:
        yield _question(
            f"Content-Type: {kind}", operation, path, good or {}, (("Content-Type", kind),), well_formed=False
        )
    yield _question("a body without end", operation, path, b"{", (("Content-Length", str(10**13)),), unanswered=True)
    yield _question("a huge body", operation, path, b" " * HUGE, unanswered=True, well_formed=False)


def _question(
    told: str,
    operation: Operation,
    target: str,
    body: Any,
    headers: tuple[tuple[str, str], ...] = (),
    *,
    well_formed: bool = True,
    unanswered: bool = False,
) -> Question:
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    if data is not None and not any(name.lower() == "content-type" for name, _ in headers):
        headers = (*headers, ("Content-Type", "application/json"))
    return Question(told, operation.method, target, headers, data, operation, well_formed, unanswered)
