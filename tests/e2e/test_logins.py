"""Logins through a real Dovecot that asks a real policyd, set up as the README has it."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import yaml

from tests.support.daemon import HOUR, Yaml
from tests.support.loginsite import BOB, IN, REFUSED, LoginSite
from tests.support.readme import blocks
from tests.support.redis import RedisServer

CHECKS: Yaml = {"kind": "rate", "counts": "logins", "protocols": ["pop3"], "max": 60, "window": "1h", "lock": "1h"}
ALICE = "alice@example.org"

_MASTER = """\
auth_master_user_separator = *
passdb {
  driver = static
  args = password=master
  master = yes
  override_fields = nodelay=y
}
"""

Start = Callable[..., LoginSite]


@pytest.fixture
def start(redis_server: RedisServer) -> Iterator[Start]:
    """Return what starts a LoginSite with limits of logins."""
    with ExitStack() as running:

        def begin(recipe: str = "", **limits: Yaml) -> LoginSite:
            site = LoginSite(redis_server.url, limits, recipe)
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


def test_a_master_user_counts_for_the_mailbox_that_he_opens(start: Start) -> None:
    """Dovecot names the mailbox, not who opens it."""
    site = start(_MASTER, pop_checks={**CHECKS, "max": 2})

    assert site.pop3() == [IN]
    assert site.dovecot.pop3(f"{BOB}*support", "master") == IN
    assert site.dovecot.pop3(f"{BOB}*support", "master").startswith("-ERR ")
    assert site.pop3() == [REFUSED]
    assert site.daemon.used(BOB, "pop_checks") == 2


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
