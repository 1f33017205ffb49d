"""A restart in the middle of the traffic, as systemd does it with its socket units."""

import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.daemon import rate
from tests.support.held import holding
from tests.support.postfix import Postfix
from tests.support.process import Process, configuration
from tests.support.programs import require
from tests.support.redis import RedisServer
from tests.support.wait import until

MESSAGES, RECIPIENTS, RESTARTS = 300, 2, 3


@pytest.fixture
def held(postfix: Postfix) -> Iterator[socket.socket]:
    """Listen where Postfix asks, as systemd does for the daemon."""
    with holding(postfix.policy) as sock:
        yield sock


@pytest.fixture
def daemon(postfix: Postfix, redis_server: RedisServer, domain: str) -> Iterator[Process]:
    """Return a daemon that is not started."""
    listen = {"postfix": [f"unix:{postfix.policy}"]}
    made = Process(configuration(redis_server.url, [domain], {"domain-hourly": rate(1_000_000)}, listen=listen))
    made.write()
    yield made
    made.remove()


def test_restarts_under_load_defer_nothing_and_lose_no_count(
    postfix: Postfix, held: socket.socket, daemon: Process, domain: str
) -> None:
    """smtp-source sends through a real Postfix while policyd restarts: all is accepted, and all is charged once."""
    daemon.launch(held)
    daemon.wait_ready()
    load = ["-s", "8", "-m", str(MESSAGES), "-r", str(RECIPIENTS), "-f", f"shop@{domain}", "-t", "x@remote.test"]
    sender = subprocess.Popen([require("smtp-source"), *load, f"127.0.0.1:{postfix.port('smtp')}"])
    for number in range(1, RESTARTS + 1):
        some = MESSAGES * RECIPIENTS * number // (RESTARTS + 2)
        until(lambda least=some: daemon.used(domain, "domain-hourly") >= least, "mail flows")  # type: ignore[misc]
        assert sender.poll() is None
        daemon.stop()
        daemon.launch(held)
        daemon.wait_ready()

    assert sender.wait(60) == 0
    postfix.log.wait_queued(domain, MESSAGES * RECIPIENTS)
    assert [refusal for refusal in postfix.log.refusals if domain in str(refusal)] == []
    daemon.wait_used(domain, "domain-hourly", MESSAGES * RECIPIENTS)
