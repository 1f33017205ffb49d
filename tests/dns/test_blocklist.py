"""Which of our addresses a blocklist has, and whether it can be believed."""

from ipaddress import ip_network

import pytest

from policyd.dns.blocklist import BlocklistReport, Listing, ListState, report
from tests.support.zone import FAILED, Zone, judged

PARKED = {"A": ["198.51.100.80"]}
WORKS: Zone = {"2.0.0.127.bl.test": {"A": ["127.0.0.2"]}}


def said(zone: Zone, *senders: str) -> BlocklistReport:
    """Return what bl.test says of addresses."""
    networks = [ip_network(one) for one in senders]
    return judged(zone, lambda answers: report("bl.test", networks, answers))


def test_each_address_of_a_network_is_asked_about() -> None:
    """A listing has its codes and the words of the list; of IPv6 the network is asked about once."""
    six = f"{'.'.join(reversed('20010db8' + '0' * 24))}.bl.test"
    zone = {
        **WORKS,
        "6.2.0.192.bl.test": {"A": ["127.0.0.4", "127.0.0.10"], "TXT": ["spam", "seen"]},
        six: {"A": ["127.0.0.3"]},
    }

    assert said(zone, "192.0.2.4/30", "2001:db8::/64") == BlocklistReport(
        "bl.test",
        ListState.WORKS,
        [Listing("192.0.2.6", "127.0.0.4, 127.0.0.10", "spam seen"), Listing("2001:db8::", "127.0.0.3", "")],
        ["192.0.2.4", "192.0.2.5", "192.0.2.7"],
    )


def test_no_answer_is_neither_listed_nor_free() -> None:
    """It says nothing."""
    assert said({**WORKS, "7.2.0.192.bl.test": {"A": FAILED}}, "192.0.2.7") == BlocklistReport(
        "bl.test", ListState.WORKS, [], []
    )


@pytest.mark.parametrize(
    ("zone", "state"),
    [
        ({}, ListState.DEAD),
        ({"2.0.0.127.bl.test": PARKED, "1.0.0.127.bl.test": PARKED}, ListState.DEAD),
        ({**WORKS, "1.0.0.127.bl.test": {"A": ["127.0.0.2"]}}, ListState.LISTS_ALL),
        ({"2.0.0.127.bl.test": {"A": ["127.255.255.254"]}}, ListState.BLOCKED),
        ({"2.0.0.127.bl.test": {"A": FAILED}}, ListState.UNKNOWN),
        ({**WORKS, "1.0.0.127.bl.test": {"A": FAILED}}, ListState.UNKNOWN),
    ],
)  # fmt: skip
def test_a_list_that_fails_its_own_test_is_not_believed(zone: Zone, state: ListState) -> None:
    """Gone, parked by somebody else, full of everything, closed to our resolver: no address is listed then."""
    listing: Zone = {"7.2.0.192.bl.test": {"A": ["127.0.0.2"]}}

    assert said({**zone, **listing}, "192.0.2.7") == BlocklistReport("bl.test", state, [], [])


def test_a_code_for_errors_is_no_listing() -> None:
    """Large lists answer 127.255.255.x to whom they will not serve."""
    assert said({**WORKS, "7.2.0.192.bl.test": {"A": ["127.255.255.255"]}}, "192.0.2.7").listings == []
