"""The sockets on which processes wait for others, as the kernel lists them."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from .claim import HarnessError, NotRun
from .processes import has_ended, reserve

# As /proc/net/tcp and its like number them (include/net/tcp_states.h), and /proc/net/unix (include/uapi/linux/net.h).
ESTABLISHED, UNCONNECTED, LISTEN = "01", "07", "0A"
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

    def __repr__(self) -> str:
        return str(self)


def listeners(pids: Iterable[int]) -> list[Listener]:
    """The sockets on which these processes wait for others, each once; raises NotRun where they cannot be seen."""
    owners, networks = _held(pids)
    found = set()
    for pid in networks:
        with suppress(FileNotFoundError, ProcessLookupError):
            for inode, protocol, address, port in _waiting(pid):
                if inode in owners:
                    found.add(Listener(protocol, address, port, tuple(sorted(owners[inode]))))
    return sorted(found)


def connections(pids: Iterable[int]) -> set[tuple[str, int]]:
    """The addresses and ports of those to whom these processes are connected over TCP."""
    owners, networks = _held(pids)
    found = set()
    for pid, protocol in product(networks, ("tcp", "tcp6")):
        for fields in _table(pid, protocol):
            if fields[3] == ESTABLISHED and fields[9] in owners:
                address, _, port = fields[2].partition(":")
                found.add((_address(address), int(port, 16)))
    return found


def ports_of(pids: Iterable[int]) -> set[int]:
    """The local ports of the TCP sockets that these processes hold; raises NotRun where they cannot be seen."""
    owners, networks = _held(pids)
    rows = (fields for pid, protocol in product(networks, ("tcp", "tcp6")) for fields in _table(pid, protocol))
    return {int(fields[1].rpartition(":")[2], 16) for fields in rows if fields[9] in owners}


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
        if reserve(port):
            return port
    raise HarnessError(f"no port between {lowest} and {highest} is free")


def _held(pids: Iterable[int]) -> tuple[dict[str, set[int]], list[int]]:
    """Who holds which socket, by its inode; and one process for each network that they are in."""
    owners: dict[str, set[int]] = {}
    networks: dict[str, int] = {}
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            for inode in _sockets(pid):
                owners.setdefault(inode, set()).add(pid)
            networks[os.readlink(f"/proc/{pid}/ns/net")] = pid
    return owners, list(networks.values())


def _sockets(pid: int) -> Iterator[str]:
    """The inodes of all sockets that a process has open."""
    folder = f"/proc/{pid}/fd"
    try:
        descriptors = os.listdir(folder)
    except PermissionError:
        if has_ended(pid):
            return
        raise NotRun("the sockets of a container are seen by root alone: run it as root") from None
    for descriptor in descriptors:
        with suppress(OSError):
            target = os.readlink(f"{folder}/{descriptor}")
            if target.startswith("socket:["):
                yield target[8:-1]


def _waiting(pid: int) -> Iterator[tuple[str, str, str, int]]:
    """The inode, protocol, address and port of every socket that waits for others, in the network of a process."""
    for protocol, state in (("tcp", LISTEN), ("tcp6", LISTEN), ("udp", UNCONNECTED), ("udp6", UNCONNECTED)):
        for fields in _table(pid, protocol):
            address, _, port = fields[1].partition(":")
            if fields[3] == state and int(port, 16):
                yield fields[9], protocol[:3], _address(address), int(port, 16)
    for line in Path(f"/proc/{pid}/net/unix").read_text(errors="replace").splitlines()[1:]:
        _, _, _, flags, kind, _, inode, *path = line.split(maxsplit=7)
        if int(flags, 16) & ACCEPTS or (int(kind, 16) == DATAGRAM and path):
            yield inode, "unix", path[0] if path else "(no name)", 0


def _table(pid: int, protocol: str) -> list[list[str]]:
    """The fields of each line of a table of sockets; none on a kernel that lacks the protocol."""
    with suppress(OSError):
        return [line.split() for line in Path(f"/proc/{pid}/net/{protocol}").read_text().splitlines()[1:]]
    return []


def _address(digits: str) -> str:
    """The address that the kernel writes as words of 32 bits, in the byte order of the machine."""
    words = [int(digits[start : start + 8], 16) for start in range(0, len(digits), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)
