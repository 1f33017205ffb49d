"""What the servers share: who decides, how a socket is served, how often a peer is complained about."""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

from policyd.clock import Clock
from policyd.model import PolicyRequest, Verdict

BACKLOG = 4096
"""Connections that the kernel keeps until they are accepted; net.core.somaxconn caps it."""

Conversation = TypeVar("Conversation")
Respond = Callable[[Verdict | None], None]
"""Called exactly once with the answer, now or later. None: no answer is possible, the connection is closed."""

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


class Decider(Protocol[Conversation]):
    """Who decides requests. ``Conversation`` is its own state of one connection, opaque to servers."""

    def opened(self, host: str) -> Conversation:
        """Return the state of a new connection from ``host``."""

    def decide(self, conversation: Conversation, request: PolicyRequest, respond: Respond) -> None:
        """Answer one request through ``respond``."""

    def closed(self, conversation: Conversation, *, by_us: bool) -> None:
        """Note that a connection is gone. ``by_us``: policyd closed it, which says nothing about a message."""


class Credentials(NamedTuple):
    """Who made a unix socket connection, as the kernel noted it then (SO_PEERCRED, unix(7))."""

    pid: int
    uid: int
    gid: int


def peer_credentials(transport: asyncio.BaseTransport) -> Credentials:
    """Return who is at the other end of a unix socket."""
    raw = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Credentials(*_CREDENTIALS.unpack(raw))


def peer_host(transport: asyncio.BaseTransport, local_host: str) -> str:
    """Return the peer's address, or ``local_host`` on a unix socket.

    An IPv4 peer has its IPv4 address on an IPv6 socket too, since message records are named by it.
    """
    if transport.get_extra_info("socket").family == socket.AF_UNIX:
        return local_host
    address: str = transport.get_extra_info("peername")[0]
    return address.removeprefix("::ffff:") if "." in address else address


def peer_name(transport: asyncio.BaseTransport) -> str:
    """Return who is at the other end, for the log: an address, or the process that has connected to a unix socket."""
    address = transport.get_extra_info("peername")
    if isinstance(address, tuple):
        return f"{address[0]} port {address[1]}"
    who = peer_credentials(transport)
    return f"pid {who.pid} of uid {who.uid}"


async def serve_on(sock: socket.socket, factory: Callable[[], asyncio.BaseProtocol]) -> asyncio.AbstractServer:
    """Accept connections on a listening socket.

    The loop never unlinks the path of a unix socket: it may be systemd's. ``Listener.close`` does.
    """
    loop = asyncio.get_running_loop()
    if sock.family != socket.AF_UNIX:
        return await loop.create_server(factory, sock=sock, backlog=BACKLOG)
    if sys.version_info >= (3, 13):
        return await loop.create_unix_server(factory, sock=sock, backlog=BACKLOG, cleanup_socket=False)
    return await loop.create_unix_server(factory, sock=sock, backlog=BACKLOG)


class Throttle:
    """Lets one line for each key through in a while, so that no peer fills the log."""

    def __init__(self, clock: Clock, every: int = 10_000, keys: int = 1_000) -> None:
        """Allow one line for a key ``every`` ms, and remember the ``keys`` latest keys."""
        self._clock, self._every, self._keys = clock, every, keys
        self._held: dict[str, tuple[int, int]] = {}

    def passes(self, key: str) -> int | None:
        """Return how many were held back since the last one, or None when this one is held back too."""
        now = self._clock.now()
        since, held = self._held.get(key, (now - self._every, 0))
        if 0 <= now - since < self._every:
            self._held[key] = (since, held + 1)
            return None
        self._held.pop(key, None)
        self._held[key] = (now, 0)
        if len(self._held) > self._keys:
            self._held.pop(next(iter(self._held)))
        return held
