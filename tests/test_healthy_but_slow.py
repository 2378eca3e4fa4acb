"""What a healthy service may show on a slow or busy machine, and what must not be taken for a fault."""

import http.client
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from twelvefold.claims.factor_11_logs import is_late
from twelvefold.harness import collector, metrics, sockets
from twelvefold.harness.deploy import wait_until_at_rest
from twelvefold.harness.processes import has_ended, reserve
from twelvefold.harness.routes import Asked, Search

from .programs import running

AT_END = 1_800_000_000.85


@pytest.mark.parametrize(
    ("line", "after_end", "late"),
    [
        ('{"time":"2027-01-15T08:00:00Z","message":"told to stop"}', 0.01, False),
        ('{"time":"2027-01-15T08:00:00.851Z","message":"told to stop"}', 0.01, False),
        ('{"time":"2027-01-15T08:00:00.10Z","message":"long ago"}', 0.01, True),
        ('{"time":"2027-01-15T07:59:58Z","message":"long ago"}', 0.01, True),
        ('{"time":"2027-01-15T07:59:58.5Z","message":"at once"}', -2.34, False),
        ('"GET /no-such-thing-as-1" 404', 0.01, True),
        ('"GET /no-such-thing-as-1" 404', -2, False),
    ],
)
def test_a_line_is_late_by_its_own_time(line: str, after_end: float, late: bool) -> None:
    assert is_late(line, AT_END + after_end, AT_END) is late


def test_a_histogram_is_one_family() -> None:
    text = 'jobs_bucket{le="1"} 1\njobs_bucket{le="+Inf"} 1\njobs_sum 1\njobs_count 1\nseen_total{kind="a"} 1\n'
    assert {str(one) for one in metrics.families(metrics.parse(text))} == {"jobs{}", 'seen{kind="a"}'}


def test_a_body_in_chunks_arrives_whole() -> None:
    with collector.listening() as here:
        connection = http.client.HTTPConnection("127.0.0.1", here.port, timeout=10)
        for body in ("first", "second"):  # on one connection, so that nothing may be left of the first
            connection.request("POST", "/v1/logs", iter([body[:2].encode(), body[2:].encode()]), encode_chunked=True)
            connection.getresponse().read()
        connection.close()
        assert (here.bodies, here.trouble) == (["first", "second"], [])


def test_connections_of_others_do_not_count() -> None:
    with collector.listening(counts=lambda _: False) as here:
        connection = http.client.HTTPConnection("127.0.0.1", here.port, timeout=10)
        connection.request("POST", "/v1/traces", b"")
        connection.getresponse().read()
        connection.close()
        assert here.connections == 0


class Moody(BaseHTTPRequestHandler):
    """It tells the time in each of its errors, and is busy each fifth time."""

    times = itertools.count(1)

    def do_GET(self) -> None:
        number = next(self.times)
        status = 503 if number % 5 == 0 else 200 if self.path == "/here" else 404
        body = f'{{"status": {status}, "timestamp": {time.time()}, "number": {number}}}'.encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def moody() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Moody) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_a_path_that_is_nowhere_is_no_hidden_route(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twelvefold.harness.routes.MOMENT_SECONDS", 0)
    with moody() as port, running("import time; time.sleep(60)", tmp_path, port=port) as process:
        search = Search(process)
        assert not any(search.leads_somewhere(Asked("GET", f"/{number}")) for number in range(10))
        assert search.leads_somewhere(Asked("GET", "/here"))


def test_one_that_boots_has_not_begun(tmp_path: Path) -> None:
    boots = "import time\nend = time.monotonic() + 2\nwhile time.monotonic() < end: pass\nprint('begun', flush=True)\n"
    with running(f"{boots}time.sleep(60)", tmp_path) as process:
        wait_until_at_rest(process)
        assert process.output == "begun"


def test_one_that_has_ended_holds_no_socket() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        while not has_ended(ended.pid):
            time.sleep(0.01)
        assert sockets.listeners([ended.pid]) == []
        assert sockets.ports_of([ended.pid]) == set()


def test_a_port_is_given_once() -> None:
    port = sockets.free_port_between(10_000, 19_000)
    assert not reserve(port)
