"""What a replay tells: how full each limit was, who would have been refused, what another Config changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from policyd.conf.schema import RateLimit
from policyd.policy.decide import moment
from policyd.replay.tally import Counted, Key, Tally


@dataclass(frozen=True, slots=True)
class LimitUse:
    """One limit on one plan: how much its subjects asked for in their fullest windows.

    ``half``, ``most_90`` and ``most_99``: so many of 100 subjects, or 50, never asked for more.
    ``refused`` counts recipients, ``over`` the subjects that they are of.
    """

    limit: str
    plan: str
    counts: str
    max: int
    window: int
    mode: str
    subjects: int
    half: int
    most_90: int
    most_99: int
    most: int
    fullest: str
    over: int
    refused: int


@dataclass(frozen=True, slots=True)
class RefusedStretch:
    """One stretch of being over a limit."""

    first: str
    last: str
    refused: int


@dataclass(frozen=True, slots=True)
class RefusedSubject:
    """Who would have been refused. ``peak`` is the most that was asked for in one window, at ``peak_at``."""

    account: str
    plan: str
    limit: str
    subject: str
    counts: str
    max: int
    window: int
    mode: str
    peak: int
    peak_at: str
    refused: int
    stretches: tuple[RefusedStretch, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """What one counter would refuse under another Config. A maximum of None: no limit of that name counts there."""

    account: str
    limit: str
    subject: str
    old_max: int | None
    new_max: int | None
    old_refused: int
    new_refused: int


def uses(tally: Tally) -> list[LimitUse]:
    """Return how full each limit was on each plan, in the order in which they were met."""
    groups: dict[tuple[str, str, int], list[tuple[Key, Counted]]] = {}
    for key, counted in tally.counters.items():
        groups.setdefault((key.limit, counted.plan, counted.charge.max), []).append((key, counted))
    return [_use(members) for members in groups.values()]


def refusals(tally: Tally) -> list[RefusedSubject]:
    """Return who would have been refused, the most often refused first."""
    return [_refused(key, counted) for key, counted in tally.over()]


def compared(old: Tally, new: Tally) -> list[Changed]:
    """Return each counter that refuses more or less under ``new``, the greatest difference first."""
    keys = dict.fromkeys(key for tally in (old, new) for key, _ in tally.over())
    every = (_changed(key, old.counters.get(key), new.counters.get(key)) for key in keys)
    found = [one for one in every if one.old_refused != one.new_refused]
    return sorted(found, key=lambda one: (-abs(one.new_refused - one.old_refused), one.subject, one.limit))


def _use(members: Sequence[tuple[Key, Counted]]) -> LimitUse:
    key, counted = max(members, key=lambda one: one[1].peak.most)
    charge, peaks = counted.charge, sorted(one.peak.most for _, one in members)
    refused = [one.refused for _, one in members if one.stretches]
    return LimitUse(
        charge.limit, counted.plan, _counts(counted), charge.max, charge.window, _mode(counted), len(peaks),
        _quantile(peaks, 0.5), _quantile(peaks, 0.9), _quantile(peaks, 0.99), peaks[-1], key.subject,
        len(refused), sum(refused),
    )  # fmt: skip


def _refused(key: Key, counted: Counted) -> RefusedSubject:
    charge, peak = counted.charge, counted.peak
    stretches = tuple(RefusedStretch(moment(one.first), moment(one.last), one.count) for one in counted.stretches)
    return RefusedSubject(
        key.account, counted.plan, key.limit, key.subject, _counts(counted), charge.max, charge.window,
        _mode(counted), peak.most, moment(peak.at), counted.refused, stretches,
    )  # fmt: skip


def _changed(key: Key, old: Counted | None, new: Counted | None) -> Changed:
    return Changed(*key, _max(old), _max(new), old.refused if old else 0, new.refused if new else 0)


def _max(counted: Counted | None) -> int | None:
    return None if counted is None else counted.charge.max


def _counts(counted: Counted) -> str:
    return counted.limit.counts.value if isinstance(counted.limit, RateLimit) else ""


def _mode(counted: Counted) -> str:
    return "observe" if counted.charge.observed else "enforce"


def _quantile(ordered: Sequence[int], share: float) -> int:
    return ordered[ceil(share * len(ordered)) - 1]
