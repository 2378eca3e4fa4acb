"""HTTP with asyncio, over connections that are kept: what a balancer and the load through it have in common."""

import asyncio
import re

TIMEOUT_SECONDS = 10

FIELD_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


def whole_length(received: bytes) -> int:
    """The length of the message that `received` begins with, whose head tells that of its body; 0 until it is whole."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return 0
    announced = FIELD_LENGTH.search(received, 0, end)
    length = end + 4 + (int(announced[1]) if announced else 0)
    return length if len(received) >= length else 0


def closes(message: bytes) -> bool:
    """Whether its sender closes the connection after this message, or wants that."""
    return CLOSES.search(message, 0, message.find(b"\r\n\r\n")) is not None


class Connection(asyncio.Protocol):
    """A connection to a server, for one request at a time."""

    open = False
    _answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes note of it."""
        assert isinstance(transport, asyncio.Transport)
        self.open, self._transport, self._received = True, transport, b""

    def data_received(self, data: bytes) -> None:
        """Puts an answer together."""
        self._received += data
        if length := whole_length(self._received):
            answer, self._received = self._received[:length], b""
            if closes(answer):
                self.close()
            if self._answer and not self._answer.done():
                self._answer.set_result(answer)

    def connection_lost(self, _: Exception | None) -> None:
        """Gives up what is under way."""
        self.open = False
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("closed without an answer"))

    def close(self) -> None:
        """Ends it."""
        self.open = False
        self._transport.close()

    async def exchange(self, request: bytes) -> bytes:
        """Sends a request; returns the whole answer.

        Raises OSError when the connection ends before, and TimeoutError.
        """
        self._answer = asyncio.get_running_loop().create_future()
        if not self.open:
            raise ConnectionResetError("closed")
        self._transport.write(request)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._answer
        except TimeoutError:
            self.close()
            raise


class Connections:
    """Connections to one port of this machine, each opened when all others are in use."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []

    async def take(self) -> Connection:
        """The one that was used last, or a new one; raises OSError when there is none to be had."""
        while self._idle:
            if (connection := self._idle.pop()).open:
                return connection
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Connection, "127.0.0.1", self._port))[1]

    def give_back(self, connection: Connection) -> None:
        """Keeps it for another request."""
        self._idle.append(connection)

    async def ask(self, request: bytes) -> bytes:
        """Sends a request over one of them; returns the whole answer, or raises OSError, TimeoutError among them."""
        connection = await self.take()
        answer = await connection.exchange(request)
        self.give_back(connection)
        return answer

    def close(self) -> None:
        """Ends those that are idle."""
        for connection in self._idle:
            connection.close()
