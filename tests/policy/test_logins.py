"""What a login costs, and what Dovecot hears."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.conf.schema import Config, Exempt, RateLimit
from policyd.model import (
    NEVER_FITS,
    Action,
    Charge,
    CounterType,
    Counts,
    Episode,
    LoginAnswer,
    LoginCommand,
    LoginRequest,
    MailProtocol,
    Mode,
    Outcome,
    Per,
    TrafficKind,
    Usage,
)
from policyd.policy.decide import ACCEPT, decide
from policyd.policy.logins import LoginPlanner, answer, client_of
from policyd.policy.plan import ChargePlan, Planner
from tests.support.clock import START
from tests.support.config import HOUR, by_login, config, logins, networks, rate

LOGIN = LoginRequest(LoginCommand.ALLOW, "bob@example.org", "pop3", "192.0.2.7", "s")
CHECKS = logins()
PER_CLIENT = logins("client-checks", 30, per=Per.CLIENT, lock=0)
GUESSES = logins("guesses", 20, counts=Counts.FAILED_LOGINS, per=Per.CLIENT, protocols=frozenset(), lock=0)


def planned(*limits: RateLimit, said: dict[str, Any] | None = None, **changed: Any) -> ChargePlan:
    """Return the plan of LOGIN with some values changed, under a Config with these limits."""
    return LoginPlanner(config(*limits, **(said or {}))).plan(LOGIN._replace(**changed), START)


def test_a_login_is_charged_to_its_mailbox() -> None:
    """One unit on the mailbox's counter, with the lock of the limit, in the account of its domain."""
    plan = planned(rate(), CHECKS)

    assert (plan.traffic.kind, plan.traffic.account, plan.terms.plan) == (TrafficKind.LOGIN, "example.org", "shared")
    assert plan.charges == (Charge(CounterType.LOG, "pop-checks", "bob@example.org", 1, 60, HOUR, lock=HOUR),)


def test_mailbox_and_client_stand_side_by_side() -> None:
    """A limit per mailbox and one per client are charged together; so is one of the whole domain."""
    plan = planned(CHECKS, PER_CLIENT, logins("all-checks", 5000, per=Per.DOMAIN))

    assert [charge.subject for charge in plan.charges] == ["bob@example.org", "192.0.2.7", "example.org"]


@pytest.mark.parametrize(
    ("login", "account", "mailbox"),
    [
        ("Bob@Example.ORG.", "example.org", "bob@example.org"),
        ("bob+phone@example.org", "example.org", "bob@example.org"),
        ("bob@BÜCHER.example", "xn--bcher-kva.example", "bob@xn--bcher-kva.example"),
        ("bob@news.example.org", "example.org", "bob@news.example.org"),
        ("bob", "example.net", "bob@example.net"),
        ("www", "example.org", "www@example.org"),
        ("bob@elsewhere.test", "elsewhere.test", "bob@elsewhere.test"),
    ],
)
def test_names_are_those_of_mailboxes(login: str, account: str, mailbox: str) -> None:
    """Case, extension, IDN, alias, default domain and local users lead to one counter."""
    accounts = {
        "aliases": {"news.example.org": "example.org"},
        "default_domain": "example.net",
        "local_users": {"www": "example.org"},
    }
    plan = planned(CHECKS, said={"accounts": accounts}, login=login)

    assert (plan.traffic.account, plan.charges[0].subject) == (account, mailbox)


def test_a_login_without_any_domain_has_an_account_of_its_own() -> None:
    """Without a default domain it stands for itself, on the default plan."""
    plan = planned(CHECKS, login="Bob")

    assert (plan.traffic.account, plan.charges[0].subject) == ("user:bob", "bob")


@pytest.mark.parametrize("protocol", ["imap", "smtp", "submission", "sieve", "doveadm", "", "POP3"])
def test_other_protocols_are_untouched(protocol: str) -> None:
    """A limit looks at the protocols that it names and at no others."""
    assert planned(CHECKS, protocol=protocol).charges == ()


def test_a_limit_may_name_several_protocols() -> None:
    """Their logins share one counter."""
    both = logins(protocols=frozenset({MailProtocol.POP3, MailProtocol.IMAP}))

    assert planned(both, protocol="imap").charges == planned(both).charges != ()


@pytest.mark.parametrize(
    "exempt",
    [Exempt(logins=("bob@*",)), Exempt(clients=networks("192.0.2.0/24"))],
    ids=["login", "client"],
)
def test_what_no_limit_looks_at(exempt: Exempt) -> None:
    """Exempt logins and clients are exempt here, too."""
    assert planned(CHECKS, said={"exempt": exempt}).charges == ()


def test_a_login_without_a_name_or_a_client_is_not_counted_by_it() -> None:
    """`doveadm auth test` has no client; nothing is counted for the empty one."""
    assert planned(CHECKS, login="").charges == ()
    assert [charge.limit for charge in planned(CHECKS, PER_CLIENT, remote="").charges] == ["pop-checks"]


def test_mail_and_logins_do_not_meet() -> None:
    """A limit of recipients looks at no login, a limit of logins at no mail."""
    site = config(rate(), CHECKS)
    assert [charge.limit for charge in Planner(site).plan(by_login(), START).charges] == ["domain-hourly"]
    assert planned(rate()).charges == ()


def test_observed_logins_are_charged_past_the_max() -> None:
    """Mode observe counts."""
    assert planned(logins(mode=Mode.OBSERVE)).charges[0].observed


def test_a_failed_login_is_charged_to_its_client() -> None:
    """On the client's own keys, so that nobody's account is spent; whatever the protocol."""
    plan = LoginPlanner(config(CHECKS, GUESSES)).plan_failed(LOGIN._replace(protocol="imap"), START)

    assert plan.traffic.account == "client:192.0.2.7"
    assert plan.traffic.user == "bob@example.org"
    assert plan.charges == (Charge(CounterType.LOG, "guesses", "192.0.2.7", 1, 20, HOUR),)


def test_a_failed_login_without_a_client_is_charged_to_nobody() -> None:
    """There is nothing to count for."""
    assert LoginPlanner(config(CHECKS, GUESSES)).plan_failed(LOGIN._replace(remote=""), START).charges == ()


@pytest.mark.parametrize(
    ("remote", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::9", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("", ""),
        ("localhost", ""),
    ],
)
def test_what_a_client_is_counted_by(remote: str, client: str) -> None:
    """An IPv4 address, or the /64 that the owner of an IPv6 address has."""
    assert client_of(remote) == client


@given(st.ip_addresses())
def test_a_client_is_counted_by_one_name(address: Any) -> None:
    """Written out or short, an address is the same client, and the name can be asked for again."""
    name = client_of(str(address))

    assert client_of(address.exploded) == name
    assert client_of(name.removesuffix("/64")) == name


# answers


def outcome(limit: RateLimit, fits_at: int) -> Outcome:
    """Return the outcome of a refused login."""
    return Outcome(False, False, START, (Usage(limit.max or 0, limit.max or 0, fits_at, Episode("7KQ2M0XW9A", True)),))


def test_an_accepted_login() -> None:
    """Zero, and no text."""
    assert answer(planned(CHECKS), ACCEPT) == LoginAnswer(0, "")


def test_a_refusal_looks_like_a_wrong_password() -> None:
    """Without tell there is no text, since a text would show."""
    plan = planned(CHECKS)

    assert answer(plan, decide(plan, outcome(CHECKS, START + HOUR))) == LoginAnswer(-1, "")


def test_a_refusal_tells_where_it_is_wanted() -> None:
    """With tell the client hears which limit it is and when it ends."""
    told = logins(tell=True)
    plan = planned(told)

    assert answer(plan, decide(plan, outcome(told, START + HOUR))) == LoginAnswer(
        -1,
        "Limit pop-checks: 60 of 60 logins in 1h used; you can log in again at 2026-05-28T21:26:40+00:00; "
        "ref 7KQ2M0XW9A",
    )


def test_a_plan_without_pop3() -> None:
    """max: 0 lets no login in, and says so where it may."""
    none = logins(max=0, tell=True)
    plan = planned(none)
    verdict = decide(plan, outcome(none, NEVER_FITS))

    assert verdict.action is Action.REJECT
    assert answer(plan, verdict).msg == "Limit pop-checks: no logins allowed here; ref 7KQ2M0XW9A"


def test_a_plan_can_have_no_limit_of_logins() -> None:
    """Unlimited logins cost nothing."""
    site: Config = config(logins(max=None))

    assert LoginPlanner(site).plan(LOGIN, START).charges == ()
