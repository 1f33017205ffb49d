"""The last successful login of each mailbox by each protocol that fetches mail, off the answer's path.

    policyd:1:{<domain>}:login:<protocol>:<mailbox>    when it was, ms; protocol is pop3 or imap
    policyd:1:{<domain>}:login:listed:<mailbox>        the day on which a list of users first named it
    policyd:1:index:watched                            sorted set: the days on which any login was seen

Days are numbers since the epoch, UTC. It decides about no login. What was noted waits in bounded
memory for the next ``flush``; a mailbox that logs in again and again is written once in ``EVERY``.
"""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypeVar

from policyd.errors import StoreError
from policyd.policy.idle import Seen
from policyd.store import keys
from policyd.store.redis import RedisStore

FETCHING = ("pop3", "imap")
"""The protocols by which mail is fetched; a login to send mail, or to filter it, fetches none."""

DAY = 86_400_000
EVERY = 3_600_000
"""A login is not written when one of the same mailbox and protocol was, less than so many ms before."""

KEPT = 400
"""How many days a login is remembered."""

WAITING = 10_000
"""Logins that may wait for the next ``flush``; more are dropped."""

REMEMBERED = 50_000
"""Mailboxes by protocol whose last writing is remembered here; of more, some are written more often."""

_WATCHED = keys.PREFIX + b"index:watched"
_LISTED = "listed"
_BATCH = 100
"""Commands in one go, so that no counter waits long behind them."""

_Login = tuple[str, str]
_T = TypeVar("_T")


class LastLogins:
    """Writes and reads last logins."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._waiting: dict[_Login, int] = {}
        self._written: dict[_Login, int] = {}
        self._days: set[int] = set()
        self._newest_day = 0

    def logged_in(self, mailbox: str, protocol: str, at: int) -> None:
        """Note a login that succeeded, at ``at`` in ms since the epoch."""
        if protocol not in FETCHING:
            return
        if at // DAY > self._newest_day:
            self._days.add(at // DAY)
        login = mailbox, protocol
        if at - self._written.get(login, -EVERY) >= EVERY and (len(self._waiting) < WAITING or login in self._waiting):
            self._waiting[login] = at

    async def flush(self) -> None:
        """Write what was noted; what the store does not take waits on. Never raises because of the store."""
        try:
            for day in sorted(self._days):
                await self._write_day(day)
            for part in _parts(list(self._waiting.items())):
                await asyncio.gather(*(self._write(login, at) for login, at in part))
        except StoreError:
            return

    async def seen(self, mailboxes: Sequence[str], today: int) -> list[Seen]:
        """Return what is known of mailboxes; one that no list has named before is first listed today.

        Raises StoreError.
        """
        found: list[Seen] = []
        for part in _parts(mailboxes):
            found += await asyncio.gather(*(self._seen(mailbox, today) for mailbox in part))
        return found

    async def watched(self) -> list[int]:
        """Return the days on which any login was seen, in order. Raises StoreError."""
        return [int(day) for day in await self._store.command("ZRANGE", _WATCHED, 0, -1)]

    async def _write(self, login: _Login, at: int) -> None:
        mailbox, protocol = login
        await self._store.command("SET", keys.login(mailbox, protocol), at, "PX", KEPT * DAY)
        if self._waiting.get(login) == at:
            del self._waiting[login]
        self._written.pop(login, None)
        self._written[login] = at
        if len(self._written) > REMEMBERED:
            del self._written[next(iter(self._written))]

    async def _write_day(self, day: int) -> None:
        await self._store.command("ZADD", _WATCHED, day, str(day))
        await self._store.command("ZREMRANGEBYSCORE", _WATCHED, "-inf", day - KEPT)
        await self._store.command("PEXPIRE", _WATCHED, KEPT * DAY)
        self._days.remove(day)
        self._newest_day = day

    async def _seen(self, mailbox: str, today: int) -> Seen:
        last = [keys.login(mailbox, protocol) for protocol in FETCHING]
        listed = keys.login(mailbox, _LISTED)
        pop3, imap = (int(at) // DAY if at else None for at in await self._store.command("MGET", *last))
        first = await self._store.command("GETEX", listed, "PX", KEPT * DAY)
        if first is None:
            await self._store.command("SET", listed, today, "PX", KEPT * DAY)
        return Seen(pop3, imap, int(first) if first is not None else today)


def _parts(whole: Sequence[_T]) -> Iterator[list[_T]]:
    items = iter(whole)
    while part := list(islice(items, _BATCH)):
        yield part
