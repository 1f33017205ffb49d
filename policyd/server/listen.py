"""Opens listening sockets as configured, or takes over those that systemd passed.

A socket that systemd passed belongs to the endpoint with its address; what is passed and not
configured is an error, since it would be a socket that nobody serves.
"""

import errno
import grp
import os
import resource
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from policyd.conf.schema import Endpoint
from policyd.errors import ListenError
from policyd.server.activation import covers, name_of
from policyd.server.base import BACKLOG

_ANY_GROUP = -1


@dataclass(frozen=True, slots=True)
class Wanted:
    """A listener that the configuration asks for.

    ``mode`` and ``group`` are those of a unix socket; an empty group leaves the daemon's own.
    """

    endpoint: Endpoint
    mode: int = 0o660
    group: str = ""


@dataclass(frozen=True, slots=True)
class Listener:
    """The open sockets of one endpoint: one, or several where a host name has several addresses.

    ``created`` is the inode of the socket file that was made here, None where systemd made it.
    """

    endpoint: Endpoint
    sockets: tuple[socket.socket, ...]
    created: int | None = field(default=None)

    @property
    def port(self) -> int:
        """The TCP port, chosen by the system where the configuration says 0; 0 for a unix socket."""
        return 0 if self.endpoint.path else int(self.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Close the sockets, and remove the socket file if it is the one that was made here."""
        path = Path(self.endpoint.path)
        with suppress(OSError):
            if self.created is not None and path.lstat().st_ino == self.created:
                path.unlink()
        for sock in self.sockets:
            sock.close()


def open_listeners(wanted: Sequence[Wanted], passed: Sequence[socket.socket] = ()) -> list[Listener]:
    """Return a listener for each of ``wanted``, in their order: passed sockets first, else opened here.

    Raises ListenError; nothing stays open then.
    """
    opened: list[Listener] = []
    rest = list(passed)
    try:
        for one in wanted:
            mine = [sock for sock in rest if covers(one.endpoint, sock)]
            rest = [sock for sock in rest if sock not in mine]
            opened.append(Listener(one.endpoint, tuple(mine)) if mine else open_listener(one))
        if rest:
            raise _not_configured(rest, wanted)
    except ListenError:
        for listener in opened:
            listener.close()
        for sock in rest:
            sock.close()
        raise
    return opened


def _not_configured(rest: Sequence[socket.socket], wanted: Sequence[Wanted]) -> ListenError:
    passed = ", ".join(name_of(sock) for sock in rest)
    configured = ", ".join(str(one.endpoint) for one in wanted)
    why = (
        f"systemd passed it, and listen has only {configured} (make ListenStream= of the socket unit and listen agree)"
    )
    return ListenError(passed, why)


def open_listener(wanted: Wanted) -> Listener:
    """Open the sockets of one endpoint. Raises ListenError, which says what to do."""
    return _open_unix(wanted) if wanted.endpoint.path else _open_tcp(wanted.endpoint)


# Unix sockets


def _open_unix(wanted: Wanted) -> Listener:
    path = Path(wanted.endpoint.path)
    address = str(wanted.endpoint)
    group = _group_id(wanted.group, address)
    if not path.parent.is_dir():
        cure = f"create it: install -d -o policyd -m 0755 {path.parent}"
        raise ListenError(address, f"there is no directory {path.parent} ({cure})")
    _remove_stale(path, address)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind(sock, path, wanted.mode, group)
        return Listener(wanted.endpoint, (sock,), path.lstat().st_ino)
    except OSError as error:
        sock.close()
        raise ListenError(address, _why_not_unix(error, path, wanted.group)) from error


def _bind(sock: socket.socket, path: Path, mode: int, group: int) -> None:
    before = os.umask(0o777)  # nobody may connect until owner and mode are right
    try:
        sock.bind(str(path))
    finally:
        os.umask(before)
    try:
        if group not in {_ANY_GROUP, path.stat().st_gid}:  # a set-group-ID directory gives it already
            os.chown(path, -1, group)
        path.chmod(mode)
        sock.listen(BACKLOG)
    except OSError:
        path.unlink()
        raise


def _group_id(group: str, address: str) -> int:
    if not group:
        return _ANY_GROUP
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        cure = f"groupadd --system {group}, or name the group that Postfix runs in"
        raise ListenError(address, f"there is no group {group} ({cure})") from None


def _remove_stale(path: Path, address: str) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ListenError(
                address, "the path is taken by something that is no socket (remove it, or choose another path)"
            )
        if _answers(path):
            raise ListenError(address, "another process listens there (stop it, or choose another path)")
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ListenError(address, f"cannot tell whether {path} is in use: {error.strerror} (remove it)") from error


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.setblocking(False)
        try:
            trial.connect(str(path))
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            pass  # its backlog is full, so somebody is there
        return True


def _why_not_unix(error: OSError, path: Path, group: str) -> str:
    if error.errno == errno.EPERM and group:
        cure = f"add the daemon's user to it: usermod -aG {group} policyd, or let systemd open the socket"
        return f"may not give the socket to group {group} ({cure})"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return f"may not write in {path.parent} (give it to the daemon's user, or let systemd open the socket)"
    return error.strerror or str(error)


# TCP


def _open_tcp(endpoint: Endpoint) -> Listener:
    try:
        found = socket.getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except (OSError, UnicodeError) as error:
        raise ListenError(str(endpoint), f"the host name has no address: {error} (write an address)") from error
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in found:
            sockets.append(_tcp_socket(family, address))
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise ListenError(str(endpoint), _why_not_tcp(error)) from error
    return Listener(endpoint, tuple(sockets))


def _tcp_socket(family: int, address: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # inherited: a client's host that died is noticed
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _why_not_tcp(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another process listens there (ss -ltnp shows which; stop it, or choose another port)"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this host has no such address (ip address shows what it has)"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return "ports below 1024 are not for the daemon's user (choose a higher one, or let systemd open the socket)"
    return error.strerror or str(error)


def raise_file_limit() -> int:
    """Raise the number of files that may be open to the hard limit, and return what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft
