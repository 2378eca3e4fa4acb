"""A network that fails when it is told to: a TCP proxy between a process and one of its resources."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self

AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset instead of a farewell


class Proxy:
    """Passes connections to its `port` on to the target; `connections` counts them, `active` those that are open now.

    A fault is there when the call that makes it returns.
    """

    def __init__(self, host: str, port: int) -> None:
        self.connections = 0
        self._target = host, port
        self._open: dict[asyncio.Task[None], tuple[socket.socket, socket.socket]] = {}
        self._seconds = 0.0
        self._flows = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listener = self._place = _bound(0)  # keeps the port from others while nobody listens on it
        self.port: int = self._place.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread.start()
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._place.close()

    @property
    def active(self) -> int:
        return len(self._open)

    def restore(self) -> None:
        """Ends every fault; what a black hole held back arrives."""
        self._do(self._restore())

    def cut(self) -> None:
        """Closes every connection and refuses new ones."""
        self._do(self._drop(refuse=True))

    def reset(self) -> None:
        """Resets every connection (RST), and takes new ones."""
        self._do(self._drop(reset=True))

    def delay(self, seconds: float) -> None:
        """Passes everything on so much later, both ways: a question and its answer take twice as long."""
        self._seconds = seconds

    def blackhole(self) -> None:
        """Goes silent: connections stay, new ones are taken, and nothing passes."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def _do(self, action: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(action, self._loop).result(10)

    async def _restore(self) -> None:
        self._seconds = 0.0
        self._flows.set()
        if self._listener is self._place:
            self._listener = _bound(self.port)
            self._listener.listen()
            self._loop.add_reader(self._listener, self._accept)

    async def _drop(self, *, refuse: bool = False, reset: bool = False) -> None:
        if refuse and self._listener is not self._place:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = self._place
        for task, ends in self._open.items():
            for end in ends if reset else ():
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _accept(self) -> None:
        with suppress(OSError):  # the client has left again
            ends = self._listener.accept()[0], socket.socket()
            self.connections += 1
            task = self._loop.create_task(self._serve(*ends))
            self._open[task] = ends
            task.add_done_callback(self._close)

    def _close(self, task: asyncio.Task[None]) -> None:
        for end in self._open.pop(task):
            end.close()

    async def _serve(self, *ends: socket.socket) -> None:
        for end in ends:
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._flows.wait()
            await self._loop.sock_connect(ends[1], self._target)
            async with asyncio.TaskGroup() as pumps:
                for way in (ends, ends[::-1]):
                    pumps.create_task(self._pump(*way))
        except* OSError:
            pass  # when one end is gone, the other goes too

    async def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        while data := await self._loop.sock_recv(source, 65536):
            await asyncio.sleep(self._seconds)
            await self._flows.wait()
            await self._loop.sock_sendall(sink, data)
        sink.shutdown(socket.SHUT_WR)


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
    bound.bind(("127.0.0.1", port))
    bound.setblocking(False)
    return bound
