"""A pace: its charge, the transport that may keep it, and what it costs in time."""

from collections.abc import Iterable
from hashlib import sha256

from policyd.conf.schema import Config, PaceLimit, Transport
from policyd.model import Action, Charge, CounterType, TrafficKind
from policyd.policy.limits import is_observed


def pace_charge(config: Config, limit: PaceLimit, kind: TrafficKind, subject: str, recipients: int) -> Charge:
    """Return the charge of a pace that answers keep; ``recipients`` of 0 is one that it does not look at."""
    longest = limit.delay_up_to if limit.over[kind] is Action.DELAY else 0
    observed = is_observed(config, limit, kind)
    skipped = recipients == 0
    return Charge(
        CounterType.PACE, limit.name, subject, recipients, longest, limit.every, observed=observed, skipped=skipped
    )


def longest_wait(charges: Iterable[Charge]) -> int:
    """Return how long the answer to a request may have to wait at most, in ms."""
    return max((one.max for one in charges if one.type is CounterType.PACE and not one.observed), default=0)


def without_wait(charges: tuple[Charge, ...]) -> tuple[Charge, ...]:
    """Return charges that are refused where an answer would have to wait."""
    return tuple(one._replace(max=0) if one.type is CounterType.PACE and not one.observed else one for one in charges)


def destination(transport: Transport, subject: str) -> str:
    """Return what Postfix's FILTER names for a subject: always the same address out of the network.

    Two subjects that happen to have one address share its pace.
    """
    number = int.from_bytes(sha256(subject.encode("utf-8", "surrogateescape")).digest()[:8])
    address = transport.network[number % transport.network.num_addresses]
    return f"{transport.name}:[{address}]:{transport.port}"
