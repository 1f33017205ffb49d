"""The installed daemon among peers that mean no good: its memory is bounded, and mail is answered."""

import os
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.app.conftest import Start
from tests.support.asker import Asker
from tests.support.daemon import rate
from tests.support.policy import request
from tests.support.process import Process
from tests.support.redis import RedisServer
from tests.support.wait import until

MOST, PEERS = 300, 2_000
ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}
HALF = request()[:-1] + b"x" * 60_000
BOUND = MOST * 320 * 1024
"""Bytes: half a request and what was read with it, of each connection; the last is mostly not used."""


@pytest.fixture
def daemon(start: Start, redis_server: RedisServer) -> Process:
    """Run a daemon that takes MOST connections."""
    return start(redis_server.url, limits={"domain-hourly": rate(100_000)}, listen={"max_connections": MOST})


@pytest.fixture
def peers() -> Iterator[ExitStack]:
    """Hang up at the end."""
    with ExitStack() as stack:
        yield stack


def connect(peers: ExitStack, path: Path, data: bytes) -> socket.socket:
    """Connect, send what is taken at once, and read nothing."""
    sock = peers.enter_context(socket.socket(socket.AF_UNIX))
    sock.connect(str(path))
    sock.setblocking(False)
    with suppress(BlockingIOError, ConnectionError):
        sock.send(data)
    return sock


def memory(daemon: Process) -> int:
    """Return the daemon's resident memory in bytes."""
    pages = int(Path(f"/proc/{daemon.pid}/statm").read_text().split()[1])
    return pages * 4096


def answered(daemon: Process) -> bool:
    """Whether a customer's mail is decided, and charged."""
    with daemon.asker() as asker:
        return asker.ask(**ALICE) == "DUNNO"


def test_thousands_of_half_requests(daemon: Process, peers: ExitStack) -> None:
    """Two thousand peers that send half a request hold no more than the bound, and mail goes on."""
    with daemon.asker() as smtpd:
        assert smtpd.ask(**ALICE) == "DUNNO"
        before = memory(daemon)
        for number in range(PEERS):
            connect(peers, daemon.policy, HALF)
            if number % 200 == 0:
                assert smtpd.ask(**ALICE) == "DUNNO"
        assert answered(daemon)
        assert smtpd.ask(**ALICE) == "DUNNO"
    assert memory(daemon) - before < BOUND
    assert daemon.metric("policyd_connections", service="postfix") <= MOST
    assert daemon.metric("policyd_connections_too_many_total", service="postfix") >= PEERS - MOST
    which = f"the oldest that has asked nothing, from pid {os.getpid()} of uid {os.getuid()}"
    assert daemon.said(f"listen.postfix has {MOST} connections, the most that it takes: closed {which}")


def test_peers_that_never_read(daemon: Process, peers: ExitStack) -> None:
    """Fifty peers that ask ten thousand times and read nothing are asked about no more when their answers pile up."""
    before = memory(daemon)
    for _ in range(50):
        connect(peers, daemon.policy, request(**ALICE, protocol_state="VRFY") * 10_000)
    for _ in range(20):
        assert answered(daemon)
    assert memory(daemon) - before < BOUND


def test_noise(daemon: Process) -> None:
    """A line of 1 MB, random bytes and another protocol are closed, and counted; mail goes on."""
    source = random.Random(7)
    noises = [b"x" * 2**20, source.randbytes(300_000), b"EHLO x\r\nMAIL FROM:<a@b>\r\n\r\n", b"\x16\x03\x01\x02\0" * 99]
    for number, noise in enumerate(noises, 1):
        with daemon.asker() as bad:
            with suppress(ConnectionError):
                bad.write(noise + b"\n\n")
            with suppress(ConnectionError):
                assert bad.is_closed()
        until(lambda seen=number: daemon.metric("policyd_protocol_errors_total") == seen, "it is counted")  # type: ignore[misc]
        assert answered(daemon)


@pytest.mark.parametrize("service", ["metrics", "admin"])
def test_a_listener_that_anybody_reaches(daemon: Process, peers: ExitStack, service: str) -> None:
    """A thousand peers that ask half keep neither Prometheus nor the admin out."""
    path = {"metrics": daemon.pages, "admin": daemon.admin}[service]
    before = memory(daemon)
    for _ in range(1_000):
        connect(peers, path, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 4000)

    assert daemon.page("/livez")[0] == 200
    assert daemon.ask("/v1/daemon")
    assert answered(daemon)
    assert daemon.metric("policyd_connections", service=service) <= 256
    assert daemon.metric("policyd_connections_too_many_total", service=service) >= 700
    assert memory(daemon) - before < BOUND


def test_an_asker_that_hangs_up_with_its_answer_due(daemon: Process) -> None:
    """A thousand clients that ask and hang up leave nothing behind."""
    for _ in range(1_000):
        with Asker(daemon.policy) as hasty:
            hasty.send(**ALICE)
    until(lambda: daemon.metric("policyd_connections", service="postfix") == 0, "all are gone")

    assert answered(daemon)
