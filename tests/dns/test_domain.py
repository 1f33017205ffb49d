"""What is found of a hosted domain, by the records that it has."""

from ipaddress import ip_network

import pytest

from policyd.conf.schema import DnsSettings
from policyd.dns.domain import Check, Finding, State, findings
from tests.support.zone import FAILED, Zone, judged

SETTINGS = DnsSettings(
    mx=("mx.host.test",), senders=(ip_network("192.0.2.7"), ip_network("2001:db8::/64")), spf="_spf.host.test"
)
HOST: Zone = {
    "mx.host.test": {"A": ["192.0.2.25"], "AAAA": ["2001:db8::25"]},
    "_spf.host.test": {"TXT": ["v=spf1 ip4:192.0.2.0/28 ip6:2001:db8::/64 -all"]},
}


def found(check: Check, records: Zone, settings: DnsSettings = SETTINGS) -> tuple[State, str]:
    """Return state and words of one check of shop.test."""
    every = judged({**HOST, **records}, lambda answers: findings("shop.test", settings, answers))
    return next((one.state, one.why) for one in every if one.check is check)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ({"shop.test": {"MX": ["10 mx.host.test"]}}, (State.OK, "mail goes to mx.host.test")),
        ({"shop.test": {"MX": ["10 mx.host.test", "20 away.test"]}}, (State.OK, "mail goes to mx.host.test")),
        (
            {"shop.test": {"MX": ["10 mx.host.test", "10 away.test"]}, "away.test": {"A": ["198.51.100.1"]}},
            (State.WRONG, "mail goes to away.test"),
        ),
        (
            {"shop.test": {"MX": ["5 away.test", "10 mx.host.test"]}, "away.test": {"A": ["198.51.100.1"]}},
            (State.WRONG, "mail goes to away.test"),
        ),
        (
            {"shop.test": {"MX": ["10 mail.shop.test"]}, "mail.shop.test": {"A": ["192.0.2.25"]}},
            (State.OK, "mail goes to mail.shop.test"),
        ),
        (
            {"shop.test": {"MX": ["10 mail.shop.test"]}, "mail.shop.test": {"A": ["192.0.2.25", "198.51.100.1"]}},
            (State.WRONG, "mail goes to mail.shop.test"),
        ),
        ({"shop.test": {"MX": ["10 gone.test"]}}, (State.WRONG, "mail goes to gone.test")),
        ({"shop.test": {"A": ["192.0.2.25"]}}, (State.OK, "it has no MX, and mail goes to 192.0.2.25")),
        ({"shop.test": {"A": ["198.51.100.1"]}}, (State.WRONG, "it has no MX, and mail goes to 198.51.100.1")),
        ({"shop.test": {"TXT": ["x"]}}, (State.MISSING, "it has no MX and no address")),
        ({"shop.test": {"MX": ["0 "]}}, (State.MISSING, "it says that it takes no mail (a null MX)")),
        ({}, (State.MISSING, "the domain does not exist")),
        ({"shop.test": {"MX": FAILED}}, (State.UNKNOWN, "the DNS gave no answer")),
        (
            {"shop.test": {"MX": ["10 slow.test"]}, "slow.test": {"A": FAILED}},
            (State.UNKNOWN, "the DNS gave no answer"),
        ),
        (
            {"shop.test": {"MX": ["10 mail.shop.test"]}, "mail.shop.test": {"A": ["192.0.2.25"]},
             "mx.host.test": {"A": FAILED}},
            (State.UNKNOWN, "the DNS gave no answer"),
        ),
    ],
)  # fmt: skip
def test_mail_comes_here_by_name_or_by_address(records: Zone, expected: tuple[State, str]) -> None:
    """The best MX counts; what cannot be known is not wrong."""
    assert found(Check.MX, records) == expected


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (["v=spf1 include:_spf.host.test -all"], (State.OK, "all sending addresses pass")),
        (
            ["v=spf1 ip4:192.0.2.7 ~all"],
            (
                State.WRONG,
                "its SPF record does not let 2001:db8::/64 (softfail) pass (add include:_spf.host.test)",
            ),
        ),
        (
            ["v=spf1 -all"],
            (
                State.WRONG,
                "its SPF record does not let 192.0.2.7 (fail), 2001:db8::/64 (fail) pass (add include:_spf.host.test)",
            ),
        ),
        ([], (State.MISSING, "it has no SPF record (publish v=spf1 include:_spf.host.test ~all)")),
        (["v=spf1 -all", "v=spf1 +all"], (State.WRONG, "its SPF record has a mistake: permerror (RFC 7208)")),
        (["v=spf1 exists:%{i}.x -all"], (State.UNKNOWN, "the DNS gave no answer, or its SPF record has macros")),
        (FAILED, (State.UNKNOWN, "the DNS gave no answer, or its SPF record has macros")),
    ],
)
def test_all_sending_addresses_pass_or_it_says_which_do_not(
    record: list[str] | str, expected: tuple[State, str]
) -> None:
    """With what the customer has to write."""
    assert found(Check.SPF, {"shop.test": {"TXT": record}}) == expected


def test_without_a_name_to_include_the_addresses_are_told() -> None:
    """What a customer has to publish follows from the addresses."""
    settings = DnsSettings(senders=SETTINGS.senders)
    why = "it has no SPF record (publish v=spf1 ip4:192.0.2.7 ip6:2001:db8::/64 ~all)"

    assert found(Check.SPF, {}, settings) == (State.MISSING, why)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (
            {"_dmarc.shop.test": {"TXT": ["v=DMARC1; p=reject"]}},
            (State.OK, "_dmarc.shop.test: v=DMARC1; p=reject"),
        ),
        (
            {"_dmarc.shop.test": {"TXT": ["v=DMARC1;p=none", "v=DMARC1;"]}},
            (State.WRONG, "_dmarc.shop.test has 2 DMARC records"),
        ),
        (
            {"_dmarc.shop.test": {"TXT": ["p=none"]}},
            (State.MISSING, "it has no DMARC record (publish v=DMARC1; p=none at _dmarc)"),
        ),
        ({"_dmarc.shop.test": {"TXT": FAILED}}, (State.UNKNOWN, "the DNS gave no answer")),
    ],
)  # fmt: skip
def test_dmarc_is_there_once(records: Zone, expected: tuple[State, str]) -> None:
    """A TXT record that is none does not count."""
    assert found(Check.DMARC, records) == expected


def test_a_subdomain_has_the_policy_of_the_domain_above() -> None:
    """DMARC is looked for up to the name with two labels."""
    zone: Zone = {"_dmarc.shop.test": {"TXT": ["v=DMARC1; p=none"]}, "_dmarc.test": {"TXT": ["v=DMARC1; p=reject"]}}
    every = judged(zone, lambda answers: findings("eu.shop.test", DnsSettings(), answers))

    assert every == [Finding(Check.DMARC, State.OK, "_dmarc.shop.test: v=DMARC1; p=none")]
    assert judged(zone, lambda answers: findings("other.test", DnsSettings(), answers))[0].state is State.MISSING
