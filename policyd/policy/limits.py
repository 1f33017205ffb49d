"""Which limits look at a request, what they count for, and what one request costs them."""

from policyd.conf.schema import Config, Limit, RateLimit, SizeLimit, Terms
from policyd.model import Action, Charge, CounterType, Counts, Member, Mode, Per, Traffic, TrafficKind
from policyd.policy.schedule import is_open

EXACT_UP_TO = 128
"""Maxima up to this are counted with exact times: a client that comes once a minute must pass 60/h."""


def terms_of(config: Config, traffic: Traffic) -> Terms:
    """Return what is in force for the charged account; relayed traffic has limits of its own."""
    return config.relayed if traffic.kind is TrafficKind.RELAYED else config.terms(traffic.account)


def rates_in_force(config: Config, terms: Terms, kind: TrafficKind, now: int) -> list[RateLimit]:
    """Return the rate limits of ``terms`` that look at a kind of traffic at ``now`` and have a maximum."""
    looking = (limit for limit in terms.rates if limit.max is not None and kind in limit.traffic)
    return [limit for limit in looking if not is_lifted(config, limit, now)]


def in_force(config: Config, terms: Terms, kind: TrafficKind, now: int) -> list[Limit]:
    """Return the limits of ``terms``, of any kind, that look at a kind of traffic at ``now`` and have a maximum."""
    looking = (limit for limit in terms.limits if kind in limit.traffic and not is_lifted(config, limit, now))
    return [limit for limit in looking if not (isinstance(limit, RateLimit | SizeLimit) and limit.max is None)]


def is_lifted(config: Config, limit: Limit, now: int) -> bool:
    """Return whether a limit's schedule switches it off at ``now``."""
    return bool(limit.lifted_by) and is_open(config.schedules[limit.lifted_by], now)


def subject(limit: Limit, traffic: Traffic, client: str) -> str:
    """Return what the limit counts for, within the account."""
    if limit.per is Per.DOMAIN:
        return traffic.account
    if limit.per in {Per.USER, Per.MAILBOX}:
        return traffic.user
    if limit.per is Per.LIST:
        return traffic.list
    return traffic.sender if limit.per is Per.SENDER else client


def counter_type(limit: RateLimit) -> CounterType:
    """Return the counter type for what a limit counts, and for its maximum."""
    if limit.counts is Counts.DISTINCT:
        return CounterType.DISTINCT
    exact = limit.max is not None and limit.max <= EXACT_UP_TO and limit.counts is not Counts.BYTES
    return CounterType.LOG if exact else CounterType.RING


def rate_look(limit: RateLimit, subject: str, most: int) -> Charge:
    """Return a charge to look at a counter with, under a maximum; it holds whether one more would fit."""
    member = Member("") if limit.counts is Counts.DISTINCT else None
    return Charge(
        counter_type(limit), limit.name, subject, 1, most, limit.window, lock=limit.lock, member=member
    )


def is_observed(config: Config, limit: Limit, kind: TrafficKind) -> bool:
    """Return whether the limit counts this traffic and refuses none of it."""
    return Mode.OBSERVE in {config.mode, limit.mode} or limit.over[kind] is Action.ACCEPT
