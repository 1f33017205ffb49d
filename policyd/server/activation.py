"""Sockets that systemd passed (sd_listen_fds(3)): which there are, and which endpoint is whose."""

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from ipaddress import ip_address

from policyd.conf.schema import Endpoint
from policyd.errors import ListenError

FIRST = 3
"""The first file descriptor that is passed (SD_LISTEN_FDS_START)."""


def passed_sockets(environ: MutableMapping[str, str], pid: int, first: int = FIRST) -> list[socket.socket]:
    """Take over the sockets that were passed to the process ``pid``, none when they are another's.

    The variables are removed from ``environ``, so that no child process takes them for its own.
    Raises ListenError for what is no listening stream socket.
    """
    addressee = environ.pop("LISTEN_PID", "")
    count = environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if addressee != str(pid) or not count.isdecimal():
        return []
    return [_take_over(number) for number in range(first, first + int(count))]


def _take_over(number: int) -> socket.socket:
    try:
        os.set_inheritable(number, False)
        sock = socket.socket(fileno=number)
    except OSError as error:
        raise ListenError(
            f"file descriptor {number}", f"systemd passed something that is no socket: {error.strerror}"
        ) from error
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        name = name_of(sock)
        sock.close()
        raise ListenError(
            name, "systemd passed a socket that does not listen (the socket unit needs ListenStream= and Accept=no)"
        )
    return sock


def name_of(sock: socket.socket) -> str:
    """Return a socket's address as ``listen`` would write it."""
    address = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{_unix_path(address)}"
    return str(Endpoint(host=address[0], port=address[1])) if isinstance(address, tuple) else str(address)


def covers(endpoint: Endpoint, sock: socket.socket) -> bool:
    """Whether a socket's address is that of an endpoint.

    Unix paths are compared after links in them are followed: /var/run is /run.
    """
    address = sock.getsockname()
    if endpoint.path:
        return sock.family == socket.AF_UNIX and os.path.realpath(endpoint.path) == os.path.realpath(
            _unix_path(address)
        )
    if sock.family not in {socket.AF_INET, socket.AF_INET6} or address[1] != endpoint.port:
        return False
    return ip_address(address[0]) in _addresses(endpoint.host)


def _unix_path(address: str | bytes) -> str:
    text = os.fsdecode(address)
    return f"@{text[1:]}" if text.startswith("\0") else text


def _addresses(host: str) -> set[object]:
    found: set[object] = set()
    with suppress(OSError, UnicodeError):
        for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
            found.add(ip_address(address[0]))
    return found
