"""The rules by which somebody is charged, in plain words."""

from ipaddress import IPv4Network
from zoneinfo import ZoneInfo

import pytest

from policyd.conf.listed import Lists
from policyd.conf.schema import Limit, Schedule, Transport
from policyd.model import PolicyRequest, Recipients, Sure, Traffic, TrafficKind
from policyd.policy.plan import Planner
from policyd.policy.traffic import Attribution
from policyd.policy.wording import login_rule, rule, unconcerned
from tests.support.config import asked, by_login, config, locally, logins, pace, rate

CONFIG = config(
    lists=Lists(contexts=frozenset({"mailman"}), users=frozenset({"list"})),
    accounts={"local_users": {"carol": "example.org"}, "verified_contexts": frozenset({"pickup"})},
)

HERE = "a client on this host, without a login, whose envelope sender "


@pytest.mark.parametrize(
    ("request_", "user", "words"),
    [
        (by_login(), "", "the login alice@example.org"),
        (
            by_login(sender="news-bounces@example.org"),
            "",
            "the login alice@example.org, which sends for a list of its own domain",
        ),
        (locally(), "carol", "the Unix user carol, who holds the connection"),
        (
            locally("news-bounces@example.org", policy_context="mailman"),
            "",
            "the list software's own entry or Unix user",
        ),
        (locally("news-bounces@example.org"), "", HERE + "is that of the list"),
        (locally(), "", HERE + "is hosted here"),
        (
            locally(policy_context="pickup"),
            "",
            "the envelope sender, which Postfix has verified (policy_context pickup)",
        ),
        (locally("x@elsewhere.test"), "", HERE + "is not hosted here"),
        (locally(""), "", "nobody: a bounce of this host"),
        (asked(), "", "nobody: from outside"),
    ],
)
def test_rules(request_: PolicyRequest, user: str, words: str) -> None:
    """Each way to be charged has words of its own."""
    traffic = Attribution(CONFIG).traffic(request_, user)

    assert rule(CONFIG, traffic, request_) == words


def test_logins() -> None:
    """A login is charged to its mailbox, a failed one to its client."""
    login = Traffic(TrafficKind.LOGIN, "example.org", Sure.VERIFIED, "bob@example.org", "")

    assert login_rule(login) == "the mailbox bob@example.org, which was logged in to"
    assert login_rule(login._replace(account="client:192.0.2.7")) == "the client's address, from which logins failed"


WEEKEND = Schedule("weekend", ZoneInfo("UTC"), (*[()] * 5, *[((0, 1440),)] * 2))
SATURDAY, MONDAY = 1_780_099_200_000, 1_780_272_000_000


@pytest.mark.parametrize(
    ("limit", "now", "here", "words"),
    [
        (logins(), MONDAY, False, "counts logins"),
        (rate(traffic=[TrafficKind.LIST]), MONDAY, False, "looks at list traffic only"),
        (rate(lifted_by="weekend"), SATURDAY, False, "lifted while weekend is open"),
        (
            pace(transport=Transport("slow", IPv4Network("127.0.2.0/24"), 2526), traffic=[TrafficKind.USER]),
            MONDAY,
            False,
            "kept by the transport slow of Postfix",
        ),
        (rate(max=None), MONDAY, False, "unlimited"),
        (rate(recipients=Recipients.REMOTE), MONDAY, True, "looks at recipients elsewhere only"),
        (rate(recipients=Recipients.REMOTE), MONDAY, False, "spared by exempt"),
        (rate(lifted_by="weekend"), MONDAY, True, "spared by exempt"),
    ],
    ids=["logins", "traffic", "lifted", "transport", "unlimited", "remote", "exempt", "exempt-weekday"],
)
def test_why_a_limit_does_not_look(limit: Limit, now: int, here: bool, words: str) -> None:
    """One reason, the first that fits."""
    site = config(limit, schedules=(WEEKEND,))

    traffic = Planner(site).plan(by_login(), now).traffic
    assert unconcerned(site, limit, traffic, now, here=here) == words
