"""What paces, maxima and hours come to together, which no single limit says."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from policyd.conf.schema import Config, PaceLimit, RateLimit, Schedule, SizeLimit, Terms
from policyd.model import Counts, Per, TrafficKind
from policyd.policy.decide import duration
from policyd.policy.limits import EXACT_UP_TO

_MINUTE = 60_000
_LATE = 5 * _MINUTE


class _Speed(NamedTuple):
    """How long one recipient of a list takes at least, in ms, and because of which limit."""

    each: float
    limit: str

    def takes(self, recipients: int) -> float:
        """Return how long a list takes, in ms."""
        return recipients * self.each


def sums(config: Config) -> list[str]:
    """Return what an admin should know of the limits that lists meet, plan by plan."""
    lines = [line for terms in config.plans.values() for line in _of_plan(config, terms)]
    return [*lines, *_serial(config), *_unread(config)]


def _of_plan(config: Config, terms: Terms) -> Iterator[str]:
    paces = [one for one in terms.limits if isinstance(one, PaceLimit) and TrafficKind.LIST in one.traffic]
    rates = (one for one in terms.rates if one.max and one.counts is Counts.RECIPIENTS)
    caps = [one for one in rates if TrafficKind.LIST in one.traffic]
    for pace, cap in product(paces, caps):
        yield from _against(terms, pace, cap)
    speeds = [_Speed(pace.every, pace.name) for pace in paces]
    speeds += [_Speed(cap.window / cap.max, cap.name) for cap in caps if cap.max]
    if speeds:
        yield from _times(config, terms, max(speeds))


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


def _times(config: Config, terms: Terms, slowest: _Speed) -> Iterator[str]:
    """Say how long the largest list takes, and what the hours hold in which large ones are mailed."""
    sizes = [one for one in terms.limits if isinstance(one, SizeLimit) and one.per is Per.LIST and one.max]
    sizes = [one for one in sizes if not one.unconfirmed]
    largest = min((one.max or 0 for one in sizes if not one.lifted_by), default=0)
    if largest:
        takes = _hours(slowest.takes(largest))
        yield f"plan {terms.plan}: a list of {largest:,} takes {takes}, because of {slowest.limit}"
    for size in sizes:
        if size.lifted_by:
            yield from _open_hours(terms, size, config.schedules[size.lifted_by], slowest, largest)


def _open_hours(terms: Terms, size: SizeLimit, schedule: Schedule, slowest: _Speed, largest: int) -> Iterator[str]:
    shortest = min(((end - start) * _MINUTE for hours in schedule.week for start, end in hours), default=0)
    if not shortest:
        return
    held, late = int(shortest / slowest.each), int(_LATE / slowest.each)
    yield (
        f"plan {terms.plan}: lists of more than {size.max:,} are mailed while {schedule.name} is open; its shortest "
        f"hours, {_hours(shortest)}, hold {held:,} e-mails. What begins 5 min before their end sends {late} by then, "
        "and goes on in the next"
    )
    if slowest.takes(largest) > shortest:
        yield f"plan {terms.plan}: a list of {largest:,} takes more than one opening of {schedule.name}"


def _hours(milliseconds: float) -> str:
    """Return a duration in hours and minutes, rounded up to the minute."""
    hours, minutes = divmod(-int(-milliseconds // _MINUTE), 60)
    return " ".join(f"{number} {unit}" for number, unit in ((hours, "h"), (minutes, "min")) if number)


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


def _unread(config: Config) -> Iterator[str]:
    """Warn of limits that need a roster where none is read."""
    limits = (limit for terms in config.plans.values() for limit in terms.limits if isinstance(limit, SizeLimit))
    if config.mailman is None:
        for name in dict.fromkeys(limit.name for limit in limits if limit.unconfirmed):
            yield (
                f"{name} looks at lists whose roster lets people in without their confirmation, and no roster is read: "
                "write the section mailman (see Rosters in the README)"
            )
