"""The trails of events: one of each account, which the script writes too, and one of all accounts.

    policyd:1:{<account>}:events     the last 200 of an account, newest first
    policyd:1:index:events           a stream of the last 10,000 or so of all

What daemons notice is noted here and written with the index, off the answer's path; what somebody
does is written at once. The trail of all is no more than the other parts of the index: it never
decides, and is lost when the store is away.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from policyd.errors import StoreError
from policyd.event import Event, decode, encode
from policyd.store import keys
from policyd.store.redis import RedisStore

_ALL = keys.PREFIX + b"index:events"
_MONTH = 30 * 86_400_000

KEPT, KEPT_OF_ALL = 200, 10_000
"""Events in the trail of an account, and about so many in that of all."""

WAITING = 1_000
"""Events that may wait for the next ``flush``; more are dropped."""

_AT_ONCE = 100
"""Events in one go, so that no counter waits long behind them."""

START = "0-0"
"""The place before the first event of all."""


class Page(NamedTuple):
    """Events, oldest first, and the place in the trail of all from which to go on."""

    events: list[Event]
    place: str


class Trail:
    """Writes and reads events."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._noted, self._own = list[Event](), list[Event]()
        self._listeners: list[Callable[[Event], None]] = []

    def on_event(self, listener: Callable[[Event], None]) -> None:
        """Have ``listener`` called with every event that this daemon notes or writes."""
        self._listeners.append(listener)

    def note(self, event: Event, *, known: bool = True) -> None:
        """Keep an event for the trail of all until the next ``flush``. ``known``: the account's own has it already."""
        if len(self._noted) < WAITING:
            self._noted.append(event)
            self._own += [] if known else [event]
        self._tell(event)

    async def flush(self) -> None:
        """Write what was noted. Never raises because of the store."""
        noted, self._noted, own, self._own = self._noted, [], self._own, []
        try:
            for event in own:
                await self._add_own(event)
            for start in range(0, len(noted), _AT_ONCE):
                await self._add(*noted[start : start + _AT_ONCE])
        except StoreError:
            return

    async def write(self, event: Event) -> None:
        """Write what somebody did, into both trails. Raises StoreError."""
        self._tell(event)
        if event.account:
            await self._add_own(event)
        await self._add(event)

    async def of(self, account: str, count: int) -> Page:
        """Return the last events of an account. Raises StoreError."""
        raw = await self._store.command("LRANGE", keys.events(keys.tag(account)), 0, count - 1)
        return Page([decode(event, account) for event in reversed(raw)], await self._end())

    async def latest(self, count: int) -> Page:
        """Return the last events of all. Raises StoreError."""
        found = await self._store.command("XREVRANGE", _ALL, "+", "-", "COUNT", count)
        return _page(found[::-1], START)

    async def after(self, place: str, count: int) -> Page:
        """Return the events of all that came after a place. Raises StoreError."""
        return _page(await self._store.command("XRANGE", _ALL, f"({place}", "+", "COUNT", count), place)

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)

    async def _end(self) -> str:
        found = await self._store.command("XREVRANGE", _ALL, "+", "-", "COUNT", 1)
        return _page(found, START).place

    async def _add_own(self, event: Event) -> None:
        key = keys.events(keys.tag(event.account))
        await self._store.command("LPUSH", key, encode(event))
        await self._store.command("LTRIM", key, 0, KEPT - 1)
        await self._store.command("PEXPIRE", key, _MONTH)

    async def _add(self, *events: Event) -> None:
        command, bound = self._store.command, ("MAXLEN", "~", KEPT_OF_ALL)
        await asyncio.gather(*(command("XADD", _ALL, *bound, "*", "event", encode(event)) for event in events))
        await self._store.command("PEXPIRE", _ALL, _MONTH)


def _page(found: Sequence[tuple[bytes, Sequence[bytes]]], place: str) -> Page:
    events = [decode(fields[1], "") for _, fields in found]
    return Page(events, found[-1][0].decode("ascii") if found else place)
