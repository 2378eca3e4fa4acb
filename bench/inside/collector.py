"""A collector of traces that takes all and keeps nothing: `python collector.py PORT`. GET says how much it took."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

taken = {"requests": 0, "bytes": 0}


class Handler(BaseHTTPRequestHandler):
    """Answers on connections that are kept."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Takes spans."""
        size = len(self.rfile.read(int(self.headers["content-length"])))
        taken["requests"] += 1
        taken["bytes"] += size
        self._answer(b"")

    def do_GET(self) -> None:
        """Says how much came."""
        self._answer(json.dumps(taken).encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf" if self.command == "POST" else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
