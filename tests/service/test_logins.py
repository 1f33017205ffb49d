"""The way of a login: what Dovecot hears, what it costs to say it, and who is never locked out."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policyd.conf.schema import Exempt, RateLimit
from policyd.model import Action, Counts, LoginAnswer, Mode, Per
from policyd.store.base import Op
from policyd.suspension import Suspended
from tests.support.clock import START
from tests.support.config import HOUR, config, logins, networks
from tests.support.loggingin import ACCEPTED, REFUSED, Dovecot
from tests.support.redis import RedisServer

MINUTE = 60_000
Asks = Callable[..., Dovecot]
_names = (f"box{number}" for number in count())

GUESSES = logins("guesses", 3, counts=Counts.FAILED_LOGINS, per=Per.CLIENT, protocols=frozenset(), lock=0)


@pytest.fixture
def asks(module_redis: RedisServer) -> Iterator[Asks]:
    """Return what makes a Dovecot that asks about logins under some limits, over an empty Redis."""
    with module_redis.client() as client:
        client.flushall()
    loop, made = uvloop.new_event_loop(), list[Dovecot]()

    def make(*limits: RateLimit, **said: Any) -> Dovecot:
        made.append(Dovecot(loop, module_redis.url, config(*limits, **said)))
        return made[-1]

    yield make
    for dovecot in made:
        dovecot.close()
    loop.close()


def test_the_60th_login_works_and_the_61st_is_refused(asks: Asks) -> None:
    """60 checks an hour; a refusal looks like a wrong password, and other mailboxes are untouched."""
    dovecot = asks(logins(lock=0))

    assert [dovecot.login() for _ in range(60)] == [ACCEPTED] * 60
    assert [dovecot.login() for _ in range(3)] == [REFUSED] * 3
    assert dovecot.login(login="alice@example.org") == ACCEPTED
    assert dovecot.heard.verdicts[60].action is Action.REJECT


def test_a_login_is_one_store_call(asks: Asks) -> None:
    """One for a decision, accepted or refused; none for a report."""
    dovecot = asks(logins(max=1))

    dovecot.login()
    assert dovecot.ops == [Op.CHARGE]
    dovecot.login()
    assert dovecot.ops == [Op.CHARGE]


@pytest.mark.parametrize(
    ("limit", "changed"),
    [
        (logins(), {"protocol": "imap"}),
        (logins(), {"protocol": "smtp"}),
        (logins(max=None), {}),
        (logins(), {"login": ""}),
    ],
    ids=["imap", "smtp", "unlimited", "nobody"],
)
@pytest.mark.parametrize("down", [False, True], ids=["store up", "store down"])
def test_a_login_that_no_limit_looks_at_makes_no_store_call(
    asks: Asks, limit: RateLimit, changed: dict[str, Any], down: bool
) -> None:
    """It goes on, whatever Redis does."""
    dovecot = asks(limit)
    dovecot.store.down = down

    assert dovecot.login(**changed) == ACCEPTED
    dovecot.fail(**changed)
    assert dovecot.ops == []


def test_a_client_that_polls_once_a_minute_is_never_refused(asks: Asks) -> None:
    """24 hours of one check a minute, exactly on the minute."""
    dovecot = asks(logins())
    refused = 0
    for _ in range(24 * 60):
        refused += dovecot.allow() != ACCEPTED
        dovecot.clock.advance(MINUTE)

    assert refused == 0


def test_a_client_that_polls_a_little_too_often_is_refused(asks: Asks) -> None:
    """Once in 59 s is more than 60 in an hour: the 61st is refused."""
    dovecot = asks(logins(lock=0))
    answers = []
    for _ in range(61):
        answers.append(dovecot.allow())
        dovecot.clock.advance(59_000)

    assert answers == [ACCEPTED] * 60 + [REFUSED]


def test_without_a_lock_it_opens_when_one_fits(asks: Asks) -> None:
    """What was refused is not charged: the first of the hour before makes room."""
    dovecot = asks(logins(max=2, lock=0))
    dovecot.login()
    dovecot.clock.advance(20 * MINUTE)
    dovecot.login()
    for _ in range(10):
        assert dovecot.login() == REFUSED
    dovecot.clock.advance(40 * MINUTE)

    assert [dovecot.login(), dovecot.login()] == [ACCEPTED, REFUSED]


def test_a_lock_lasts_from_the_first_refusal(asks: Asks) -> None:
    """However often it is tried meanwhile, and though all that was counted is long gone: an hour, not longer."""
    dovecot = asks(logins(max=2))
    dovecot.login()
    dovecot.login()
    dovecot.clock.advance(50 * MINUTE)
    answers = []
    for _ in range(62):
        answers.append(dovecot.login())
        dovecot.clock.advance(MINUTE)

    assert answers == [REFUSED] * 60 + [ACCEPTED] * 2


def test_an_observed_limit_locks_nobody(asks: Asks) -> None:
    """When it is enforced later, nobody is locked by what was observed."""
    dovecot = asks(logins(max=1, mode=Mode.OBSERVE))
    for _ in range(3):
        dovecot.login()
    dovecot.service.configure(config(logins(max=5)))

    assert [dovecot.login(), dovecot.login(), dovecot.login()] == [ACCEPTED, ACCEPTED, REFUSED]


class Box:
    """A mailbox as slow as obvious: when it was logged in to, and until when it is locked."""

    def __init__(self, most: int, lock: int) -> None:
        self.most, self.lock = most, lock
        self.times: list[int] = []
        self.locked_until = 0

    def login(self, now: int) -> bool:
        """Return whether a login is let in."""
        if now < self.locked_until:
            return False
        if sum(now - HOUR < at for at in self.times) < self.most:
            self.times.append(now)
            return True
        self.locked_until = now + self.lock
        return False


@given(
    most=st.integers(0, 4),
    lock=st.sampled_from([0, 7 * MINUTE, HOUR, 3 * HOUR]),
    steps=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 25)), max_size=40),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_logins_are_answered_as_the_obvious_model_would(
    asks: Asks, most: int, lock: int, steps: list[tuple[str, int]]
) -> None:
    """Whatever two mailboxes of an account do and how time goes, each has its own checks and its own lock."""
    dovecot, name = asks(logins(max=most, lock=lock if most else 0)), next(_names)
    boxes = {letter: Box(most, lock if most else 0) for letter in "ab"}
    for letter, minutes in steps:
        dovecot.clock.advance(minutes * MINUTE)
        expected = boxes[letter].login(dovecot.clock.now())
        assert (dovecot.login(login=f"{name}{letter}@example.org") == ACCEPTED) is expected


def test_telephone_and_desktop_share_a_budget(asks: Asks) -> None:
    """A mailbox has one counter, however its name is written and wherever it is asked from."""
    dovecot = asks(logins(max=2))

    assert dovecot.login(login="Bob@Example.org", remote="198.51.100.1") == ACCEPTED
    assert dovecot.login(login="bob+phone@example.org", remote="2001:db8::1") == ACCEPTED
    assert dovecot.login() == REFUSED


def test_limits_per_mailbox_and_per_client_stand_side_by_side(asks: Asks) -> None:
    """What one of them refuses is charged to none: another client of the mailbox finds its room."""
    dovecot = asks(logins(max=3, lock=0), logins("client-checks", 2, per=Per.CLIENT, lock=0))

    assert [dovecot.login() for _ in range(4)] == [ACCEPTED, ACCEPTED, REFUSED, REFUSED]
    assert dovecot.login(remote="198.51.100.1") == ACCEPTED
    assert dovecot.login(remote="198.51.100.1") == REFUSED


def test_wrong_passwords_never_count(asks: Asks) -> None:
    """However often somebody guesses, the customer has all of his checks."""
    dovecot = asks(logins(max=3))
    dovecot.fail(50)

    assert [dovecot.login() for _ in range(4)] == [ACCEPTED] * 3 + [REFUSED]


def test_observe_refuses_nothing(asks: Asks) -> None:
    """Mode observe counts and lets everything through."""
    dovecot = asks(logins(max=1), mode=Mode.OBSERVE)

    assert [dovecot.login() for _ in range(3)] == [ACCEPTED] * 3


def test_without_the_store_logins_go_on(asks: Asks) -> None:
    """Redis down is no reason to lock anybody out; it is noted."""
    dovecot = asks(logins(max=1), GUESSES)
    dovecot.store.down = True

    assert [dovecot.login() for _ in range(3)] == [ACCEPTED] * 3
    dovecot.fail()
    assert len(dovecot.heard.errors) == 4


def test_told_refusals_say_why(asks: Asks) -> None:
    """With tell: true the text goes along."""
    dovecot = asks(logins(max=0, tell=True))
    answer = dovecot.login()

    assert answer == LoginAnswer(-1, answer.msg)
    assert answer.msg.startswith("Limit pop-checks: no logins allowed here; ref ")


def test_a_new_config_decides_the_next_login(asks: Asks) -> None:
    """What was counted stays."""
    dovecot = asks(logins(max=1))
    dovecot.login()
    dovecot.service.configure(config(logins(max=2)))

    assert [dovecot.login(), dovecot.login()] == [ACCEPTED, REFUSED]


# who was logged in, and who asks twice


def test_a_reported_login_is_told_of(asks: Asks) -> None:
    """With its mailbox, protocol and time; neither a failed nor a refused one."""
    dovecot = asks(logins(max=1))
    dovecot.login(login="Bob@Example.org")
    dovecot.login()
    dovecot.fail()
    dovecot.login(protocol="imap")

    assert dovecot.heard.last == [("bob@example.org", "pop3", START), ("bob@example.org", "imap", START)]


def test_dovecot_that_asks_twice_is_noticed(asks: Asks) -> None:
    """allow, allow, report of one session: it asks before the password, too."""
    dovecot = asks(logins())
    dovecot.login()
    assert dovecot.heard.twice == 0
    dovecot.allow(session_id="s")
    dovecot.login(session_id="s")

    assert dovecot.heard.twice == 1


def test_dovecot_that_asks_once_is_not_accused(asks: Asks) -> None:
    """Several tries in one session, and SMTP logins at the same time, are no double question."""
    dovecot = asks(logins(max=1))
    for _ in range(3):
        dovecot.login(session_id="one")
    for _ in range(2):
        dovecot.allow(session_id="")
    dovecot.login(session_id="")

    assert dovecot.heard.twice == 0


# failed logins


def test_a_client_that_failed_too_often_is_refused(asks: Asks) -> None:
    """Whichever mailbox it tries then; not before, and no other client."""
    dovecot = asks(GUESSES)
    dovecot.fail(2)
    dovecot.fail(1, login="alice@example.org", protocol="imap")

    assert dovecot.login(login="carl@example.net", protocol="imap") == REFUSED
    assert dovecot.login(remote="198.51.100.1") == ACCEPTED
    dovecot.clock.advance(HOUR)
    assert dovecot.login() == ACCEPTED


def test_failures_spend_nothing_of_the_mailbox(asks: Asks) -> None:
    """Neither the account nor the mailbox is charged for who attacks it."""
    dovecot = asks(logins(max=1), GUESSES)
    dovecot.fail(5)

    assert dovecot.login(remote="198.51.100.1") == ACCEPTED


def test_the_address_of_a_customer_is_never_locked_out(asks: Asks) -> None:
    """Where somebody logged in lately, a telephone with an old password stops nobody."""
    dovecot = asks(GUESSES)
    dovecot.login()
    dovecot.fail(50, login="alice@example.org")

    assert dovecot.login() == ACCEPTED
    assert dovecot.login(login="carl@example.org") == ACCEPTED


def test_a_guess_that_was_right_makes_no_customer(asks: Asks) -> None:
    """A refused client does not become known by the password that it found."""
    dovecot = asks(GUESSES)
    dovecot.fail(3)

    assert [dovecot.login() for _ in range(3)] == [REFUSED] * 3


def test_a_client_is_forgotten_after_a_month(asks: Asks) -> None:
    """An address changes hands."""
    dovecot = asks(GUESSES)
    dovecot.login()
    dovecot.clock.advance(30 * 24 * HOUR)
    dovecot.fail(3)

    assert dovecot.login() == REFUSED


def test_a_known_client_costs_two_calls_a_new_one_three(asks: Asks) -> None:
    """One look at the client, one charge of the mailbox; and once in a month the mark that makes it known."""
    dovecot = asks(logins(), GUESSES)
    dovecot.login()
    assert dovecot.ops == [Op.PEEK, Op.CHARGE, Op.CHARGE]
    dovecot.login()
    assert dovecot.ops == [Op.PEEK, Op.CHARGE]


def test_what_policyd_refused_is_no_wrong_password(asks: Asks) -> None:
    """A mailbox over its limit does not make its owner an attacker."""
    dovecot = asks(logins(max=0), GUESSES)
    for _ in range(10):
        assert dovecot.login() == REFUSED

    assert dovecot.heard.failures == []


def test_an_exempt_client_may_fail(asks: Asks) -> None:
    """A webmail host has the passwords of many people."""
    dovecot = asks(GUESSES, exempt=Exempt(clients=networks("192.0.2.7/32")))
    dovecot.fail(50)

    assert dovecot.login() == ACCEPTED


def test_an_observed_limit_of_failures_refuses_nothing(asks: Asks) -> None:
    """It notes what it would have refused."""
    dovecot = asks(GUESSES, mode=Mode.OBSERVE)
    dovecot.fail(5)

    assert dovecot.login() == ACCEPTED


# suspension


def suspend(dovecot: Dovecot, name: str) -> None:
    """Suspend something of example.org."""
    suspended = Suspended("example.org", name, name, START, 0, "root (uid 0)", "ticket 4711", "7KQ2M0XW9A")
    dovecot.run(dovecot.suspensions.put(suspended))


@pytest.mark.parametrize("protocol", ["pop3", "imap", "smtp"])
@pytest.mark.parametrize("down", [False, True], ids=["store up", "store down"])
def test_a_suspended_mailbox_cannot_be_opened(asks: Asks, protocol: str, down: bool) -> None:
    """Whether a limit looks at the protocol or not; it looks like a wrong password."""
    dovecot = asks(logins())
    suspend(dovecot, "mailbox:bob@example.org")
    dovecot.store.down = down

    assert dovecot.login(protocol=protocol) == REFUSED
    assert dovecot.login(protocol=protocol, login="alice@example.org") == ACCEPTED


@pytest.mark.parametrize("name", ["domain", "user:bob@example.org", "list:bob@example.org"])
def test_whose_sending_is_suspended_reads_his_mail(asks: Asks, name: str) -> None:
    """Only a mailbox that is suspended as such is closed."""
    dovecot = asks(logins())
    suspend(dovecot, name)

    assert dovecot.login() == ACCEPTED


def test_a_suspended_mailbox_wins_over_an_exempt_login(asks: Asks) -> None:
    """Exempt is about limits."""
    dovecot = asks(logins(), exempt=Exempt(logins=("bob@*",)))
    suspend(dovecot, "mailbox:bob@example.org")

    assert dovecot.login() == REFUSED
