"""Sockets that systemd passed."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from policyd.conf.schema import Endpoint
from policyd.errors import ListenError
from policyd.server.activation import covers, name_of, passed_sockets

PID = 4_321


@pytest.fixture
def unix_socket(short_dir: Path) -> Iterator[socket.socket]:
    """Return a listening unix socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(short_dir / "policy"))
        sock.listen()
        yield sock


def passed(sources: Sequence[int], **environ: str) -> list[socket.socket]:
    """Return what a process takes over that is started with ``sources`` as its file descriptors."""
    first = 900
    for offset, source in enumerate(sources):
        os.dup2(source, first + offset, inheritable=True)
    try:
        return passed_sockets({"LISTEN_PID": str(PID), "LISTEN_FDS": str(len(sources)), **environ}, PID, first)
    except ListenError:
        with suppress(OSError):
            os.close(first)
        raise


def test_taken_over(unix_socket: socket.socket, short_dir: Path) -> None:
    """Passed sockets are taken over with their addresses, and no child inherits them."""
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        port = tcp.getsockname()[1]
        found = passed([unix_socket.fileno(), tcp.fileno()])

    assert [name_of(sock) for sock in found] == [f"unix:{short_dir}/policy", f"127.0.0.1:{port}"]
    assert [sock.get_inheritable() for sock in found] == [False, False]
    for sock in found:
        sock.close()


def test_variables_are_removed() -> None:
    """No child process finds the variables."""
    environ = {"LISTEN_PID": str(PID), "LISTEN_FDS": "0", "LISTEN_FDNAMES": "a:b", "HOME": "/"}

    assert (passed_sockets(environ, PID), environ) == ([], {"HOME": "/"})


@pytest.mark.parametrize(
    "environ",
    [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_PID": str(PID), "LISTEN_FDS": "x"}, {"LISTEN_FDS": "1"}],
    ids=["none", "another process", "no number", "nobody"],
)
def test_nothing_passed(environ: dict[str, str]) -> None:
    """Without sockets for this very process nothing is taken over."""
    assert passed_sockets(environ, PID) == []


def test_not_listening() -> None:
    """A connected socket, as Accept=yes passes it, is refused with what to change."""
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(ListenError, match=r"needs ListenStream= and Accept=no"):
        passed([ours.fileno()])


def test_datagram() -> None:
    """A datagram socket is refused."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(ListenError, match=r"127\.0\.0\.1:[0-9]+: .*ListenStream"):
            passed([sock.fileno()])


def test_no_socket(tmp_path: Path) -> None:
    """A file is refused, and so is a descriptor that is not open."""
    with (tmp_path / "file").open("w") as file, pytest.raises(ListenError, match="no socket"):
        passed([file.fileno()])
    with pytest.raises(ListenError, match="no socket"):
        passed([], LISTEN_FDS="1")


@pytest.mark.parametrize(
    ("endpoint", "bound", "same"),
    [
        (Endpoint(host="127.0.0.1", port=1), "127.0.0.1", False),
        (Endpoint(host="127.0.0.2"), "127.0.0.1", False),
        (Endpoint(host="127.0.0.1"), "127.0.0.1", True),
        (Endpoint(host="localhost"), "127.0.0.1", True),
        (Endpoint(host="::1"), "::1", True),
        (Endpoint(host="0:0:0:0:0:0:0:1"), "::1", True),
        (Endpoint(host="::1"), "127.0.0.1", False),
        (Endpoint(host="x" * 70), "127.0.0.1", False),
        (Endpoint(path="/run/policyd/policy"), "127.0.0.1", False),
    ],
    ids=str,
)
def test_covers(endpoint: Endpoint, bound: str, *, same: bool) -> None:
    """A TCP socket belongs to the endpoint with its address, however that is written, and its port."""
    family = socket.AF_INET6 if ":" in bound else socket.AF_INET
    with socket.create_server((bound, 0), family=family) as sock:
        port = endpoint.port or sock.getsockname()[1]
        assert covers(Endpoint(endpoint.path, endpoint.host, port), sock) is same


def test_unix_covers_no_tcp(unix_socket: socket.socket) -> None:
    """A unix socket belongs to no TCP endpoint."""
    assert not covers(Endpoint(host="127.0.0.1", port=1), unix_socket)


def test_abstract_name() -> None:
    """An abstract unix socket is named with "@", and belongs to no path."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"\0policyd-test-{os.getpid()}")
        assert name_of(sock) == f"unix:@policyd-test-{os.getpid()}"
        assert not covers(Endpoint(path=f"policyd-test-{os.getpid()}"), sock)


def test_ipv6_name() -> None:
    """An IPv6 address is named as the configuration writes it."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as sock:
        assert name_of(sock) == f"[::1]:{sock.getsockname()[1]}"


def test_from_the_third_descriptor(unix_socket: socket.socket, short_dir: Path) -> None:
    """A process that is started as systemd starts it finds its socket at descriptor 3."""
    code = (
        "import os\nfrom policyd.server.activation import name_of, passed_sockets\n"
        "print(*map(name_of, passed_sockets(os.environ, os.getpid())))"
    )
    number = unix_socket.fileno()
    start = f'exec 3<&{number} {number}<&-; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -W ignore -c "$1"'
    result = subprocess.run(
        ["bash", "-c", start, sys.executable, code],
        pass_fds=[number],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert result.stdout.strip() == f"unix:{short_dir}/policy"
