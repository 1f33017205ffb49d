"""What was let through while the store was away, and has to be paid back to it: calls, in the order of each message.

Postfix asks about one recipient of a message at a time, and who owes something is answered here until
it is paid. So of each message at most one call, the first, may have run in the store although nobody
heard its answer; asked again with the same fingerprint it charges nothing.
"""

from collections import OrderedDict
from itertools import islice
from typing import NamedTuple

from policyd.model import CounterType
from policyd.store.base import Call, Op, Record

MOST = 1_000_000
"""Calls that are remembered."""

Key = tuple[str, str, str]
"""The account, the host and the instance of a message."""


class Owed(NamedTuple):
    """A call that was answered here, and the slots that its charges were counted in."""

    call: Call
    slots: tuple[int, ...]


class Unpaid:
    """All that is owed. ``count`` says how many calls, ``accounts`` how many of each account."""

    def __init__(self) -> None:
        self.count = 0
        self._messages = OrderedDict[Key, list[Owed]]()  # a dict is slow to look at whose first entries are gone
        self.accounts: dict[str, int] = {}

    def owes(self, account: str) -> bool:
        """Return whether an account owes something."""
        return account in self.accounts

    def of(self, account: str, record: Record) -> list[Owed]:
        """Return what a message owes, the oldest first."""
        return self._messages.get((account, record.host, record.instance), [])

    def add(self, account: str, record: Record, owed: Owed) -> None:
        """Owe a call."""
        self._messages.setdefault((account, record.host, record.instance), []).append(owed)
        self.accounts[account] = self.accounts.get(account, 0) + 1
        self.count += 1

    def first(self, most: int) -> list[tuple[Key, Owed]]:
        """Return the first call of each of so many messages, the oldest first, those that were postponed last."""
        return [(key, owed[0]) for key, owed in islice(self._messages.items(), most)]

    def postpone(self, key: Key) -> None:
        """Have a message paid after all others; its own calls stay in their order."""
        self._messages.move_to_end(key)

    def change(self, key: Key, call: Call) -> None:
        """Have another call paid in place of a message's first one."""
        owed = self._messages[key]
        owed[0] = owed[0]._replace(call=call)

    def paid(self, key: Key) -> bool:
        """Forget a message's first call; returns whether the account owes nothing any more."""
        owed, account = self._messages[key], key[0]
        owed.pop(0)
        if not owed:
            del self._messages[key]
        self.count -= 1
        left = self.accounts[account] - 1
        if left:
            self.accounts[account] = left
        else:
            del self.accounts[account]
        return not left


def forced(call: Call) -> Call:
    """Return a call that charges what was let through already, whatever the counters hold. The slots are past."""
    if call.op is not Op.CHARGE:
        return call
    return call._replace(
        charges=tuple(
            charge._replace(observed=True, cost=0 if charge.type is CounterType.PACE else charge.cost)
            for charge in call.charges
        ),
        suspensions=(),
    )
