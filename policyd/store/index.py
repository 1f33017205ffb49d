"""The index: what people look up, written off the answer's path.

It never decides and can be rebuilt; when the store is away its writes are dropped.

    policyd:1:index:fullest       sorted set: who uses most of a limit; score = used / max
    policyd:1:index:observed      sorted set: who would have been refused; score = when, ms
    policyd:1:index:ref:<ref>     the story of a reference, JSON, for 30 days
"""

import heapq
import json
from collections.abc import Mapping
from typing import NamedTuple

from policyd.errors import StoreError
from policyd.store.keys import PREFIX
from policyd.store.redis import RedisStore

_FULLEST = PREFIX + b"index:fullest"
_OBSERVED = PREFIX + b"index:observed"
_REF = PREFIX + b"index:ref:"
_DAY = 86_400_000
_KEPT, _AT_ONCE, _WAITING = 500, 100, 50_000


class Entry(NamedTuple):
    """One counter that people may want to see."""

    account: str
    limit: str
    subject: str


class Index:
    """Collects what was seen and writes it when ``flush`` is called; loses it when that fails."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._used: dict[Entry, float] = {}
        self._observed: dict[Entry, int] = {}
        self._stories: dict[str, str] = {}

    def used(self, entry: Entry, ratio: float) -> None:
        """Note how full a counter is."""
        if len(self._used) < _WAITING:
            self._used[entry] = ratio

    def observed(self, entry: Entry, now: int) -> None:
        """Note that a limit in mode observe would have refused something at ``now``."""
        if len(self._observed) < _WAITING:
            self._observed[entry] = now

    def episode(self, ref: str, story: Mapping[str, str | int]) -> None:
        """Note what a new reference stands for."""
        if len(self._stories) < _WAITING:
            self._stories[ref] = json.dumps(story, ensure_ascii=True)

    async def flush(self) -> None:
        """Write what was noted since the last time. Never raises because of the store."""
        used, self._used = self._used, {}
        observed, self._observed = self._observed, {}
        stories, self._stories = self._stories, {}
        try:
            await self._put(_FULLEST, dict(heapq.nlargest(_AT_ONCE, used.items(), key=lambda item: item[1])))
            await self._put(_OBSERVED, observed)
            for ref, story in stories.items():
                await self._store.command("SET", _REF + ref.encode(), story, "PX", 30 * _DAY)
        except StoreError:
            return

    async def fullest(self, count: int) -> list[Entry]:
        """Return the counters that were fullest when last seen. Raises StoreError."""
        members = await self._store.command("ZREVRANGE", _FULLEST, 0, count - 1)
        return [_entry(member) for member in members]

    async def would_refuse(self, since: int) -> list[tuple[Entry, int]]:
        """Return who would have been refused since then, and when last. Raises StoreError."""
        found = await self._store.command("ZREVRANGEBYSCORE", _OBSERVED, "+inf", since, "WITHSCORES")
        return [(_entry(member), int(float(score))) for member, score in zip(found[::2], found[1::2], strict=True)]

    async def forget(self, entries: list[Entry]) -> None:
        """Drop counters that turned out to be empty. Raises StoreError."""
        if entries:
            await self._store.command("ZREM", _FULLEST, *(_member(entry) for entry in entries))

    async def _put(self, key: bytes, scores: Mapping[Entry, float]) -> None:
        if not scores:
            return
        pairs = [part for entry, score in scores.items() for part in (repr(score), _member(entry))]
        await self._store.command("ZADD", key, *pairs)
        await self._store.command("ZREMRANGEBYRANK", key, 0, -_KEPT - 1)
        await self._store.command("PEXPIRE", key, 30 * _DAY)


def _member(entry: Entry) -> bytes:
    return "\n".join(entry).encode("utf-8", "surrogateescape")


def _entry(member: bytes) -> Entry:
    account, limit, subject = member.decode("utf-8", "surrogateescape").split("\n", 2)
    return Entry(account, limit, subject)
