"""The index: what people look up, written off the answer's path.

It never decides and can be rebuilt; when the store is away its writes are dropped.

    policyd:1:index:fullest       sorted set: who uses most of a limit; score = used / max when last seen
    policyd:1:index:fades         sorted set: the same members; score = when nothing of that is left, ms
    policyd:1:index:observed      sorted set: who would have been refused; score = when, ms
    policyd:1:index:ref:<ref>     the story of a reference, JSON, for 30 days

Nothing here grows without end: what was noted waits in bounded memory for the next second, the
sets keep so many members, and every key expires. Each command has one key, as a cluster needs it.
"""

import asyncio
import heapq
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from policyd.errors import StoreError
from policyd.store.keys import PREFIX
from policyd.store.redis import RedisStore

_FULLEST = PREFIX + b"index:fullest"
_FADES = PREFIX + b"index:fades"
_OBSERVED = PREFIX + b"index:observed"
_REF = PREFIX + b"index:ref:"
_MONTH = 30 * 86_400_000

KEPT = 500
"""Members of each sorted set."""

WAITING = 10_000
"""What may wait for the next ``flush``, of each kind but counters; more is dropped."""

_BATCH = 100
"""Members in one command and commands in one go, so that no counter waits long behind them."""

_CROWD = 5 * _BATCH
"""So many counters are noted before all but the fullest are forgotten: looking for those takes no answer's time."""


class Entry(NamedTuple):
    """One counter that people may want to see."""

    account: str
    limit: str
    subject: str


class Index:
    """Collects what was seen and writes it when ``flush`` is called; loses it when that fails."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._used: dict[Entry, tuple[float, int]] = {}
        self._observed: dict[Entry, int] = {}
        self._stories: dict[str, str] = {}
        self._now = 0

    def used(self, entry: Entry, ratio: float, now: int, window: int) -> None:
        """Note how full a counter of ``window`` ms is at ``now``."""
        self._now = max(self._now, now)
        self._used[entry] = (ratio, now + window)
        if len(self._used) >= _CROWD:
            self._used = self._fullest_used()

    def observed(self, entry: Entry, now: int) -> None:
        """Note that a limit in mode observe would have refused something at ``now``."""
        if len(self._observed) < WAITING:
            self._observed[entry] = now

    def episode(self, ref: str, story: Mapping[str, str | int | float]) -> None:
        """Note what a new reference stands for."""
        if len(self._stories) < WAITING:
            self._stories[ref] = json.dumps(story, ensure_ascii=True)

    async def flush(self) -> None:
        """Write what was noted since the last time. Never raises because of the store."""
        used, self._used = self._fullest_used(), {}
        observed, self._observed = self._observed, {}
        stories, self._stories = self._stories, {}
        try:
            if used:
                await self._put_used(used)
            if observed:
                latest = heapq.nlargest(KEPT, observed.items(), key=lambda item: item[1])
                await self._add(_OBSERVED, dict(latest))
                await self._store.command("ZREMRANGEBYRANK", _OBSERVED, 0, -KEPT - 1)
            for part in _parts(stories, _BATCH):
                kept = (self._store.command("SET", _REF + ref.encode(), part[ref], "PX", _MONTH) for ref in part)
                await asyncio.gather(*kept)
        except StoreError:
            return

    async def story(self, ref: str) -> dict[str, Any] | None:
        """Return what a reference stands for, None when it is unknown or older than 30 days. Raises StoreError."""
        raw = await self._store.command("GET", _REF + ref.encode("ascii"))
        return json.loads(raw) if raw else None

    async def fullest(self, count: int = KEPT) -> list[Entry]:
        """Return the counters that were fullest when last seen, fullest first. Raises StoreError."""
        members = await self._store.command("ZREVRANGE", _FULLEST, 0, count - 1)
        return [_entry(member) for member in members]

    async def would_refuse(self, since: int) -> list[tuple[Entry, int]]:
        """Return who would have been refused since then, and when last. Raises StoreError."""
        found = await self._store.command("ZREVRANGEBYSCORE", _OBSERVED, "+inf", since, "WITHSCORES")
        return [(_entry(member), int(float(score))) for member, score in zip(found[::2], found[1::2], strict=True)]

    async def forget(self, entries: list[Entry]) -> None:
        """Drop counters that turned out to be empty. Raises StoreError."""
        await self._remove([_member(entry) for entry in entries])

    def _fullest_used(self) -> dict[Entry, tuple[float, int]]:
        return dict(heapq.nlargest(_BATCH, self._used.items(), key=lambda item: item[1]))

    async def _put_used(self, used: Mapping[Entry, tuple[float, int]]) -> None:
        await self._add(_FULLEST, {entry: ratio for entry, (ratio, _) in used.items()})
        await self._add(_FADES, {entry: until for entry, (_, until) in used.items()})
        # What faded must not keep out what is used now, however full it was.
        await self._remove(await self._store.command("ZRANGEBYSCORE", _FADES, "-inf", self._now, "LIMIT", 0, KEPT))
        await self._remove(await self._store.command("ZRANGE", _FULLEST, 0, -KEPT - 1))

    async def _remove(self, members: Sequence[bytes]) -> None:
        for start in range(0, len(members), _BATCH):
            part = members[start : start + _BATCH]
            await self._store.command("ZREM", _FULLEST, *part)
            await self._store.command("ZREM", _FADES, *part)

    async def _add(self, key: bytes, scores: Mapping[Entry, float]) -> None:
        for part in _parts(scores, _BATCH):
            pairs = [word for entry, score in part.items() for word in (repr(score), _member(entry))]
            await self._store.command("ZADD", key, *pairs)
        await self._store.command("PEXPIRE", key, _MONTH)


def _parts(whole: Mapping[Any, Any], size: int) -> Iterator[dict[Any, Any]]:
    items = iter(whole.items())
    while part := dict(islice(items, size)):
        yield part


def _member(entry: Entry) -> bytes:
    return "\n".join(entry).encode("utf-8", "surrogateescape")


def _entry(member: bytes) -> Entry:
    account, limit, subject = member.decode("utf-8", "surrogateescape").split("\n", 2)
    return Entry(account, limit, subject)
