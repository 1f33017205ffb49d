"""kill -9 and SIGSTOP of the daemon under load: no mail is lost or bounced, and none is charged twice."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import permutations
from random import Random

import pytest

from tests.support.customers import NAMES, Customers, times
from tests.support.daemon import rate
from tests.support.held import holding
from tests.support.postfix import Postfix
from tests.support.process import Process, configuration
from tests.support.readme import blocks
from tests.support.redis import RedisServer
from tests.support.sink import Sink
from tests.support.wait import until

MOST, CLIENTS, KILLS, SEED = 3000, 8, 3, 6
IN_FLIGHT = CLIENTS * len(NAMES)
"""How many recipients may have been charged and not be in the queue when a daemon is killed."""

GIVEN_UP = "problem talking to server"
"""What smtpd logs when it takes the default action, or asks once more after a timeout."""


@pytest.fixture(scope="module")
def host(sink: Sink) -> Iterator[Postfix]:
    """Run a Postfix with the README's entry as it is pasted, and ports whose default action is a 451.

    The smtpd processes of ``brief`` and ``hasty`` live for a few sessions, so that connections come and go as they do
    in hours; ``hasty`` does not wait the recommended 45 s for an answer.
    """
    made = Postfix(next_hop=sink.port)
    made.append(main=blocks("main.cf"))
    made.add("smtp", {})
    strict = {"policyd_check": made.check()}
    made.add("strict", strict)
    made.add("brief", strict | {"max_use": "5"})
    made.add("hasty", {"policyd_check": made.check(timeout="2s"), "max_use": "5"})
    try:
        made.start()
        yield made
    finally:
        made.stop()


class Books:
    """One load, and what Postfix, the next hop and the store say of it in the end."""

    def __init__(self, host: Postfix, port: str, sink: Sink, redis_server: RedisServer, domain: str) -> None:
        self.customers = Customers(host.port(port), domain, MOST, CLIENTS)
        self._host, self._sink, self._url = host, sink, redis_server.url
        self._since = len(host.log.lines)

    def daemon(self) -> Process:
        """Return a daemon for these customers that is not started."""
        listen = {"postfix": [f"unix:{self._host.policy}"], "postfix_group": "postfix"}
        limits = {"domain-hourly": rate(1_000_000)}
        made = Process(configuration(self._url, self.customers.accounts, limits, listen=listen))
        made.write()
        return made

    def given_up(self) -> int:
        """Return for how many questions Postfix took its default action."""
        return sum(GIVEN_UP in line for line in self._host.log.lines[self._since :])

    def accepted(self) -> int:
        """End the load and return how many recipients Postfix accepted: each was delivered once, none has bounced."""
        self.customers.finish()
        accepted = self.customers.accepted()
        delivered = self._sink.wait(self.customers.target, accepted.total())
        assert times([one.recipients for one in delivered]) == accepted
        senders = set(self.customers.begun)
        messages = [one for one in self._host.log.messages.values() if one.account in senders]
        until(lambda: self._host.log.lines and all(one.removed for one in messages), "the queue is empty")
        assert {attempt.status for one in messages for attempt in one.attempts} == {"sent"}
        assert [one.notices for one in messages if one.notices] == []
        return accepted.total()

    def charged(self, daemon: Process, twice: int = 0) -> int:
        """Return how many recipients were charged in all: no message twice, but for one recipient of so many."""
        used = {account: daemon.used(account, "domain-hourly") for account in self.customers.begun}
        over = [count - len(NAMES) for count in used.values() if count > len(NAMES)]
        assert sum(over) <= twice
        return sum(used.values())


@pytest.fixture
def held(host: Postfix) -> Iterator[socket.socket]:
    """Listen where Postfix asks, as systemd does for the daemon."""
    with holding(host.policy) as sock:
        yield sock


@contextmanager
def ending(*daemons: Process) -> Iterator[None]:
    """Remove the daemons in the end."""
    try:
        yield
    finally:
        for daemon in daemons:
            daemon.remove()


@contextmanager
def both_answering(books: Books, held: socket.socket) -> Iterator[list[Process]]:
    """Run two daemons on one socket, as systemd can pass it to both, and return when a load has met both."""
    pair = [books.daemon(), books.daemon()]
    with ending(*pair):
        for daemon in pair:
            daemon.launch(held)
            daemon.wait_ready()
        books.customers.start()
        until(lambda: all(map(answers, pair)), "both answer")
        yield pair


def moments(customers: Customers) -> Iterator[int]:
    """Yield at the moment of each kill: so many messages were answered since the last one. No question meets two."""
    dice = Random(SEED)
    for _ in range(KILLS):
        moment = dice.randint(CLIENTS, 6 * CLIENTS)
        customers.wait_sent(moment)
        yield moment
        customers.wait_under_way()


def answers(daemon: Process) -> float:
    """Return how many questions about recipients a daemon has answered since its start."""
    return daemon.metric("policyd_requests_total", service="postfix", traffic="script", action="accept")


@pytest.mark.parametrize("port", ["smtp", "strict"])
def test_killed_without_anybody_who_holds_its_socket(
    host: Postfix, port: str, sink: Sink, redis_server: RedisServer, domain: str
) -> None:
    """Whatever the default action: what is accepted is delivered once, and over-counted is only what was in flight."""
    books = Books(host, port, sink, redis_server, domain)
    daemon = books.daemon()
    with ending(daemon):
        daemon.launch()
        daemon.wait_ready()
        books.customers.start()
        for number, _ in enumerate(moments(books.customers)):
            daemon.kill()
            until(lambda least=number: books.given_up() > least, "Postfix takes the default action")  # type: ignore[misc]
            daemon.launch()
            daemon.wait_ready()

        accepted = books.accepted()
        assert accepted - books.given_up() <= books.charged(daemon) <= accepted + KILLS * IN_FLIGHT


def test_killed_with_its_socket_held(
    host: Postfix, held: socket.socket, sink: Sink, redis_server: RedisServer, domain: str
) -> None:
    """Started again on the socket that systemd holds it answers everything that was asked, and all is charged once."""
    books = Books(host, "strict", sink, redis_server, domain)
    daemon = books.daemon()
    with ending(daemon):
        daemon.launch(held)
        daemon.wait_ready()
        books.customers.start()
        for _ in moments(books.customers):
            daemon.kill()
            daemon.launch(held)
            daemon.wait_ready()

        accepted, everything = books.accepted(), len(NAMES) * len(books.customers.begun)
        assert (accepted, books.given_up()) == (everything, 0)
        assert books.charged(daemon) == everything


def test_one_of_two_killed(
    host: Postfix, held: socket.socket, sink: Sink, redis_server: RedisServer, domain: str
) -> None:
    """What one of two daemons was asked, the other answers."""
    books = Books(host, "brief", sink, redis_server, domain)
    with both_answering(books, held) as pair:
        for (killed, other), _ in zip(permutations(pair), moments(books.customers), strict=False):
            killed.kill()
            before = answers(other)
            books.customers.wait_under_way()
            assert answers(other) > before
            killed.launch(held)
            killed.wait_ready()

        accepted, everything = books.accepted(), len(NAMES) * len(books.customers.begun)
        assert (accepted, books.given_up()) == (everything, 0)
        assert books.charged(pair[0]) == everything


def test_one_of_two_frozen(
    host: Postfix, held: socket.socket, sink: Sink, redis_server: RedisServer, domain: str
) -> None:
    """What the frozen one is asked waits for Postfix' timeout once, and the other answers.

    Only that may be charged twice: the frozen one answers it, too, when it goes on, and nobody hears.
    """
    books = Books(host, "hasty", sink, redis_server, domain)
    with both_answering(books, held) as pair:
        other, frozen = sorted(pair, key=lambda one: one.metric("policyd_connections", service="postfix"))
        frozen.signal(signal.SIGSTOP)
        try:
            until(books.given_up, "Postfix waits for it no longer")
            books.customers.wait_under_way()
        finally:
            frozen.signal(signal.SIGCONT)
        books.customers.wait_under_way()

        accepted, everything = books.accepted(), len(NAMES) * len(books.customers.begun)
        assert accepted == everything
        assert everything <= books.charged(other, books.given_up()) <= everything + books.given_up()
