"""HTTP as cheap as it gets: single requests, and a load of a fixed number of them over connections that are kept."""

import json
import select
import socket
import time
from typing import NamedTuple

CONNECTIONS = 16
TIMEOUT_SECONDS = 10


class Answer(NamedTuple):
    """An answer; its body is JSON or empty."""

    status: int
    body: bytes


class UnexpectedAnswerError(Exception):
    """A request of a load was answered otherwise than the first one."""


def get(port: int, path: str) -> Answer:
    """Asks over a connection of its own."""
    return exchange(port, request(path, keep=False))


def post(port: int, path: str, content: object) -> Answer:
    """Sends JSON over a connection of its own."""
    return exchange(port, sending(path, content, keep=False))


def exchange(port: int, message: bytes) -> Answer:
    """Sends one request and reads until the server closes; raises OSError where there is no answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(message)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head:
        raise ConnectionResetError("closed without an answer")
    return Answer(int(head.split(b" ", 2)[1]), body)


def run(port: int, path: str, count: int) -> float:
    """Sends `count` requests and returns the seconds that they took.

    Raises UnexpectedAnswerError when an answer is not 200, or not as long as the first.
    """
    message = request(path)
    connections = [socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) for _ in range(CONNECTIONS)]
    try:
        length = _length(connections[0], message)
        started = time.perf_counter()
        _exchange_all({connection.fileno(): connection for connection in connections}, message, length, count)
        return time.perf_counter() - started
    finally:
        for connection in connections:
            connection.close()


def request(path: str, *, keep: bool = True) -> bytes:
    """A GET request."""
    connection = "keep-alive" if keep else "close"
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: {connection}\r\n\r\n".encode()


def sending(path: str, content: object, *, keep: bool = True) -> bytes:
    """A POST request with JSON."""
    body = json.dumps(content).encode()
    connection = "keep-alive" if keep else "close"
    fields = f"Connection: {connection}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n\r\n".encode() + body


def _length(connection: socket.socket, message: bytes) -> int:
    """Sends one request, and returns the length of its answer, fields and body."""
    connection.sendall(message)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    expected = int(fields[b"content-length"])
    while len(body) < expected:
        body += connection.recv(65536)
    return len(head) + 4 + expected


def _exchange_all(connections: dict[int, socket.socket], message: bytes, length: int, count: int) -> None:
    """Keeps one request under way on each connection until `count` are answered."""
    received = dict.fromkeys(connections, 0)
    unsent, unanswered = count - len(connections), count
    with select.epoll() as poll:
        for descriptor, connection in connections.items():
            poll.register(descriptor, select.EPOLLIN)
            connection.sendall(message)
        while unanswered > 0:
            for descriptor, _ in poll.poll(TIMEOUT_SECONDS):
                data = connections[descriptor].recv(65536)
                received[descriptor] += len(data)
                starts = received[descriptor] == len(data)
                if not data or received[descriptor] > length or (starts and not data.startswith(b"HTTP/1.1 200 ")):
                    raise UnexpectedAnswerError(data[:200].decode("latin-1"))
                if received[descriptor] == length:
                    received[descriptor] = 0
                    unanswered -= 1
                    if unsent > 0:
                        unsent -= 1
                        connections[descriptor].sendall(message)
