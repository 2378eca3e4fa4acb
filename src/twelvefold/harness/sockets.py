"""The sockets on which processes wait for others, as the kernel lists them."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .claim import HarnessError

# As /proc/net/tcp and its like number them (include/net/tcp_states.h), and /proc/net/unix (include/uapi/linux/net.h).
LISTEN, UNCONNECTED = "0A", "07"
ACCEPTS, DATAGRAM = 0x10000, 2
EVERY_ADDRESS = "0.0.0.0", "::"


@dataclass(frozen=True, order=True)
class Listener:
    """A socket that takes what others send."""

    protocol: str
    """`tcp`, `udp` or `unix`."""
    address: str
    """An IP address, or the name of a Unix socket."""
    port: int
    """0 for a Unix socket."""
    owners: tuple[int, ...]
    """The processes that hold it."""

    def __str__(self) -> str:
        place = f"{self.address} port {self.port}" if self.port else self.address
        return f"{self.protocol} {place} of {', '.join(map(name_of, self.owners))}"


def listeners(pids: Iterable[int]) -> list[Listener]:
    """The sockets on which these processes wait for others, each once; raises HarnessError where they cannot be seen."""
    owners: dict[str, set[int]] = {}
    tables: dict[str, int] = {}  # one process for each network that they are in
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            for inode in _sockets(pid):
                owners.setdefault(inode, set()).add(pid)
            tables[os.readlink(f"/proc/{pid}/ns/net")] = pid
    found = set()
    for pid in tables.values():
        with suppress(FileNotFoundError, ProcessLookupError):
            for inode, *what in _waiting(pid):
                if inode in owners:
                    found.add(Listener(*what, tuple(sorted(owners[inode]))))
    return sorted(found)


def relatives(pids: Iterable[int], marks: Iterable[str]) -> list[int]:
    """These processes, and every one of the machine that was given one of the variables, written `NAME=value`.

    What has left its family for good is still found by what it was given.
    """
    found, wanted = set(pids), {mark.encode() for mark in marks}
    for entry in os.listdir("/proc"):
        with suppress(OSError):
            if entry.isdigit() and wanted & set(Path("/proc", entry, "environ").read_bytes().split(b"\0")):
                found.add(int(entry))
    return sorted(found)


def name_of(pid: int) -> str:
    """A process, as a person knows it."""
    with suppress(OSError):
        return f"{Path(f'/proc/{pid}/comm').read_text().strip()} ({pid})"
    return f"process {pid}"


def own_addresses() -> list[str]:
    """The IPv4 addresses of this machine that are not loopback ones."""
    found: list[str] = []
    address = ""
    for line in Path("/proc/net/fib_trie").read_text().splitlines():
        if match := re.search(r"\|-- (\S+)", line):
            address = match[1]
        elif "host LOCAL" in line and not address.startswith("127.") and address not in found:
            found.append(address)
    return found


def free_port_between(lowest: int, highest: int) -> int:
    """A TCP port in this range on which nobody listens at the moment, whatever the address."""
    for _ in range(1000):
        port = lowest + int.from_bytes(os.urandom(4)) % (highest - lowest + 1)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("0.0.0.0", port))  # noqa: S104  the service will do so too
            return port
    raise HarnessError(f"no port between {lowest} and {highest} is free")


def _sockets(pid: int) -> Iterator[str]:
    """The inodes of all sockets that a process has open."""
    folder = f"/proc/{pid}/fd"
    try:
        descriptors = os.listdir(folder)
    except PermissionError:
        raise HarnessError(f"the sockets of process {pid} are seen by its own user and by root alone") from None
    for descriptor in descriptors:
        with suppress(OSError):
            target = os.readlink(f"{folder}/{descriptor}")
            if target.startswith("socket:["):
                yield target[8:-1]


def _waiting(pid: int) -> Iterator[tuple[str, str, str, int]]:
    """The inode, protocol, address and port of every socket that waits for others, in the network of a process."""
    for protocol, state in (("tcp", LISTEN), ("tcp6", LISTEN), ("udp", UNCONNECTED), ("udp6", UNCONNECTED)):
        with suppress(FileNotFoundError):  # a kernel without IPv6
            for line in Path(f"/proc/{pid}/net/{protocol}").read_text().splitlines()[1:]:
                fields = line.split()
                address, _, port = fields[1].partition(":")
                if fields[3] == state and int(port, 16):
                    yield fields[9], protocol[:3], _address(address), int(port, 16)
    for line in Path(f"/proc/{pid}/net/unix").read_text(errors="replace").splitlines()[1:]:
        _, _, _, flags, kind, _, inode, *path = line.split(maxsplit=7)
        if int(flags, 16) & ACCEPTS or (int(kind, 16) == DATAGRAM and path):
            yield inode, "unix", path[0] if path else "(no name)", 0


def _address(digits: str) -> str:
    """The address that the kernel writes as words of 32 bits, in the byte order of the machine."""
    words = [int(digits[start : start + 8], 16) for start in range(0, len(digits), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)
