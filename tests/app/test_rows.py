"""What an admin meets while Redis is well: what a running daemon shows is what "When things break" says."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from policyd.cli.client import AdminClient
from tests.support.asker import Asker
from tests.support.daemon import rate
from tests.support.dovecot_client import KEY, post
from tests.support.manual import Seen
from tests.support.ports import free_port
from tests.support.process import Process, configuration
from tests.support.redis import running
from tests.support.wait import until

ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}
CAROL = {"sasl_username": "carol@b.test", "sender": "carol@b.test"}
FAN_OUT = {
    "sasl_username": "", "client_address": "127.0.0.1", "policy_context": "mailman", "sender": "news-bounces@b.test",
}  # fmt: skip
LIMITS = {
    "domain-hourly": rate(100),
    "pop-checks": {"kind": "rate", "counts": "logins", "protocols": ["pop3"], "max": 1, "window": "1h"},
    "list-pace": {"kind": "pace", "per": "list", "every": "20s", "by": "answer", "delay_up_to": "20s"},
}
MOST = 8


class Site(Process):
    """A daemon that Dovecot asks, too."""

    def __init__(self, store_url: str, **sections: Any) -> None:
        super().__init__(configuration(store_url, ["a.test", "b.test"], dict(LIMITS), **sections))
        self.port = free_port()
        key = self.base / "dovecot.key"
        key.write_text(KEY)
        key.chmod(0o600)
        self.configuration["listen"] |= {"dovecot": f"127.0.0.1:{self.port}", "dovecot_key_file": str(key)}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Site]:
    """Run a daemon with all sections that can go wrong."""
    with ExitStack() as ending:
        server = ending.enter_context(running())
        password = server.directory / "mailman.password"
        password.write_text("secret")
        password.chmod(0o600)
        made = Site(
            server.url, listen={"max_connections": MOST}, lists={"contexts": ["mailman"]}, delay={"max": 1},
            spam_traps={"addresses": ["old@remote.test"], "count": 9},
            mailman={"url": "http://127.0.0.1:1/3.1", "password_file": str(password)},
            accounts={"include": ["more.d/*.yaml"]},
        )  # fmt: skip
        ending.callback(made.remove)
        made.start()
        yield made


@pytest.fixture
def asker(daemon: Process) -> Iterator[Asker]:
    """Return a connection."""
    with daemon.asker() as made:
        yield made


def test_a_bad_reload(daemon: Process) -> None:
    """A limit that is no number."""
    seen = Seen(daemon)
    daemon.configuration["limits"]["domain-hourly"]["max"] = "many"
    daemon.hang_up("failed")
    seen.row("a bad reload")
    seen.line("the reload changed nothing")
    daemon.configuration["limits"]["domain-hourly"]["max"] = 100
    daemon.hang_up("ok")


def test_a_bad_include(daemon: Process) -> None:
    """A plan that there is not."""
    seen, more = Seen(daemon), daemon.base / "more.d" / "c.yaml"
    more.parent.mkdir()
    more.write_text("domains: {c.test: shored}\n")
    daemon.hang_up("ok")
    seen.row("a bad included file")
    more.unlink()
    daemon.hang_up("ok")


def test_a_port_without_ends(daemon: Process, asker: Asker) -> None:
    """Messages of one kind end, and then none of them does."""
    seen = Seen(daemon)
    asker.ask(**CAROL, protocol_state="END-OF-MESSAGE", recipient="", recipient_count="0")
    for _ in range(22):
        assert asker.ask(**CAROL) == "DUNNO"
    seen.row("a port lost its end-of-message check")
    assert "no END-OF-MESSAGE any more for user" in seen.log


def test_mailman_is_away(daemon: Process) -> None:
    """Its REST does not answer."""
    until(lambda: daemon.said("the rosters cannot be read"), "the log says so")
    Seen(daemon).row("Mailman's REST is down, or its password has changed", without="the rosters cannot be read")


def test_delays(daemon: Process, asker: Asker) -> None:
    """A list whose second recipient has to wait, where one answer may."""
    seen = Seen(daemon)
    assert asker.ask(**FAN_OUT) == "DUNNO"
    asker.send(**FAN_OUT)
    seen.row("too many answers are delayed at once")


def test_an_account_that_uses_its_limit_up(daemon: Process, asker: Asker) -> None:
    """First it is near it, then it is refused, many times."""
    near, jumped = Seen(daemon), Seen(daemon)
    for _ in range(92):
        assert asker.ask(**ALICE) == "DUNNO"
    near.row("an account has used 90 % of a limit for ten minutes")
    for _ in range(110):
        asker.ask(**ALICE)
    jumped.row("refusals jump")


def test_a_suspension(daemon: Process) -> None:
    """By hand."""
    seen, admin = Seen(daemon), AdminClient(str(daemon.admin))
    admin.post("/v1/suspend", subject="a.test", reason="phishing", until=0)
    seen.row("somebody was suspended")
    admin.post("/v1/resume", subject="a.test", reason="over")


def test_a_trap(daemon: Process, asker: Asker) -> None:
    """Somebody writes to an address that nobody has."""
    seen = Seen(daemon)
    asker.ask(**CAROL, recipient="old@remote.test")
    seen.row("somebody mailed a spam trap")


def test_a_flood(daemon: Process) -> None:
    """More connections than there may be."""
    seen = Seen(daemon)
    with ExitStack() as ending:
        for _ in range(2 * MOST):
            ending.enter_context(daemon.asker())
        seen.row("a flood of connections, or peers that ask slowly, half, or never read")


def test_many_mailboxes(daemon: Site) -> None:
    """Ten that one client asks for too often."""
    seen = Seen(daemon)
    for number in range(20):
        post(daemon.port, "allow", login=f"box{number // 2}@a.test")
    seen.row("many mailboxes locked for one address")
