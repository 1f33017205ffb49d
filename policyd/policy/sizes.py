"""How large a list may be: its charge, and which lists are judged together."""

import re
from collections.abc import Collection
from functools import lru_cache
from hashlib import blake2b
from typing import Protocol

from policyd.address import normal_form
from policyd.conf.schema import Config, SizeLimit
from policyd.model import Charge, CounterType, Family, Member, Per, PolicyRequest, Sure, Traffic
from policyd.policy.envelope import connection
from policyd.policy.limits import is_observed
from policyd.policy.roster import KnownLists

_NUMBERED = re.compile(r"(?:[-_.]?[0-9]+|[-_.][a-z])$", re.ASCII)
_LONGEST_KEY = 64


class Seen(Protocol):
    """Who knows the lists that have mailed, by their posting addresses."""

    def __contains__(self, posting: object) -> bool: ...

    def of(self, domain: str) -> Collection[str]:
        """Return those of a domain."""

    def note(self, posting: str, now: int) -> None:
        """Note that one mails."""


def size_charge(
    config: Config, limit: SizeLimit, traffic: Traffic, request: PolicyRequest, lists: KnownLists
) -> Charge:
    """Return what a size limit charges for one recipient of a list.

    Who only claims to be a list is counted as another one: he is limited, and no judge of the list.
    Only of the list software itself it is known how it uses its connections.
    """
    subject = size_subject(limit, traffic.list, lists)
    member = _member(config, limit, traffic.list, digest(traffic.account, request.recipient), lists)
    if traffic.sure is Sure.VERIFIED and traffic.user == traffic.list:
        member = member._replace(connection=connection(request))
    return Charge(
        CounterType.SET,
        limit.name,
        subject if traffic.sure is Sure.VERIFIED else f"{subject} ({traffic.sure})",
        1,
        limit.max or 0,
        limit.remember,
        observed=is_observed(config, limit, traffic.kind),
        member=member,
    )


def looks_at(limit: SizeLimit, posting: str, lists: KnownLists) -> bool:
    """Return whether a size limit looks at a list: one of ``unconfirmed`` only where its roster lets anybody in."""
    subscription = lists.subscription(posting)
    return not limit.unconfirmed or (subscription is not None and not subscription.confirms)


def size_look(config: Config, limit: SizeLimit, subject: str, lists: KnownLists) -> Charge:
    """Return a charge to look at a list, or a family of lists, with; nobody is counted by it."""
    member = _member(config, limit, subject, "", lists)
    return Charge(CounterType.SET, limit.name, subject, 1, limit.max or 0, limit.remember, member=member)


def _member(config: Config, limit: SizeLimit, posting: str, member: str, lists: KnownLists) -> Member:
    """Return a member; of a family no better size is known, since the lists may share members."""
    known = lists.size(posting) if limit.per is Per.LIST else None
    return Member(member, known.size if known else None, config.lists.seen_slack, config.lists.mailing_over)


def size_subject(limit: SizeLimit, posting: str, lists: KnownLists) -> str:
    """Return what a size limit counts for: a list, or the family that it belongs to."""
    if limit.per is Per.LIST:
        return posting
    if limit.family is Family.ACCOUNT:
        return "(all lists)"
    return lists.family(posting) or f"{stem(posting)}*"


def taken_together(lists: KnownLists, seen: Seen, limit: SizeLimit, posting: str) -> list[str]:
    """Return the names of the lists of a domain that a limit judges together with one of them."""
    domain, subject = posting.rpartition("@")[2], size_subject(limit, posting, lists)
    known = {posting, *lists.of(domain), *seen.of(domain)}
    family = [one for one in known if size_subject(limit, one, lists) == subject]
    return sorted(one.rpartition("@")[0] for one in family)


def stem(posting: str) -> str:
    """Return what the name of a list begins with: news of news1, news-2 and news.b."""
    name = posting.rpartition("@")[0]
    while shorter := _NUMBERED.sub("", name):
        if shorter == name:
            break
        name = shorter
    return name


@lru_cache(maxsize=4096)
def digest(account: str, recipient: str) -> str:
    """Return a recipient as members are kept: a signed 64-bit number as text, which shows no address."""
    key = account.encode("utf-8", "surrogateescape")[:_LONGEST_KEY]
    address = normal_form(recipient, "").encode("utf-8", "surrogateescape")
    return str(int.from_bytes(blake2b(address, digest_size=8, key=key).digest(), signed=True))
