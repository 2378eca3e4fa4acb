"""A balancer as small as it gets, which does what the usual ones do: `python -m bench.balancer PORT TARGET ...`.

All are ports of this machine. It asks each target's `/readyz` five times a second, and gives requests in turn to those
whose last answer was 200, over connections that it keeps for as long as they do. It has no patience with a target that
refuses the connection: it takes the next one, since nothing was sent. Nothing that was sent is ever sent again: a
connection that ends, or says nothing for ten seconds, is an answer 502. With no target left it answers 503.
It answers `GET /balancer` itself: the ports of the targets that are in, and the CPU time that it has used.
"""

import asyncio
import json
import re
import sys
import time
from contextlib import suppress

from .exchange import Connections, closes, whole_length

CHECK_SECONDS = 0.2
CHECK = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
OWN = b"GET /balancer "

# What is between two neighbours is not passed on.
CONNECTION_FIELD = re.compile(rb"\r\nconnection: *[^\r]*", re.IGNORECASE)


class Target:
    """A process of the service, and whether it gets requests."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.ready = False
        self.connections = Connections(port)

    async def check(self) -> None:
        """Asks again and again whether it is ready."""
        while True:
            try:
                answer = await Connections(self.port).ask(CHECK)
                self.ready = answer.startswith(b"HTTP/1.1 200 ")
            except OSError:
                self.ready = False
            await asyncio.sleep(CHECK_SECONDS)


class Balancer:
    """Passes requests on."""

    def __init__(self, ports: list[int]) -> None:
        self.targets = [Target(port) for port in ports]

    async def answer(self, request: bytes) -> bytes:
        """The answer of a target, or its own."""
        if request.startswith(OWN):
            ready = [target.port for target in self.targets if target.ready]
            return _message("200 OK", json.dumps({"ready": ready, "cpu_seconds": time.process_time()}).encode())
        self.targets.append(self.targets.pop(0))
        for target in [target for target in self.targets if target.ready]:
            try:
                connection = await target.connections.take()
            except OSError:
                target.ready = False
                continue
            try:
                answer = await connection.exchange(_passed_on(request))
            except OSError:
                return _message("502 Bad Gateway")
            target.connections.give_back(connection)
            return _passed_on(answer)
        return _message("503 Service Unavailable")


class Client(asyncio.Protocol):
    """A connection from a client, which sends one request after the other."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self._received = b""
        self._answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes note of it."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Puts a request together."""
        self._received += data
        if length := whole_length(self._received):
            request, self._received = self._received[:length], self._received[length:]
            self._answering = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: bytes) -> None:
        self._transport.write(await self._balancer.answer(request))
        if closes(request):
            self._transport.close()


async def serve(port: int, targets: list[int]) -> None:
    """Balances until it is ended."""
    balancer = Balancer(targets)
    server = await asyncio.get_running_loop().create_server(lambda: Client(balancer), "127.0.0.1", port)
    async with server:
        await asyncio.gather(*(target.check() for target in balancer.targets))


def _passed_on(message: bytes) -> bytes:
    end = message.find(b"\r\n\r\n")
    return CONNECTION_FIELD.sub(b"", message[:end]) + message[end:]


def _message(status: str, body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]), [int(port) for port in sys.argv[2:]]))
