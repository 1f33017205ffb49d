"""Temporary raises: another maximum of one limit for one account, until a moment.

They stand in the state of the account, where the script applies them to every charge; nothing here
decides. A raise is of a limit by its name: with ``per: user`` every user of the account has it.
"""

import json
from collections.abc import Iterable
from typing import NamedTuple

from policyd.store import keys
from policyd.store.redis import RedisStore
from policyd.store.state import put


class Raised(NamedTuple):
    """One raise, to ``max``, from ``at`` until ``until`` (ms)."""

    account: str
    limit: str
    max: int
    until: int
    at: int
    who: str
    why: str


class Raises:
    """Puts, ends and finds raises."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def put(self, raised: Raised) -> None:
        """Put a raise into force, in place of one of the same limit. Raises StoreError."""
        state = keys.state(keys.tag(raised.account))
        story = json.dumps({"at": raised.at, "who": raised.who, "why": raised.why})
        value = f"{raised.max} {raised.until} {story}".encode("ascii")
        await put(self._store, state, keys.raised(raised.limit), value, raised.until - raised.at)

    async def end(self, account: str, limit: str, now: int) -> Raised | None:
        """End a raise and return it, None when there is none. Raises StoreError."""
        found = await self.of(account, [limit], now)
        await self._store.command("HDEL", keys.state(keys.tag(account)), keys.raised(limit))
        return found.get(limit)

    async def of(self, account: str, limits: Iterable[str], now: int) -> dict[str, Raised]:
        """Return the raises of some limits that are in force, by limit. Raises StoreError."""
        names = list(limits)
        if not names:
            return {}
        state, fields = keys.state(keys.tag(account)), [keys.raised(name) for name in names]
        values = await self._store.command("HMGET", state, *fields)
        found = [_raised(account, name, value) for name, value in zip(names, values, strict=True) if value]
        return {raised.limit: raised for raised in found if raised.until > now}


def _raised(account: str, limit: str, value: bytes) -> Raised:
    most, until, story = value.decode("ascii").split(" ", 2)
    told = json.loads(story)
    return Raised(account, limit, int(most), int(until), told["at"], told["who"], told["why"])
