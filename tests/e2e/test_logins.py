"""Logins through a real Dovecot that asks a real policyd, set up as the README has it."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.support.daemon import HOUR, LocalDaemon, Yaml, settings
from tests.support.mailstore import PASSWORD, MailStore
from tests.support.ports import free_port
from tests.support.readme import blocks
from tests.support.redis import RedisServer

IN = "+OK Logged in."
REFUSED = "-ERR [AUTH] Authentication failed."
CHECKS: Yaml = {"kind": "rate", "counts": "logins", "protocols": ["pop3"], "max": 60, "window": "1h", "lock": "1h"}
BOB, ALICE = "bob@example.org", "alice@example.org"

_IMAP = """\
protocols = pop3 imap
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""


class Site:
    """A policyd and a Dovecot that asks it."""

    def __init__(self, store_url: str, limits: Yaml, recipe: str = "") -> None:
        self.port, self.imap_port = free_port(), free_port()
        made = settings(Path("/nonexistent/policy"), store_url, ["example.org"], limits)
        self.daemon = LocalDaemon(made)
        key = self.daemon.base / "dovecot.key"
        key.write_text("0123456789abcdef")
        key.chmod(0o640)
        listen = self.daemon.configuration["listen"]
        listen["postfix"] = [f"unix:{self.daemon.base}/policy"]
        listen["postfix_group"] = "root"
        listen |= {"dovecot": f"127.0.0.1:{self.port}", "dovecot_key_file": str(key)}
        lines = blocks("dovecot.conf policyd") + recipe
        for written, here in (("127.0.0.1:10032", f"127.0.0.1:{self.port}"), ("/etc/policyd/dovecot.key", str(key))):
            assert written in lines
            lines = lines.replace(written, here)
        imap = _IMAP.format(port=self.imap_port)
        self.dovecot = MailStore(lines + blocks("dovecot.conf neighbours") + imap, blocks("dovecot.conf passdb"))

    def start(self) -> None:
        """Start both."""
        self.daemon.start()
        self.dovecot.start()

    def stop(self) -> None:
        """End both."""
        self.dovecot.stop()
        self.daemon.remove()

    def pop3(self, mailbox: str = BOB, times: int = 1) -> list[str]:
        """Return the answers to so many logins."""
        return [self.dovecot.pop3(mailbox) for _ in range(times)]

    def imap(self, mailbox: str = BOB, password: str = PASSWORD) -> str:
        """Log in by IMAP and return the answer."""
        with socket.create_connection(("127.0.0.1", self.imap_port), 40) as connection:
            answers = connection.makefile("rb")
            answers.readline()
            connection.sendall(f"a LOGIN {mailbox} {password}\r\n".encode())
            return next(line for line in answers if line.startswith(b"a ")).decode()

    def sasl(self, service: str, mailbox: str = BOB) -> bool:
        """Return whether a login for a service of Dovecot's auth process succeeds, as Postfix asks for smtp."""
        words = ("auth", "test", "-x", f"service={service}", "-x", "rip=192.0.2.7", mailbox, PASSWORD)
        return "auth succeeded" in self.dovecot.doveadm(*words)


Start = Callable[..., Site]


@pytest.fixture
def start(redis_server: RedisServer) -> Iterator[Start]:
    """Return what starts a Site with limits of logins."""
    with ExitStack() as running:

        def begin(recipe: str = "", **limits: Yaml) -> Site:
            site = Site(redis_server.url, limits, recipe)
            running.callback(site.stop)
            site.start()
            return site

        yield begin


def test_60_checks_an_hour(start: Start) -> None:
    """The 60th login works; the 61st hears what a wrong password hears, byte for byte; others are untouched."""
    site = start(pop_checks=CHECKS)

    assert site.pop3(times=60) == [IN] * 60
    assert site.pop3() == [REFUSED] == [site.dovecot.pop3(ALICE, "wrong")]
    assert site.pop3(ALICE) == [IN]
    assert site.imap().startswith("a OK ")
    assert [site.sasl(service) for service in ("smtp", "sieve", "submission")] == [True] * 3
    assert site.daemon.used(BOB, "pop_checks") == 60


def test_the_lock_opens_by_itself(start: Start) -> None:
    """An hour after the first refusal, however often the client tried meanwhile."""
    site = start(pop_checks={**CHECKS, "max": 2})
    site.pop3(times=2)
    site.daemon.advance(HOUR // 2)
    assert site.pop3(times=3) == [REFUSED] * 3
    for _ in range(5):
        site.daemon.advance(HOUR // 6)
        assert site.pop3() == [REFUSED]  # the last time when both logins are over an hour old
    site.daemon.advance(HOUR // 6)

    assert site.pop3(times=3) == [IN, IN, REFUSED]


def test_wrong_passwords_never_count(start: Start) -> None:
    """Guesses spend nothing of the customer's checks."""
    site = start(pop_checks={**CHECKS, "max": 2})
    for _ in range(4):
        assert site.dovecot.pop3(BOB, "wrong") == REFUSED

    assert site.pop3(times=3) == [IN, IN, REFUSED]


def test_a_refusal_that_tells_why(start: Start) -> None:
    """With tell: true the mail program shows the honest text, by POP3 and by IMAP."""
    site = start(checks={**CHECKS, "protocols": ["pop3", "imap"], "max": 1, "lock": None, "tell": True})
    site.pop3()
    (told,) = site.pop3()

    assert told.startswith(
        "-ERR [AUTH] Limit checks: 1 of 1 logins in 1h used; you can log in again at 2026-05-28T21:2"
    )
    assert "[ALERT] Limit checks: 1 of 1 logins" in site.imap()


def test_names_lead_to_one_mailbox(start: Start) -> None:
    """Upper case spends the same checks; with auth_username_chars for it, an extension does, too."""
    site = start("auth_username_chars =\n", pop_checks={**CHECKS, "max": 3})

    assert [site.dovecot.pop3(name) for name in ("BOB@example.org", "bob+x@example.org", "bob@Example.ORG")] == [IN] * 3
    assert site.pop3() == [REFUSED]


def test_a_client_that_guesses(start: Start) -> None:
    """The README's limit locks the address that nobody logged in from; one that somebody did is never locked."""
    guesses = yaml.safe_load(blocks("yaml guesses"))["limits"]["guesses"]
    site = start(guesses=guesses | {"mode": "enforce", "max": 3})
    for _ in range(3):
        site.dovecot.pop3(BOB, "wrong")
    assert site.pop3(ALICE) == [REFUSED]
    assert site.dovecot.pop3(ALICE, source="127.0.0.2") == IN
    for _ in range(4):
        site.dovecot.pop3(BOB, "wrong", source="127.0.0.2")
    assert site.dovecot.pop3(BOB, source="127.0.0.2") == IN


def test_while_policyd_is_down_or_slow_logins_go_on(start: Start) -> None:
    """Dovecot lets in whom it cannot ask about, and of whom it hears nothing; it asks again afterwards."""
    site = start(pop_checks={**CHECKS, "max": 1})
    site.pop3()
    site.daemon.stop()
    assert site.pop3(times=2) == [IN] * 2
    with socket.create_server(("127.0.0.1", site.port)):  # somebody who never answers
        assert site.pop3() == [IN]
    site.daemon.start()

    assert site.pop3() == [REFUSED]


def test_without_the_key_dovecot_is_not_heard(start: Start) -> None:
    """A wrong key is a login that nobody counts."""
    site = start("auth_policy_server_api_header = X-API-Key: another\n", pop_checks={**CHECKS, "max": 1})

    assert site.pop3(times=3) == [IN] * 3
    assert site.daemon.used(BOB, "pop_checks") == 0


def test_dovecot_with_its_defaults_is_warned_about(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Who forgets auth_policy_check_before_auth = no reads it in the log, once."""
    site = start("auth_policy_check_before_auth = yes\n", pop_checks=CHECKS)
    site.pop3(times=2)
    warnings = [line for line in caplog.messages if "asks twice about one login" in line]

    assert len(warnings) == 1
