"""A registry of images on this machine, as far as `docker push` and `docker pull` need one."""

import hashlib
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_hex
from urllib.parse import parse_qs, urlsplit


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Serves what is pushed to it from `folder`; gives the host and port that begin the names of its images."""

    class Handler(_Handler):
        root = folder

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Keeps blobs and manifests as files named by their digests, and a manifest's media type and tags beside it."""

    protocol_version = "HTTP/1.1"
    root: Path

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        *_, kind, name = self.path.split("/")
        if kind == "v2" or not name:
            return self._answer(200)
        tag = self._file(f"tag {name}")
        file = self._file(tag.read_text() if tag.exists() else name)
        if not file.exists():
            return self._answer(404)
        media_type = self._file(f"type {file.name}")
        self.send_response(200)
        self.send_header("Content-Type", media_type.read_text() if media_type.exists() else "application/octet-stream")
        self.send_header("Content-Length", str(file.stat().st_size))
        self.send_header("Docker-Content-Digest", file.name)
        self.end_headers()
        if self.command == "GET":
            with file.open("rb") as content:
                shutil.copyfileobj(content, self.wfile)
        return None

    def do_POST(self) -> None:
        self._answer(202, Location=f"{urlsplit(self.path).path}{token_hex(8)}")

    def do_PATCH(self) -> None:
        file = self._file(self.path.rpartition("/")[2])
        self._receive(file)
        self._answer(202, Location=self.path, Range=f"0-{file.stat().st_size - 1}")

    def do_PUT(self) -> None:
        url = urlsplit(self.path)
        *_, kind, name = url.path.split("/")
        file = self._file(name)
        self._receive(file)
        if kind == "manifests":
            digest = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
            self._file(f"type {digest}").write_text(self.headers["Content-Type"])
            self._file(f"tag {name}").write_text(digest)
        else:
            [digest] = parse_qs(url.query)["digest"]
        file.rename(self._file(digest))
        self._answer(201, **{"Docker-Content-Digest": digest})

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _file(self, name: str) -> Path:
        return self.root / name

    def _receive(self, file: Path) -> None:
        with file.open("ab") as content:
            if length := self.headers.get("Content-Length"):
                content.write(self.rfile.read(int(length)))
            elif self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    content.write(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
