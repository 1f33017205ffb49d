"""Which Unix user has opened a loopback connection to Postfix, as the kernel knows it.

One NETLINK_SOCK_DIAG request (sock_diag(7)) names both ends of the connection, so that the kernel
looks in one hash bucket and lists nothing; the answer is there when the request was sent. It needs
no privilege. What cannot be known is "": nothing here raises, and nothing waits.

    request = nlmsghdr inet_diag_req_v2(id)
    answer  = nlmsghdr inet_diag_msg(id, uid, inode) / nlmsghdr error
    id      = sport dport src dst if cookie        ; of the client's end, in network byte order
"""

import pwd
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address

from policyd.clock import Clock
from policyd.model import PolicyRequest

FRESH = 60_000
"""How long the name of a uid is remembered, in ms: a uid can be given to another user."""

Owning = Callable[[str, int, str, int], int | None]
"""Takes address and port of the client's end, then of the server's; returns the uid, None when it is unknown."""

_MOST_MESSAGES, _MOST_NAMES = 10_000, 10_000

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY, _REQUEST = 20, 1  # SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_QUERY = struct.Struct("=BBBxI")  # family, protocol, extensions, states
_ENDS = struct.Struct("!HH16s16s")
_ANY = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)  # interface, cookie
_OWNER = struct.Struct("=12xII")  # after expiry and queues: uid, inode
_LENGTH = _HEADER.size + _QUERY.size + _ENDS.size + len(_ANY)
_AT_ENDS = _HEADER.size + 4  # after family, state, timer, retransmissions
_AT_OWNER = _AT_ENDS + _ENDS.size + len(_ANY)


class Kernel:
    """Asks the kernel. The socket is kept open, and made anew after an error."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._sequence = 0

    def owning(self, client: str, client_port: int, server: str, server_port: int) -> int | None:
        """Return the uid of who holds the client's end of a connection on this host; implements Owning."""
        family = socket.AF_INET6 if ":" in client else socket.AF_INET
        try:
            ends = _ENDS.pack(client_port, server_port, _packed(family, client), _packed(family, server))
        except (OSError, ValueError, struct.error):  # no addresses: "unknown", or empty before Postfix 3.2
            return None
        try:
            answer = self._ask(_QUERY.pack(family, socket.IPPROTO_TCP, 0, 0xFFFFFFFF) + ends + _ANY)
        except OSError:
            self.close()
            return None
        return _uid(answer, client_port, server_port)

    def close(self) -> None:
        """Close the socket; the next question opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, query: bytes) -> bytes:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _SOCK_DIAG)
        self._sequence = (self._sequence + 1) % (1 << 32)
        self._socket.send(_HEADER.pack(_LENGTH, _BY_FAMILY, _REQUEST, self._sequence, 0) + query)
        while True:
            answer = self._socket.recv(4096)
            if len(answer) >= _HEADER.size and _HEADER.unpack_from(answer)[3] == self._sequence:
                return answer


def _packed(family: socket.AddressFamily, address: str) -> bytes:
    return socket.inet_pton(family, address.removeprefix("IPv6:")).ljust(16, b"\0")


def _uid(answer: bytes, client_port: int, server_port: int) -> int | None:
    """Return the uid in an answer; None when that is not the connection, or nobody holds it any more.

    Where there is no such connection the kernel answers with who listens on the client's port, if
    anybody does; what only waits for its end has no inode, and would seem to be root's.
    """
    if _HEADER.unpack_from(answer)[1] != _BY_FAMILY or len(answer) < _AT_OWNER + _OWNER.size:
        return None
    ports = _ENDS.unpack_from(answer, _AT_ENDS)[:2]
    uid, inode = _OWNER.unpack_from(answer, _AT_OWNER)
    return uid if inode and ports == (client_port, server_port) else None


class Owners:
    """Names the Unix user behind a request, with one question for each message.

    Not for each connection: Postfix does not tell where one ends, and a port can be another user's
    as soon as it is free.
    """

    def __init__(self, owning: Owning, clock: Clock) -> None:
        self._owning, self._clock = owning, clock
        self._messages: dict[tuple[str, str, int], str] = {}
        self._names: dict[int, str] = {}
        self._forget_at = 0

    def user(self, host: str, request: PolicyRequest) -> str:
        """Return the user who sends, "" when that cannot be known. ``host`` is where the Postfix that asks runs."""
        if not _is_here(host):
            return ""
        message = (request.instance, request.client_address, request.client_port)
        user = self._messages.get(message)
        if user is None:
            user = self._look(request)
            if request.instance:
                if len(self._messages) >= _MOST_MESSAGES:
                    self._messages.clear()
                self._messages[message] = user
        return user

    def _look(self, request: PolicyRequest) -> str:
        uid = self._owning(request.client_address, request.client_port, request.server_address, request.server_port)
        return "" if uid is None else self._name(uid)

    def _name(self, uid: int) -> str:
        now = self._clock.now()
        if not self._forget_at - FRESH <= now < self._forget_at or len(self._names) >= _MOST_NAMES:
            self._names.clear()
            self._forget_at = now + FRESH
        if uid not in self._names:
            self._names[uid] = ""
            with suppress(KeyError, OSError):
                self._names[uid] = pwd.getpwuid(uid).pw_name
        return self._names[uid]


@lru_cache(maxsize=1024)
def _is_here(host: str) -> bool:
    """Return whether a Postfix runs on this host: it has no address on a unix socket, else one of loopback."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return True
