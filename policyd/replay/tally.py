"""What became of replayed mail: of each counter the most that was asked of it, and when it refused."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from policyd.conf.schema import Limit
from policyd.model import Charge, Outcome, TrafficKind
from policyd.policy.plan import ChargePlan
from policyd.replay.peaks import Peak


class Key(NamedTuple):
    """One counter."""

    account: str
    limit: str
    subject: str


class Stretch:
    """One stretch of being over a limit: when it began and was last met, and how many recipients it refused."""

    __slots__ = ("count", "first", "last")

    def __init__(self, at: int) -> None:
        self.first = self.last = at
        self.count = 0


class Counted:
    """What a replay saw of one counter. ``charge`` is the first that it had."""

    __slots__ = ("charge", "limit", "peak", "plan", "stretches")

    def __init__(self, plan: str, limit: Limit, charge: Charge) -> None:
        self.plan, self.limit, self.charge = plan, limit, charge
        self.peak = Peak()
        self.stretches: list[Stretch] = []

    @property
    def refused(self) -> int:
        """How many recipients were refused."""
        return sum(stretch.count for stretch in self.stretches)


class Tally:
    """All counters of one replay, and how many recipients each kind of traffic had."""

    def __init__(self) -> None:
        self.traffic: Counter[TrafficKind] = Counter()
        self.counters: dict[Key, Counted] = {}

    def asked(self, kind: TrafficKind, recipients: int) -> None:
        """Note recipients, whether they cost something or not."""
        self.traffic[kind] += recipients

    def used(self, plan: ChargePlan, at: int, *, first: bool) -> None:
        """Note what a request asks of its counters. ``first``: it is its message's first."""
        for limit, charge in zip(plan.limits, plan.charges, strict=True):
            key = Key(plan.traffic.account, charge.limit, charge.subject)
            counted = self.counters.get(key)
            if counted is None:
                counted = self.counters[key] = Counted(plan.terms.plan, limit, charge)
            if charge.cost and (first or not charge.once):
                counted.peak.add(at, charge.cost, charge.window)

    def refused(self, plan: ChargePlan, index: int, outcome: Outcome, recipients: int) -> None:
        """Note that the limit of a charge refused recipients, or would have."""
        charge, usage = plan.charges[index], outcome.usages[index]
        stretches = self.counters[Key(plan.traffic.account, charge.limit, charge.subject)].stretches
        if not stretches or (usage.episode is not None and usage.episode.started):
            stretches.append(Stretch(outcome.now))
        stretches[-1].last = outcome.now
        stretches[-1].count += recipients

    def accounts(self) -> int:
        """Return how many accounts were charged."""
        return len({key.account for key in self.counters})

    def over(self) -> Iterable[tuple[Key, Counted]]:
        """Return the counters that refused something, or would have, those that refused most first."""
        found = [(key, counted) for key, counted in self.counters.items() if counted.stretches]
        return sorted(found, key=lambda one: (-one[1].refused, one[0]))
