"""What systemd is told."""

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from policyd.server.systemd import Notifier, watchdog_interval


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, short_dir: Path) -> Iterator[tuple[socket.socket, str]]:
    """Return systemd's end, and its address as NOTIFY_SOCKET has it."""
    address = str(short_dir / "notify") if request.param == "path" else f"@policyd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address.replace("@", "\0"))
        sock.settimeout(10)
        yield sock, address


def test_messages(manager: tuple[socket.socket, str]) -> None:
    """Each state is one datagram of assignments."""
    sock, address = manager
    notifier = Notifier(address)
    notifier.ready("400 domains")
    notifier.ready()
    notifier.stopping()
    notifier.status("two\nlines\u20ac")
    notifier.alive()

    assert [sock.recv(1_000).decode() for _ in range(5)] == [
        "READY=1\nSTATUS=400 domains",
        "READY=1",
        "STOPPING=1",
        "STATUS=two lines\u20ac",
        "WATCHDOG=1",
    ]


def test_reloading(manager: tuple[socket.socket, str]) -> None:
    """The begin of a reload carries its moment, which Type=notify-reload needs."""
    sock, address = manager
    Notifier(address).reloading()
    state, _, moment = sock.recv(1_000).decode().partition("\nMONOTONIC_USEC=")

    assert (state, moment.isdecimal()) == ("RELOADING=1", True)


def test_no_systemd() -> None:
    """Without systemd nothing is sent and nothing fails."""
    Notifier("").ready("status")


def test_from_environment() -> None:
    """The address is taken from the environment, where no child process finds it any more."""
    environ = {"NOTIFY_SOCKET": "/nowhere", "HOME": "/"}
    notifier = Notifier.from_environment(environ)

    assert (isinstance(notifier, Notifier), environ) == (True, {"HOME": "/"})


def test_systemd_is_deaf(short_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A message that cannot be sent is a warning and stops nothing."""
    Notifier(str(short_dir / "nobody")).stopping()

    assert [(record.levelno, "STOPPING=1" in record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, True)
    ]


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15_000),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77"}, 15_000),
        ({"WATCHDOG_USEC": "1"}, 1),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "78"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
        ({}, None),
    ],
)
def test_watchdog_interval(environ: dict[str, str], interval: int | None) -> None:
    """The watchdog is fed twice as often as it asks for, if it watches this process."""
    assert (watchdog_interval(environ, 77), environ) == (interval, {})
