"""TCP listeners, several listeners at once, those that systemd passed, and the limit of open files."""

import asyncio
import errno
import os
import resource
import socket
import struct
from pathlib import Path

import pytest

from policyd.conf.schema import Endpoint
from policyd.errors import ListenError
from policyd.server.base import BACKLOG, serve_on
from policyd.server.listen import Wanted, open_listeners, raise_file_limit
from tests.server.conftest import Run
from tests.support.listeners import LOOPBACK, fail_with, opened, refused, unix

# TCP


def test_tcp() -> None:
    """A TCP listener has SO_REUSEADDR, no SO_REUSEPORT, and keep-alives for its connections."""
    with opened(LOOPBACK) as listener:
        (sock,) = listener.sockets
        options = [
            sock.getsockopt(socket.SOL_SOCKET, option)
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT, socket.SO_KEEPALIVE)
        ]
        assert (sock.getsockname(), options) == (("127.0.0.1", listener.port), [1, 0, 1])


def test_ipv6() -> None:
    """An IPv6 listener takes IPv6 only, so that IPv4 on the same port is another listener."""
    with opened(Wanted(Endpoint(host="::1"))) as listener:
        (sock,) = listener.sockets
        assert sock.getsockname()[:2] == ("::1", listener.port)
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


def test_port_in_use() -> None:
    """A port that another process listens on is an error."""
    with opened(LOOPBACK) as other:
        message = refused(Wanted(Endpoint(host="127.0.0.1", port=other.port)))
    assert "another process listens there" in message


def test_port_again() -> None:
    """A port can be opened again at once, although connections of before are in TIME_WAIT."""
    with opened(LOOPBACK) as listener:
        port = listener.port
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = listener.sockets[0].accept()
            accepted.close()
            client.recv(1)
    with opened(Wanted(Endpoint(host="127.0.0.1", port=port))) as again:
        assert again.port == port


def test_foreign_address() -> None:
    """An address that this host does not have is an error."""
    assert "this host has no such address" in refused(Wanted(Endpoint(host="192.0.2.1", port=1)))


def test_low_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that the daemon may not open is an error with a cure."""
    monkeypatch.setattr(socket.socket, "bind", fail_with(errno.EACCES))

    assert "ports below 1024" in refused(LOOPBACK)


def test_other_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error without a cure of its own is told in the system's words."""
    monkeypatch.setattr(socket.socket, "bind", fail_with(errno.ENOBUFS))

    assert os.strerror(errno.ENOBUFS) in refused(LOOPBACK)


def test_host_without_address() -> None:
    """A host name without an address is an error."""
    assert "write an address" in refused(Wanted(Endpoint(host="x" * 70, port=1)))


def test_backlog(run: Run) -> None:
    """The kernel keeps at least 1,024 connections until they are accepted, before and after serving begins."""
    most = min(BACKLOG, int(Path("/proc/sys/net/core/somaxconn").read_text()))

    def backlog_of(sock: socket.socket) -> int:
        _, tcpi_sacked = struct.unpack_from("24xII", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32))
        return int(tcpi_sacked)

    async def scenario() -> None:
        with opened(LOOPBACK) as listener:
            before = backlog_of(listener.sockets[0])
            server = await serve_on(listener.sockets[0], asyncio.Protocol)
            assert (before, backlog_of(listener.sockets[0])) == (most, most)
            server.close()

    assert BACKLOG >= 1_024
    run(scenario())


# Several, and those that systemd passed


def listening(path: Path | None = None) -> socket.socket:
    """Return a socket that listens, as systemd would pass it."""
    sock = socket.socket(socket.AF_INET if path is None else socket.AF_UNIX)
    sock.bind(("127.0.0.1", 0) if path is None else str(path))
    sock.listen()
    return sock


def test_passed_sockets_are_matched(short_dir: Path) -> None:
    """Each passed socket goes to the endpoint with its address; what was not passed is opened."""
    tcp, local = listening(), listening(short_dir / "policy")
    (short_dir / "link").symlink_to(short_dir)
    port = tcp.getsockname()[1]
    wanted = [
        unix(short_dir / "link" / "policy"),
        unix(short_dir / "admin"),
        Wanted(Endpoint(host="127.0.0.1", port=port)),
    ]
    listeners = open_listeners(wanted, [tcp, local])

    assert [listener.endpoint for listener in listeners] == [one.endpoint for one in wanted]
    assert (listeners[0].sockets, listeners[2].sockets) == ((local,), (tcp,))
    for listener in listeners:
        listener.close()
    assert sorted(path.name for path in short_dir.iterdir()) == ["link", "policy"]


def test_passed_and_not_configured(short_dir: Path) -> None:
    """A passed socket that no listener wants is an error that names both; nothing stays open."""
    passed = listening(short_dir / "other")
    with pytest.raises(ListenError) as caught:
        open_listeners([unix(short_dir / "policy")], [passed])

    assert str(caught.value) == (
        f"cannot listen on unix:{short_dir}/other: systemd passed it, and listen has only unix:{short_dir}/policy "
        "(make ListenStream= of the socket unit and listen agree)"
    )
    assert (passed.fileno(), (short_dir / "policy").exists()) == (-1, False)


def test_one_of_several_fails(short_dir: Path) -> None:
    """When one listener cannot be opened, those before it are closed again."""
    with pytest.raises(ListenError):
        open_listeners([unix(short_dir / "policy"), unix(short_dir / "none" / "policy")])

    assert list(short_dir.iterdir()) == []


def test_path_stays_with_systemd(run: Run, short_dir: Path) -> None:
    """The socket file of a passed socket stays when serving ends: systemd still listens there."""

    async def scenario() -> None:
        (listener,) = open_listeners([unix(short_dir / "policy")], [listening(short_dir / "policy")])
        server = await serve_on(listener.sockets[0], asyncio.Protocol)
        server.close()
        listener.close()

    run(scenario())
    assert (short_dir / "policy").is_socket()


def test_raise_file_limit() -> None:
    """The limit of open files becomes the hard limit, which is returned."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1_000, before[1]), before[1]))
        assert raise_file_limit() == before[1]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_file_limit_that_cannot_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the limit cannot be raised, the one in force is returned."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 4_096))
    monkeypatch.setattr(resource, "setrlimit", fail_with(errno.EPERM))

    assert raise_file_limit() == 1_024
