"""The real script on a real Redis, called directly: one call, one outcome, at a time that is named."""

from itertools import count
from typing import Any

import redis

from policyd.model import Charge, CounterType, Outcome
from policyd.store.base import Call, Op, Record
from policyd.store.script import Script, decode, encode
from tests.support.clock import START

HOUR = 3_600_000
MINUTE = 60_000
DAY = 24 * HOUR
KEEP = 7_200_000
NOON = START - START % DAY + DAY // 2
"""An edge of every slot that divides half a day."""

RATE_TYPES = (CounterType.RING, CounterType.LOG)
"""The counter types of rate limits."""

_accounts = count(1)


class Scripted:
    """Sends calls to the script as the store does, or to another ``text``."""

    def __init__(self, client: "redis.Redis", text: bytes = b"") -> None:
        self.client = client
        self._text = text or Script().text
        self._sha = client.script_load(self._text)

    def ask(self, call: Call, now: int, not_after: int = 0) -> Outcome:
        """Return the outcome of a call made at ``now``; 0 is the time of Redis."""
        return decode(call, self.reply(call, now, not_after))

    def reply(self, call: Call, now: int, not_after: int = 0) -> list[Any]:
        """Return what the script replies."""
        words = encode(call, now, not_after, b"seed")
        reply: list[Any] = self.client.execute_command("EVALSHA", self._sha, *words)  # type: ignore[no-untyped-call]
        return reply

    def flush(self) -> None:
        """Forget the scripts and all keys."""
        self.client.script_flush()
        self.client.flushall()
        self._sha = self.client.script_load(self._text)


def account() -> str:
    """Return an account that no other test or example uses."""
    return f"a{next(_accounts)}.example"


def charge(max_: int = 400, cost: int = 1, window: int = HOUR, limit: str = "hourly", **flags: Any) -> Charge:
    """Return a charge of the counter type that policyd takes for ``max_``, or of ``type``."""
    type_ = flags.pop("type", CounterType.LOG if max_ <= 128 else CounterType.RING)
    return Charge(type_, limit, flags.pop("subject", "someone"), cost, max_, window, **flags)


def record(instance: str, recipient: str = "x@remote.test", state: str = "RCPT", **fields: int) -> Record:
    """Return the record of a message on the host mx."""
    return Record("mx", instance, f"{state} {recipient}", fields.pop("keep", KEEP), **fields)


class Customer:
    """One account as the tests speak of it: each method is one call. ``asker`` answers them."""

    def __init__(self, scripted: Scripted, name: str = "") -> None:
        self.scripted, self.name = scripted, name or account()

    def charge(self, *charges: Charge, now: int = NOON, of: Record | None = None) -> Outcome:
        """Charge, for the message ``of`` or for none that is remembered."""
        return self.scripted.ask(Call(Op.CHARGE, self.name, of or record(""), charges), now)

    def settle(self, *charges: Charge, of: Record, now: int = NOON) -> Outcome:
        """Settle a message."""
        return self.scripted.ask(Call(Op.SETTLE, self.name, of, charges), now)

    def give_back(self, of: Record, now: int = NOON) -> Outcome:
        """Give back what a message was charged."""
        return self.scripted.ask(Call(Op.GIVE_BACK, self.name, of, ()), now)

    def peek(self, *charges: Charge, now: int = NOON) -> Outcome:
        """Look, and change nothing."""
        return self.scripted.ask(Call(Op.PEEK, self.name, None, charges), now)

    def used(self, charge: Charge, now: int = NOON) -> int:
        """Return what the counter of a charge holds."""
        return self.peek(charge, now=now).usages[0].used

    def names(self) -> set[str]:
        """Return the names of this account's keys, without what they have in common."""
        start = f"policyd:1:{{{self.name}}}:"
        return {key.decode().removeprefix(start) for key in self.scripted.client.scan_iter(f"{start}*", count=10_000)}
