"""Sockets that systemd passes: a restart refuses nobody."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import pytest

from tests.support.asker import Asker, Crowd, new_instance
from tests.support.daemon import rate
from tests.support.process import Process, configuration
from tests.support.programs import require
from tests.support.redis import RedisServer
from tests.support.wait import until

ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}
TRIES = 2
"""How often Postfix asks (try_limit of smtpd_policy_service)."""


@pytest.fixture
def daemon(redis_server: RedisServer, ending: ExitStack) -> Process:
    """Return a daemon that is not started."""
    limits = {"domain-hourly": rate(1_000_000)}
    made = Process(configuration(redis_server.url, ["a.test"], limits, accounts={"settle": "recipient"}))
    ending.callback(made.remove)
    made.write()
    return made


@pytest.fixture
def held(daemon: Process) -> Iterator[socket.socket]:
    """Listen on the daemon's socket, as systemd does for it."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(daemon.policy))
        sock.listen(1000)
        yield sock


def ask_as_postfix(path: Path) -> tuple[str, int]:
    """Return the answer to one request on a connection of its own, and how often it had to be asked."""
    instance = new_instance()
    for tried in range(1, TRIES + 1):
        with Asker(path) as asker:
            try:
                return asker.ask(**ALICE, instance=instance), tried
            except ConnectionError:
                continue
    raise AssertionError(f"no answer in {TRIES} tries")


def test_restart(daemon: Process, held: socket.socket) -> None:
    """While a daemon restarts three times nobody is refused, each request has its answer, and the count is exact."""

    def talk(_: int, enough: Event) -> list[str]:
        answers = list[str]()
        while not enough.is_set():
            answers.append(ask_as_postfix(daemon.policy)[0])
        return answers

    daemon.launch(held)
    with Crowd(4, talk) as crowd:
        for some in (100, 200, 300):
            daemon.wait_ready()
            until(lambda least=some: daemon.used("a.test", "domain-hourly") > least, "mail flows")  # type: ignore[misc]
            daemon.stop()
            assert daemon.policy.exists()
            daemon.launch(held)
        daemon.wait_ready()

    assert set(crowd.answers) == {"DUNNO"}
    assert daemon.used("a.test", "domain-hourly") == len(crowd.answers)


def test_waiting_for_its_start(daemon: Process, held: socket.socket) -> None:
    """Who connects while no daemon runs waits and is answered by the next one."""
    assert held.getsockname() == str(daemon.policy)
    with daemon.asker() as asker:
        asker.send(**ALICE)
        daemon.launch(held)

        assert asker.answer() == "DUNNO"


def test_systemd_socket_activate(daemon: Process) -> None:
    """Started by systemd's own tool at the first connection, the daemon answers on the socket that it was passed."""
    tool = require("systemd-socket-activate")
    keep = [f"--setenv={name}" for name in ("PATH", "HOME") if name in os.environ]
    daemon.launch(around=[tool, f"--listen={daemon.policy}", *keep])
    until(daemon.policy.exists, "the socket is there")
    asker = until(lambda: connected(daemon.policy), "somebody listens")
    assert asker is not None
    with asker:
        assert asker.ask(**ALICE) == "DUNNO"
    daemon.stop()

    assert daemon.policy.exists()


def connected(path: Path) -> Asker | None:
    """Return a connection, None while nobody listens."""
    try:
        return Asker(path)
    except ConnectionRefusedError:
        return None
