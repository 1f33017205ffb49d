"""Which list a message is of, as its envelope sender tells: pure, and linear in the sender's length.

All senders of one list lead to one name, its posting address, however many members it has. What is
recognised here is only a claim until the sender is known by other means (policyd/policy/traffic.py).
"""

import re

from policyd.address import Address, normalise
from policyd.conf.listed import Lists
from policyd.model import PolicyRequest
from policyd.pattern import SenderPattern, sender_pattern

FAN_OUT = (
    "bounce+*==a==*=={list}==w", "bounce+*==a==*=={list}==r", "bounce+*==a==*=={list}",  # Sympa with VERP
    "{list}-bounces+*", "{list}-bounces", "{list}-confirm+*",  # Mailman 2 and 3: VERP and probes, plain, cookies
    "{list}-digest-return-*-*=*", "{list}-return-*-*=*", "{list}-return-*-", "{list}-return-",  # ezmlm
    "{list}-owner",  # Sympa without VERP; Mailman to the owners
    "owner-{list}+*", "owner-{list}",  # Majordomo, with and without Postfix's VERP
)  # fmt: skip
"""What list software has in MAIL FROM when it sends to members. The first that fits counts."""

NOTICES = (
    "{list}-confirm", "{list}-request+*", "{list}-request", "{list}-join", "{list}-leave", "{list}-subscribe",
    "{list}-unsubscribe", "{list}-admin", "{list}-help",
)  # fmt: skip
"""What it has in the answers that it gives to single people. People have such names, too."""


_MARKS = re.compile(r"bounce|-confirm\+|-return-|owner")
"""What every sender has that a form of FAN_OUT fits: most senders have none of it."""


_MAILMAN = re.compile(r"-(?:bounces(?:\+.*)?|confirm\+.*)\Z", re.DOTALL)
_PORTS = 65_536


def connection(request: PolicyRequest) -> int:
    """Return the SMTP connection of what Mailman sends, 0 where nothing is told by it.

    Mailman opens one for each message that it makes, and closes it: all copies of a post come over one
    connection, VERP or not, and an answer to somebody comes alone.
    """
    mailman = _MAILMAN.search(request.sender.rpartition("@")[0].lower())
    return request.client_port % _PORTS if mailman else 0


class Envelopes:
    """The list envelopes of one Config: the built-in forms, and what ``lists`` names."""

    def __init__(self, lists: Lists) -> None:
        self._known = {address: normalise(known.posting, "") for address, known in lists.known.items()}
        self._named, self._fan_out, self._notices = lists.patterns, _patterns(FAN_OUT), _patterns(NOTICES)

    def named(self, sender: str) -> Address | None:
        """Return the posting address of the list whose sender the administrator has named."""
        return self._of_administrator(normalise(sender, ""))

    def posting(self, sender: str) -> Address | None:
        """Return the posting address of the list that a sender is of; None where it is no list's."""
        address = normalise(sender, "")
        return self._of_administrator(address) or self._built_in(address)

    def of_software(self, sender: str) -> Address | None:
        """Return the posting address of the list for which list software, known as such, has sent."""
        address = normalise(sender, "")
        return self._of_administrator(address) or self._built_in(address) or _first(self._notices, address)

    def _of_administrator(self, sender: Address) -> Address | None:
        return self._known.get(str(sender)) or _first(self._named, sender)

    def _built_in(self, sender: Address) -> Address | None:
        return _first(self._fan_out, sender) if _MARKS.search(sender.local) else None


def _patterns(texts: tuple[str, ...]) -> tuple[SenderPattern, ...]:
    return tuple(sender_pattern(text) for text in texts)


def _first(patterns: tuple[SenderPattern, ...], sender: Address) -> Address | None:
    for pattern in patterns:
        name = pattern.list_name(sender) if sender.domain else ""
        if name:
            return Address(name, sender.domain)
    return None
