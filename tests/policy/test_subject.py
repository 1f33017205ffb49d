"""What an admin names, and under which names traffic may be suspended."""

import pytest

from policyd.model import UNLISTED, Sure, Traffic, TrafficKind
from policyd.policy.subject import Subject, UnknownSubjectError, find_subject, is_hosted
from policyd.policy.suspendable import SubjectKind, suspendable
from tests.support.config import config

SITE = config(accounts={"aliases": {"news.example.org": "example.org"}, "local_users": {"web7": "example.net"}})

NAMED = {
    "example.org": ("example.org", "domain", "example.org"),
    "Example.ORG.": ("example.org", "domain", "example.org"),
    "news.example.org": ("example.org", "domain", "example.org"),
    "Bob+x@Example.org": ("example.org", "user:bob@example.org", "bob@example.org"),
    "bob@news.example.org": ("example.org", "user:bob@news.example.org", "bob@news.example.org"),
    "bob@elsewhere.test": ("elsewhere.test", "user:bob@elsewhere.test", "bob@elsewhere.test"),
    "list:News@example.org": ("example.org", "list:news@example.org", "list:news@example.org"),
    "mailbox:bob@example.org": ("example.org", "mailbox:bob@example.org", "mailbox:bob@example.org"),
    "web7": ("example.net", "user:web7@example.net", "web7@example.net"),
    "user:bob": ("user:bob", "domain", "user:bob"),
    "192.0.2.9": ("client:192.0.2.9", "client:192.0.2.9", "192.0.2.9"),
    UNLISTED: (UNLISTED, "domain", UNLISTED),
}


@pytest.mark.parametrize(("named", "expected"), NAMED.items())
def test_a_name_in_any_spelling_leads_to_its_account(named: str, expected: tuple[str, str, str]) -> None:
    """Account, the name within it, and how it is written back."""
    found = find_subject(SITE, named)

    assert (found.account, found.name, str(found)) == expected
    assert find_subject(SITE, str(found)) == found


@pytest.mark.parametrize("account", ["example.org", UNLISTED])
def test_an_account_is_a_customers_or_stands_beside_them(account: str) -> None:
    """Who has counters without being a hosted domain is no mistyped name."""
    assert is_hosted(SITE, account)
    assert is_hosted(SITE, "user:bob")
    assert not is_hosted(SITE, f"{account}.elsewhere")


@pytest.mark.parametrize("named", ["elsewhere.test", "list:example.org", "mailbox:example.org", "nobody", ""])
def test_a_name_that_is_nobodys_says_what_to_write(named: str) -> None:
    """A list and a mailbox have an address."""
    with pytest.raises(UnknownSubjectError, match=r"is not hosted here \(name a hosted domain"):
        find_subject(SITE, named)


def traffic(kind: TrafficKind, user: str, sure: Sure = Sure.VERIFIED) -> Traffic:
    """Return traffic of example.org."""
    return Traffic(kind, "example.org", sure, user, user)


@pytest.mark.parametrize(
    ("sent", "names"),
    [
        (
            traffic(TrafficKind.USER, "bob@example.org"),
            ("domain", "user:bob@example.org", "mailbox:bob@example.org"),
        ),
        (traffic(TrafficKind.SCRIPT, "bob@example.org"), ("domain", "user:bob@example.org")),
        (
            traffic(TrafficKind.LIST, "bob@example.org")._replace(list="news@example.org"),
            ("domain", "user:bob@example.org", "list:news@example.org"),
        ),
        (traffic(TrafficKind.LOGIN, "bob@example.org"), ("mailbox:bob@example.org",)),
        (traffic(TrafficKind.RELAYED, "x@elsewhere.test", Sure.CLAIMED), ()),
        (traffic(TrafficKind.INBOUND, "", Sure.NOBODY), ()),
    ],
    ids=lambda value: value.kind if isinstance(value, Traffic) else "",
)
def test_traffic_may_be_suspended_under_the_names_of_those_who_send_it(sent: Traffic, names: tuple[str, ...]) -> None:
    """What comes from outside, and what is nobody's, under none."""
    assert suspendable(sent) == names


def test_a_subject_is_suspended_under_the_name_that_its_traffic_has() -> None:
    """The two lists of names are the same."""
    named = ("example.org", "bob@example.org", "mailbox:bob@example.org")

    assert tuple(find_subject(SITE, one).name for one in named) == suspendable(
        traffic(TrafficKind.USER, "bob@example.org")
    )
    posted = traffic(TrafficKind.LIST, "n@example.org")._replace(list="n@example.org")
    assert Subject("example.org", "n@example.org", SubjectKind.LIST).name in suspendable(posted)
