"""What Postfix asks twice is charged once and answered the same: a daemon that dies, an answer too late."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.daemon import DaemonProcess, Serve, Yaml, rate, settings
from tests.support.postfix import Postfix
from tests.support.proxy import Proxy
from tests.support.redis import RedisServer
from tests.support.smtp import Session

CHARGE = b"EVALSHA"
ASKED_ONE_BY_ONE = 127
"""The largest maximum of a limit with exact times; which counter type a limit has is all the same here."""


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    """Stand between policyd and the test's Redis."""
    one = Proxy(redis_server.socket)
    one.start()
    yield one
    one.stop()


class Pair:
    """A daemon that Postfix asks, over the proxy, and one that waits to take its place."""

    def __init__(self, postfix: Postfix, redis_server: RedisServer, proxy: Proxy, domain: str, limits: Yaml) -> None:
        self._policy = postfix.policy
        self._spare = postfix.policy.with_name("spare")
        self.first = DaemonProcess(settings(self._policy, proxy.url, [domain], limits))
        self.second = DaemonProcess(settings(self._spare, redis_server.url, [domain], limits))

    def start(self) -> None:
        """Start both."""
        self.first.start()
        self.second.start()

    def replace_first(self) -> None:
        """Kill the first; its socket's name is the second's from now on, before Postfix asks again."""
        self.first.kill()
        self._spare.replace(self._policy)

    def remove(self) -> None:
        """End both."""
        self.first.remove()
        self.second.remove()
        self._policy.unlink(missing_ok=True)


@pytest.fixture
def pair(postfix: Postfix, redis_server: RedisServer, proxy: Proxy, domain: str) -> Iterator[Pair]:
    """Run two daemons on one Redis; the limit lets two recipients through."""
    with ExitStack() as running:
        daemons = Pair(postfix, redis_server, proxy, domain, {"domain-hourly": rate(2)})
        running.callback(daemons.remove)
        daemons.start()
        yield daemons


def test_a_daemon_killed_between_charge_and_answer_charges_once(
    postfix: Postfix, proxy: Proxy, pair: Pair, domain: str
) -> None:
    """Postfix asks the next daemon the same, which knows the answer from the store and charges nothing."""
    with Session(postfix.port("smtp")) as session:
        session.mail(f"shop@{domain}")
        proxy.swallow(CHARGE)
        session.ask("RCPT TO:<x@remote.test>")
        assert proxy.swallowed.wait(10)
        pair.replace_first()
        assert session.answer().code == 250
        assert pair.second.used(domain, "domain-hourly") == 1
        assert session.data().code == 250
    postfix.log.wait_queued(domain, 1)
    assert pair.second.used(domain, "domain-hourly") == 1


def test_a_refusal_that_was_lost_is_repeated_word_for_word(
    postfix: Postfix, proxy: Proxy, pair: Pair, domain: str
) -> None:
    """The second daemon refuses with the reference of the first one's refusal."""
    with Session(postfix.port("smtp")) as session:
        session.mail(f"shop@{domain}")
        assert [session.rcpt(name).code for name in ("x@remote.test", "y@remote.test")] == [250, 250]
        proxy.swallow(CHARGE)
        session.ask("RCPT TO:<z@remote.test>")
        assert proxy.swallowed.wait(10)
        pair.replace_first()
        lost = session.answer()
        later = session.rcpt("z@remote.test")
        assert session.data().code == 250
    assert lost.code == 450
    assert lost == later
    postfix.log.wait_queued(domain, 2)
    assert pair.second.used(domain, "domain-hourly") == 2


@pytest.mark.parametrize("most", [ASKED_ONE_BY_ONE, ASKED_ONE_BY_ONE + 100], ids=["log", "ring"])
def test_a_request_sent_again_after_a_timeout_is_charged_once(
    postfix: Postfix, proxy: Proxy, serve: Serve, domain: str, most: int
) -> None:
    """Postfix gives up on a slow answer, asks again on a new connection, and one recipient is charged."""
    limits = {"domain-hourly": rate(most)}
    daemon = serve([domain], limits, listen={"policy_timeout": "2s"}, store={"url": proxy.url, "timeout": "8s"})
    with Session(postfix.port("hasty")) as session:
        session.mail(f"shop@{domain}")
        assert session.rcpt("w@remote.test").code == 250
        proxy.hold()
        before = len(postfix.log.lines)
        session.ask("RCPT TO:<x@remote.test>")
        postfix.log.wait_line("hasty/smtpd.* problem talking to server policyd/policy: Connection timed out", before)
        proxy.release()
        assert session.answer().code == 250
        assert daemon.used(domain, "domain-hourly") == 2
        assert session.data().code == 250
    postfix.log.wait_queued(domain, 2)
    assert daemon.used(domain, "domain-hourly") == 2
    assert daemon.metric("policyd_repeats_total") == 1
