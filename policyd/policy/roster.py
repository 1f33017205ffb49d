"""What is known of lists by better means than their mailings: the roster of the list software, and the configuration.

A roster's number is the best one; where it has none, the configuration's counts.
"""

from collections.abc import Collection, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from policyd.conf.listed import KnownList
from policyd.model import Word


class Subscription(Word):
    """How somebody gets into a list, in Mailman's words. OPEN and MODERATE: without confirming it."""

    OPEN = "open"
    CONFIRM = "confirm"
    MODERATE = "moderate"
    CONFIRM_THEN_MODERATE = "confirm_then_moderate"

    @property
    def confirms(self) -> bool:
        """Whether he who owns the address has to say that he wants it."""
        return self in {Subscription.CONFIRM, Subscription.CONFIRM_THEN_MODERATE}


class RosterList(NamedTuple):
    """One list as its software knows it. ``subscription`` is None where that is not known."""

    members: int
    subscription: Subscription | None = None


Roster = Mapping[str, RosterList]
"""Lists by their posting address, in its normal form."""

NO_ROSTER: Roster = MappingProxyType({})


class Source(Word):
    """Who says how large a list is, best first."""

    ROSTER = "roster"
    CONFIG = "config"
    MAILINGS = "mailings"


class KnownSize(NamedTuple):
    """How large a list is, and who says so."""

    size: int
    source: Source


class KnownLists:
    """What is known of lists under one Config and one roster; ``named`` are those of the Config, by posting address."""

    def __init__(self, known: Mapping[str, KnownList], roster: Roster = NO_ROSTER) -> None:
        self.named = {one.posting: one for one in known.values()}
        self.roster = roster

    @cached_property
    def _domains(self) -> dict[str, list[str]]:
        found = dict[str, list[str]]()
        for posting in self.postings():
            found.setdefault(posting.rpartition("@")[2], []).append(posting)
        return found

    def of(self, domain: str) -> Collection[str]:
        """Return the lists of a domain that are known."""
        return self._domains.get(domain, ())

    def size(self, posting: str) -> KnownSize | None:
        """Return how large a list is, None where only its mailings can show it."""
        if posting in self.roster:
            return KnownSize(self.roster[posting].members, Source.ROSTER)
        named = self.named.get(posting)
        return None if named is None or named.size is None else KnownSize(named.size, Source.CONFIG)

    def family(self, posting: str) -> str:
        """Return the family that the configuration names for a list, "" for none."""
        return self.named[posting].family if posting in self.named else ""

    def subscription(self, posting: str) -> Subscription | None:
        """Return how somebody gets into a list, None where its roster does not say it."""
        return self.roster[posting].subscription if posting in self.roster else None

    def knows(self, posting: str) -> bool:
        """Return whether an address is the posting address of a list that is known."""
        return posting in self.roster or posting in self.named

    def postings(self) -> set[str]:
        """Return the posting addresses of all lists that are known."""
        return {*self.roster, *self.named}
