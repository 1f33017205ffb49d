"""Which lists have mailed: their posting addresses, which all daemons know without asking for each message.

    policyd:1:index:lists     sorted set: posting addresses; score = when one mailed last, ms

What verified list software mails is noted here and known at once on this daemon, on the others a
second later. Nothing grows without end: a list that mails no more is forgotten after a month.
"""

from collections.abc import Collection, Sequence

from policyd.errors import StoreError
from policyd.store import keys
from policyd.store.redis import RedisStore

_ALL = keys.PREFIX + b"index:lists"
_HOUR, _MONTH = 3_600_000, 31 * 86_400_000

KEPT, OF_A_DOMAIN = 50_000, 1_000
"""Lists that are known, in all and of one domain. In the store those that mailed longest ago are forgotten first."""

_PART = 500
_OVERLAP = 60_000
"""How far clocks of daemons may be apart, in ms, without one missing what another has noted."""


class SeenLists:
    """The lists that have mailed, in this daemon's memory."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._lists: dict[str, int] = {}
        self._domains: dict[str, set[str]] = {}
        self._noted: set[str] = set()
        self._read_to = 0

    def __contains__(self, posting: object) -> bool:
        return posting in self._lists

    def of(self, domain: str) -> Collection[str]:
        """Return the lists of a domain."""
        return self._domains.get(domain, ())

    def note(self, posting: str, now: int) -> None:
        """Note that a list mails; which is written once an hour."""
        if now - self._lists.get(posting, -_HOUR) >= _HOUR and self._know(posting, now):
            self._noted.add(posting)

    async def refresh(self, now: int) -> None:
        """Write what was noted, and learn what other daemons have. Never raises because of the store."""
        noted, self._noted = self._noted, set()
        try:
            await self._write(sorted(noted), now)
            since = max(self._read_to - _OVERLAP, now - _MONTH)
            found = await self._store.command("ZRANGEBYSCORE", _ALL, since, "+inf", "WITHSCORES")
        except StoreError:
            self._noted |= noted
            return
        for raw, score in zip(found[::2], found[1::2], strict=True):
            self._know(raw.decode("utf-8", "surrogateescape"), int(float(score)))
        if now - self._read_to > _HOUR:
            self._forget(now - _MONTH)
        self._read_to = now

    def _know(self, posting: str, at: int) -> bool:
        """Take a list for known; returns whether there is room."""
        if posting not in self._lists:
            lists = self._domains.setdefault(posting.rpartition("@")[2], set())
            if len(self._lists) >= KEPT or len(lists) >= OF_A_DOMAIN:
                return False
            lists.add(posting)
        self._lists[posting] = max(at, self._lists.get(posting, 0))
        return True

    def _forget(self, before: int) -> None:
        kept = {posting: at for posting, at in self._lists.items() if at >= before}
        self._lists, self._domains = {}, {}
        for posting, at in kept.items():
            self._know(posting, at)

    async def _write(self, noted: Sequence[str], now: int) -> None:
        for start in range(0, len(noted), _PART):
            words = [word for posting in noted[start : start + _PART] for word in (str(now), _raw(posting))]
            await self._store.command("ZADD", _ALL, "GT", *words)
        if noted:
            await self._store.command("ZREMRANGEBYRANK", _ALL, 0, -KEPT - 1)
            await self._store.command("PEXPIRE", _ALL, _MONTH)


def _raw(posting: str) -> bytes:
    return posting.encode("utf-8", "surrogateescape")
