"""The script does what the model does, whatever it is asked."""

from collections.abc import Callable
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policyd.model import Charge, CounterType, Episode, Outcome
from policyd.store.base import Call, Op
from tests.store.model import Model
from tests.store.scripted import HOUR, NOON, Scripted, account, charge, record

LIMITS = ("plain", "locking", "once", "observed")
PACES = ("pace", "pace-observed")
LOCK = 5 * 60_000
MAXIMA = (0, 1, 3, 5, 100, 128, 129, 135, 400)
WINDOWS = (60_000, 61_001, 600_000, HOUR)
SLOTS = ((6000, 30_000), (7000, 20_000), (20, 100), (60_000, 0))
"""How long one slot is, and how long the next may be away."""


class Step(NamedTuple):
    """One call: ``passed`` ms after the one before, under limits of which one has just changed."""

    op: Op
    passed: int
    instance: str
    recipient: str
    costs: tuple[int, int, int, int]
    skipped: tuple[bool, bool, bool, bool]
    recipients: int
    uncharged: int
    change: tuple[int, int, int] | None
    """Which limit gets which max and window from now on."""
    slot: tuple[int, int]
    """What the paces have from now on."""


def _gaps() -> st.SearchStrategy[int]:
    edges = st.builds(lambda window, n: window // 60 * n, st.sampled_from(WINDOWS), st.integers(1, 62))
    nearly = st.builds(lambda edge, off: max(0, edge + off), edges, st.sampled_from([-1, 1]))
    back = st.integers(-2 * HOUR, -1)
    return st.one_of(st.just(0), st.integers(1, 2000), edges, nearly, st.sampled_from(WINDOWS), back)


_COSTS = st.sampled_from([1, 1, 1, 0, 2, 40, 130, 300, 900])
_STEPS = st.builds(
    Step,
    op=st.sampled_from([Op.CHARGE] * 5 + [Op.SETTLE, Op.GIVE_BACK, Op.PEEK]),
    passed=_gaps(),
    instance=st.sampled_from(["", "m1", "m2", "m3"]),
    recipient=st.sampled_from(["a@x.test", "b@x.test", "c@x.test"]),
    costs=st.tuples(_COSTS, _COSTS, _COSTS, _COSTS),
    skipped=st.tuples(*[st.sampled_from([False] * 5 + [True])] * 4),
    recipients=st.integers(0, 6),
    uncharged=st.integers(0, 1),
    change=st.none() | st.none() | st.tuples(st.integers(0, 3), st.sampled_from(MAXIMA), st.sampled_from(WINDOWS)),
    slot=st.sampled_from(SLOTS),
)


@settings(max_examples=250, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(_STEPS, min_size=1, max_size=40), number=st.integers(1, 4), paces=st.integers(0, 2))
def test_same_outcomes(scripted: Scripted, steps: list[Step], number: int, paces: int) -> None:
    """Charges, settlements, repeats, changed limits and clocks that step back leave both in one state."""
    model, refs = Model(), Refs()
    name, now, limits = account(), NOON, [_limit(name) for name in LIMITS[:number]]
    for step in steps:
        now += step.passed
        if step.change and step.change[0] < number:
            limits[step.change[0]] = _changed(limits[step.change[0]], *step.change[1:])
        paced = [_pace(pace, *step.slot) for pace in PACES[:paces]]
        call = _call(step, name, [*limits, *paced])
        expected, found = model.ask(call, now), scripted.ask(call, now)
        assert refs.same(found) == refs.numbered(expected)
        for one in (*limits, *paced):
            look = Call(Op.PEEK, name, None, (one._replace(cost=0),))
            assert scripted.ask(look, now).usages[0].used == model.ask(look, now).usages[0].used


class Refs:
    """Makes the refs of the script and the numbers of the model comparable."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def same(self, outcome: Outcome) -> Outcome:
        """Return an outcome of the script with its refs numbered in the order of their first use."""
        return _with_refs(outcome, lambda ref: self._seen.setdefault(ref, str(len(self._seen) + 1)) if ref else "")

    def numbered(self, outcome: Outcome) -> Outcome:
        """Return an outcome of the model, whose refs are numbered already."""
        return outcome


def _with_refs(outcome: Outcome, change: Callable[[str], str]) -> Outcome:
    usages = []
    for usage in outcome.usages:
        episode = usage.episode and Episode(change(usage.episode.ref), usage.episode.started)
        usages.append(usage._replace(episode=episode))
    return outcome._replace(usages=tuple(usages))


def _limit(name: str) -> Charge:
    return charge(limit=name, observed=name == "observed", lock=LOCK if name == "locking" else 0)


def _pace(name: str, window: int, longest: int) -> Charge:
    return charge(longest, type=CounterType.PACE, window=window, limit=name, observed=name == "pace-observed")


def _changed(one: Charge, maximum: int, window: int) -> Charge:
    type_ = CounterType.LOG if maximum <= 128 else CounterType.RING
    return one._replace(type=type_, max=maximum, window=window)


def _call(step: Step, name: str, limits: list[Charge]) -> Call:
    charges = []
    for one, cost, skipped in zip(limits, step.costs * 2, step.skipped * 2, strict=False):
        once = one.limit == "once"
        charges.append(one._replace(cost=0 if skipped else cost, once=once, skipped=skipped))
    if step.op is Op.PEEK:
        return Call(step.op, name, None, tuple(charges))
    of = record(step.instance, step.recipient, recipients=step.recipients, uncharged=step.uncharged)
    if step.op is Op.SETTLE:
        of = of._replace(fingerprint="END-OF-MESSAGE ")
    return Call(step.op, name, of, () if step.op is Op.GIVE_BACK else tuple(charges))
