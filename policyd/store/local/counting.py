"""What one daemon lets through while the store is away: its share of what was left when it last looked.

Pure, and bounded. Of a rate limit it is (max - used) / nodes, and max / nodes once the window is over
that was seen last. Of a pace each daemon takes each so many-th slot. Of a list the last verdict stands.
"""

from collections import deque
from collections.abc import Iterable

from policyd.model import Charge, CounterType, Outcome, Usage

MOST_ACCOUNTS = 100_000
"""Accounts that are remembered; the one that was asked for longest ago is forgotten first."""

MOST_SUBJECTS = 200
"""Counters of one account, likewise."""

_SLOTS = 60

Name = tuple[str, str]
"""A limit and a subject."""


class Counter:
    """What the store held of one subject when it was last seen, and what was let through here since.

    Those of a rate are counted in slots of a sixtieth of its window, as the store's rings are.
    """

    __slots__ = ("_asked_max", "_next_slot", "_over", "_seen_max", "_seen_until", "_used", "_width", "slots")

    def __init__(self) -> None:
        self.slots: deque[list[int]] = deque()  # [number, units]
        self._width = 1
        self._used = self._seen_until = self._next_slot = 0
        self._asked_max = self._seen_max = -1
        self._over = False

    def saw(self, charge: Charge, usage: Usage, now: int, *, at_least: bool) -> None:
        """Take over what the store said; ``at_least``: it does not know yet of all that was let through here."""
        self._asked_max, self._seen_max = charge.max, usage.max
        self._over = usage.episode is not None
        if charge.type is CounterType.PACE:
            self._next_slot = max(self._next_slot, now + usage.used)
        elif at_least:
            self._used = max(self._used, usage.used)
        else:
            self._used = usage.used
            self.slots.clear()
        self._seen_until = max(self._seen_until, now + charge.window)

    def paid(self, units: int) -> None:
        """Note that the store has been told of units, without saying what it holds."""
        self._used += units

    def peek(self, charge: Charge, now: int) -> int:
        """Return what was let through here and still counts."""
        self._width = -(-charge.window // _SLOTS)
        while self.slots and self.slots[0][0] < now // self._width - _SLOTS:
            self.slots.popleft()
        return sum(units for _, units in self.slots)

    def fits(self, charge: Charge, cost: int, now: int, nodes: int) -> bool:
        """Return whether a cost is within this daemon's share."""
        if charge.observed or not cost:
            return True
        if charge.type is CounterType.PACE:
            return self._next_slot <= now
        if charge.type is CounterType.SET:
            known = charge.member.known if charge.member else None
            return not self._over and (known is None or known <= charge.max)
        most = self._seen_max if self._asked_max == charge.max else charge.max
        used = self._used if now < self._seen_until else 0
        return self.peek(charge, now) + cost <= (most - used) // nodes

    def apply(self, charge: Charge, cost: int, now: int, nodes: int) -> int:
        """Let a cost through; returns the slot that it is counted in."""
        if charge.type is CounterType.PACE:
            self._next_slot = max(self._next_slot, now) + cost * charge.window * nodes
            return 0
        self.peek(charge, now)
        slot = now // self._width
        if self.slots and self.slots[-1][0] >= slot:
            self.slots[-1][1] += cost
        else:
            self.slots.append([slot, cost])
        return self.slots[-1][0]

    def undo(self, slot: int, cost: int) -> None:
        """Take a cost out of a slot that still counts."""
        for entry in self.slots:
            if entry[0] == slot:
                entry[1] -= min(cost, entry[1])


class Counting:
    """The counters of all accounts."""

    def __init__(self) -> None:
        self._accounts: dict[str, dict[Name, Counter]] = {}

    def saw(self, account: str, charges: Iterable[Charge], outcome: Outcome, *, at_least: bool) -> None:
        """Take over the usages of an outcome."""
        counters = self._touched(account)
        for charge, usage in zip(charges, outcome.usages, strict=True):
            counter = _counter(counters, (charge.limit, charge.subject))
            counter.saw(charge, usage, outcome.now, at_least=at_least)

    def paid(self, account: str, charges: Iterable[Charge]) -> None:
        """Note that the store has all units of a call."""
        counters = self._touched(account)
        for charge in charges:
            _counter(counters, (charge.limit, charge.subject)).paid(charge.cost)

    def settled(self, account: str) -> None:
        """Note that the store knows of all that was let through here."""
        for counter in self._accounts.get(account, {}).values():
            counter.slots.clear()

    def has_room(self, account: str) -> bool:
        """Return whether an account is known, or may become so: none is forgotten while the store is away."""
        return account in self._accounts or len(self._accounts) < MOST_ACCOUNTS

    def charge(
        self, account: str, charges: tuple[Charge, ...], once: set[Name], now: int, nodes: int
    ) -> tuple[tuple[int, ...], str]:
        """Charge all or none; returns the slots, and the limit whose share is used up, "" for none.

        ``once`` is what the message was charged already.
        """
        counters = self._accounts.setdefault(account, {})
        wanted = [
            (_counter(counters, name), charge, 0 if charge.once and name in once else charge.cost)
            for charge in charges
            for name in [(charge.limit, charge.subject)]
        ]
        for counter, charge, cost in wanted:
            if not counter.fits(charge, cost, now, nodes):
                return (), charge.limit
        return tuple(counter.apply(charge, cost, now, nodes) for counter, charge, cost in wanted), ""

    def undo(self, account: str, charges: tuple[Charge, ...], slots: tuple[int, ...]) -> None:
        """Take back what a call was charged into these slots."""
        counters = self._accounts.get(account, {})
        for charge, slot in zip(charges, slots, strict=True):
            if charge.type is not CounterType.PACE and (charge.limit, charge.subject) in counters:
                counters[charge.limit, charge.subject].undo(slot, charge.cost)

    def _touched(self, account: str) -> dict[Name, Counter]:
        counters = self._accounts.pop(account, None)
        if counters is None:
            counters = {}
            if len(self._accounts) >= MOST_ACCOUNTS:
                del self._accounts[next(iter(self._accounts))]
        self._accounts[account] = counters
        return counters


def _counter(counters: dict[Name, Counter], name: Name) -> Counter:
    counter = counters.pop(name, None) or Counter()
    if len(counters) >= MOST_SUBJECTS:
        del counters[next(iter(counters))]
    counters[name] = counter
    return counter
