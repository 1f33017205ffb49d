"""Whether our sending addresses stand on blocklists (RFC 5782). Pure.

A list that answers for its test entries as it should is believed, another one is not: a list that
is gone, or that does not answer whom it does not know, would say that nothing is listed, or all.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

from policyd.conf.schema import Network
from policyd.dns.answers import Answers, Kind, Status

_LISTED, _FREE = ip_address("127.0.0.2"), ip_address("127.0.0.1")
"""The test entries: one that every list has, and one that none may have."""

_CODES = ip_network("127.0.0.0/8")
_ERRORS = ip_network("127.255.255.0/24")
"""What lists answer with, and what large ones answer to whom they will not serve."""


class ListState(StrEnum):
    """How a list answers. DEAD: for its test entry not at all; BLOCKED: it will not serve our resolver."""

    WORKS = "works"
    DEAD = "dead"
    BLOCKED = "blocked"
    LISTS_ALL = "lists all"
    UNKNOWN = "unknown"


class Listing(NamedTuple):
    """One of our addresses that is listed: with which code, and what the list says about it."""

    address: str
    code: str
    why: str


class BlocklistReport(NamedTuple):
    """What one list says; ``free`` are the addresses that it does not have. Of others there was no answer."""

    name: str
    state: ListState
    listings: list[Listing]
    free: list[str]


def report(name: str, senders: Sequence[Network], answers: Answers) -> BlocklistReport:
    """Return which addresses of ``senders`` a list has, if it can be believed."""
    state = _state(name, answers)
    if state is not ListState.WORKS:
        return BlocklistReport(name, state, [], [])
    listings: list[Listing] = []
    free: list[str] = []
    for address in _addresses(senders):
        where = _entry(address, name)
        answer = answers.ask(where, Kind.A)
        codes = [code for code in answer.values if _is_code(code)]
        if codes:
            said = answers.ask(where, Kind.TXT)
            listings.append(Listing(str(address), ", ".join(codes), " ".join(said.values)))
        elif answer.status is not Status.FAILED:
            free.append(str(address))
    return BlocklistReport(name, state, listings, free)


def _state(name: str, answers: Answers) -> ListState:
    listed, free = (answers.ask(_entry(address, name), Kind.A) for address in (_LISTED, _FREE))
    if any(ip_address(code) in _ERRORS for code in listed.values):
        return ListState.BLOCKED
    if Status.FAILED in {listed.status, free.status}:
        return ListState.UNKNOWN
    if any(map(_is_code, free.values)):
        return ListState.LISTS_ALL
    return ListState.WORKS if any(map(_is_code, listed.values)) else ListState.DEAD


def _is_code(value: str) -> bool:
    return ip_address(value) in _CODES and ip_address(value) not in _ERRORS


def _addresses(senders: Sequence[Network]) -> Iterator[IPv4Address | IPv6Address]:
    """Yield the addresses of IPv4 networks; of IPv6 the first, since lists have whole networks there."""
    for network in senders:
        yield from network if network.version == 4 else [network.network_address]  # noqa: PLR2004  # IPv4


def _entry(address: IPv4Address | IPv6Address, name: str) -> str:
    return f"{address.reverse_pointer.removesuffix('.in-addr.arpa').removesuffix('.ip6.arpa')}.{name}"
