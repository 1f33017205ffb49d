"""What somebody was caught at, counted off the answer's path: strikes, mail to spam traps, former suspensions.

    policyd:1:{<account>}:strikes:<limit>:<name>     sorted set: references of episodes; score = when, ms
    policyd:1:{<account>}:traps:<name>               sorted set: the traps, or messages to them
    policyd:1:{<account>}:sentences:<name>           sorted set: references of suspensions for any of it

``name`` is the one under which the subject is suspended. A member is counted once, however often
it is noted. Each key expires with what it counts.
"""

from typing import NamedTuple

from policyd.store import keys
from policyd.store.redis import RedisStore

_COUNT = b"""
redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2] - ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return redis.call('ZCARD', KEYS[1])
"""


class Tally(NamedTuple):
    """Of whom is counted what: ``kind`` is strikes, traps or sentences; of strikes, ``limit`` is theirs."""

    kind: str
    account: str
    name: str
    limit: str = ""

    @property
    def key(self) -> bytes:
        """The key of the store."""
        what = f"{self.limit}:{self.name}" if self.limit else self.name
        return b"%s%s:%s" % (keys.tag(self.account), self.kind.encode(), keys.short(what))


class Offences:
    """Counts offences in a Redis."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def count(self, tally: Tally, member: str, now: int, within: int) -> int:
        """Note one offence; return how many there were within so many ms. Raises StoreError."""
        return int(await self._store.command("EVAL", _COUNT, 1, tally.key, keys.short(member), now, within))

    async def forgive(self, tally: Tally) -> None:
        """Forget a tally: its subject was suspended for it. Raises StoreError."""
        await self._store.command("DEL", tally.key)
