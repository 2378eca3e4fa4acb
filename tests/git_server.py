"""A git server on this machine: smart HTTP by `git http-backend`, and repositories that fail as real ones do."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

# What git http-backend reads of a request, by the header that has it.
HEADERS = {
    "Content-Encoding": "HTTP_CONTENT_ENCODING",
    "Content-Length": "CONTENT_LENGTH",
    "Content-Type": "CONTENT_TYPE",
    "Git-Protocol": "GIT_PROTOCOL",
}


@dataclass
class GitServer:
    """Serves the repositories below a folder; `asked` has the requests in their order, `sent` the bytes of answers."""

    folder: Path
    password_for: str = "\0"
    never_answers: str = "\0"
    released: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)
    sent: int = 0
    port: int = 0

    def url(self, name: str) -> str:
        """The address of a repository."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes, bytes]:
        """Status, header lines and body of an answer."""
        self.asked.append(f"{method} {target}")
        path, query = urlsplit(target).path, urlsplit(target).query
        if path.startswith(f"/{self.never_answers}/"):
            self.released.wait()
        if path.startswith(f"/{self.password_for}/"):
            return 401, b'WWW-Authenticate: Basic realm="git"\r\n', b"who are you?"
        return self._by_git(method, path, query, headers, body)

    def _by_git(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes, bytes]:
        given = {variable: headers[name] for name, variable in HEADERS.items() if name in headers}
        request = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "REMOTE_ADDR": "127.0.0.1"}
        served = {"GIT_PROJECT_ROOT": str(self.folder), "GIT_HTTP_EXPORT_ALL": "1"}
        done = subprocess.run(
            ["git", "http-backend"],
            env={**os.environ, **request, **served, **given},
            input=body,
            capture_output=True,
            check=False,  # a refusal is an answer too
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        self.sent += len(done.stdout)
        status = next((int(line.split()[1]) for line in lines if line.lower().startswith(b"status:")), 200)
        kept = [line for line in lines if not line.lower().startswith((b"status:", b"content-length:"))]
        return status, b"".join(line + b"\r\n" for line in kept), content


@contextmanager
def serving(server: GitServer) -> Iterator[GitServer]:
    """Serves on a free port of this machine until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _answer(self, body: bytes) -> None:
            status, head, content = server.answer(self.command, self.path, dict(self.headers), body)
            first = f"HTTP/1.1 {status} .\r\nContent-Length: {len(content)}\r\n".encode()
            self.wfile.write(first + head + b"\r\n" + content)

        def log_message(self, *arguments: object) -> None:
            pass

    with _Listening(("127.0.0.1", 0), Handler) as listening:
        server.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            listening.shutdown()
            thread.join()


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 200

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone away is no news."""


def main() -> None:
    """Serves a folder until the input ends; the first line of its output is the port."""
    with serving(GitServer(Path(sys.argv[1]))) as server:
        print(server.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
