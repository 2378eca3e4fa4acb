"""The health check of an image: asks the process in the same container, and needs no other program."""

from http.client import HTTPConnection, HTTPException

from .settings import peek

TIMEOUT_SECONDS = 3
NO_ANSWER = OSError, HTTPException


def check() -> int:
    """Returns 0 when web is alive, 1 when not."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(peek("host"), peek("host"))
    connection = HTTPConnection(host, int(peek("port")), timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/livez")
        return 0 if connection.getresponse().status == 200 else 1
    except NO_ANSWER:
        return 1
    finally:
        connection.close()
