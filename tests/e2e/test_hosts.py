"""policyd on two hosts: Postfix goes on to the next address of the name by itself."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.daemon import rate
from tests.support.ports import free_port
from tests.support.postfix import Postfix
from tests.support.process import Process, configuration
from tests.support.programs import require
from tests.support.readme import blocks
from tests.support.redis import RedisServer
from tests.support.smtp import send

WRITTEN, WRITTEN_PORT = ("10.0.0.5", "10.0.0.6"), "10031"
"""What the README says, replaced by addresses and a port of this host."""
ADDRESSES = ("127.0.0.3", "127.0.0.4")
WITH_HOSTS = 'mount --bind "$0" /etc/hosts && exec "$@"'
GIVEN_UP = "problem talking to server"


@pytest.fixture
def ending() -> Iterator[ExitStack]:
    """Return what ends the programs of a test."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def pair(redis_server: RedisServer, domain: str, ending: ExitStack) -> list[Process]:
    """Run a daemon on each of two addresses, with one port and one Redis."""
    port = free_port()
    daemons = []
    for address in ADDRESSES:
        listen = {"postfix": [f"{address}:{port}"], "trust_tcp": True}
        daemons.append(Process(configuration(redis_server.url, [domain], {"domain-hourly": rate(100)}, listen=listen)))
        ending.callback(daemons[-1].remove)
        daemons[-1].start()
    return daemons


@pytest.fixture
def host(pair: list[Process], ending: ExitStack) -> Postfix:
    """Run a Postfix with the README's lines, which finds both addresses under one name in its /etc/hosts."""
    made = Postfix()
    ending.callback(made.stop)
    hosts, names = made.base / "hosts", blocks("hosts")
    for written, address in zip(WRITTEN, ADDRESSES, strict=True):
        assert f"{written} " in names
        names = names.replace(written, address)
    hosts.write_text(names)
    port = pair[0].configuration["listen"]["postfix"][0].rpartition(":")[2]
    entry = blocks("main.cf hosts")
    assert WRITTEN_PORT in entry
    restrictions = blocks("main.cf").partition("smtpd_recipient_restrictions")
    made.append(main=entry.replace(WRITTEN_PORT, port) + "".join(restrictions[1:]))
    made.add("smtp", {})
    own = [require("unshare", root=True), "--mount", "--propagation", "private"]
    made.start(around=[*own, "bash", "-c", WITH_HOSTS, str(hosts)])
    return made


def answers(daemon: Process) -> float:
    """Return how many questions about recipients a daemon has answered."""
    return daemon.metric("policyd_requests_total", service="postfix", traffic="script", action="accept")


def test_the_next_address_is_asked(host: Postfix, pair: list[Process], domain: str) -> None:
    """All questions go to one address until its daemon dies, then to the other; all are answered and charged once."""

    def send_some(first: int) -> list[int]:
        recipients = [f"x{number}@remote.test" for number in range(first, first + 10)]
        return send(host.port("smtp"), f"shop@{domain}", recipients).codes

    assert send_some(0) == [250] * 10
    asked, idle = sorted(pair, key=answers, reverse=True)
    assert answers(idle) == 0
    asked.kill()
    assert send_some(10) == [250] * 10

    assert (idle.used(domain, "domain-hourly"), answers(idle) > 0) == (20, True)
    assert not any(GIVEN_UP in line for line in host.log.lines)
