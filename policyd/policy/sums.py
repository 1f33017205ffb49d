"""What paces and maxima come to together, which no single limit says."""

from collections.abc import Iterator
from itertools import product

from policyd.conf.schema import Config, PaceLimit, RateLimit, Terms
from policyd.model import Counts, TrafficKind
from policyd.policy.decide import duration
from policyd.policy.limits import EXACT_UP_TO


def sums(config: Config) -> list[str]:
    """Return what an admin should know of the limits that lists meet, plan by plan."""
    lines = [line for terms in config.plans.values() for line in _of_plan(terms)]
    return [*lines, *_serial(config)]


def _of_plan(terms: Terms) -> Iterator[str]:
    paces = [one for one in terms.limits if isinstance(one, PaceLimit) and TrafficKind.LIST in one.traffic]
    rates = (one for one in terms.rates if one.max and one.counts is Counts.RECIPIENTS)
    caps = [one for one in rates if TrafficKind.LIST in one.traffic]
    for pace, cap in product(paces, caps):
        yield from _against(terms, pace, cap)


def _against(terms: Terms, pace: PaceLimit, cap: RateLimit) -> Iterator[str]:
    passing, most = cap.window // pace.every, cap.max or 0
    if passing > most:
        yield (
            f"plan {terms.plan}: {pace.name} lets {passing:,} recipients through in {duration(cap.window)}, {cap.name} "
            f"{most:,}: a longer list keeps the pace and meets that maximum; a pace of {fitting(cap) / 1000:g} s fits"
        )


def fitting(cap: RateLimit) -> int:
    """Return the shortest pace, in ms, that never meets a maximum; rounded up to a tenth of a second."""
    most = cap.max or 1
    counted = cap.window if most <= EXACT_UP_TO else cap.window * 61 // 60
    return -(-counted // (100 * most)) * 100


def _serial(config: Config) -> Iterator[str]:
    """Warn of answers that a serial runner waits for."""
    if not (config.lists.contexts or config.lists.users):
        return
    limits = [limit for terms in config.plans.values() for limit in terms.limits if isinstance(limit, PaceLimit)]
    waiting = [one for one in limits if one.transport is None and one.delay_up_to and TrafficKind.LIST in one.traffic]
    for name in dict.fromkeys(pace.name for pace in waiting):
        yield (
            f"{name} delays answers (by: answer): while one list of Mailman waits, its one outgoing runner sends "
            "nothing else; if this host runs Mailman, write by: transport (see Pace in the README)"
        )
