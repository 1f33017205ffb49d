"""Who is suspended: put into the store, where the script heeds it, and mirrored here.

    policyd:1:{<account>}:state      what decides: a field for each suspension of the account
    policyd:1:index:suspended        a hash of all of them, from which each daemon keeps its mirror

The mirror is a second behind at most, and begins with what was known before (suspendedfile.py). It
answers while the store is away, and for what is not charged, about which the store is never asked.
"""

import json
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, Protocol

from policyd.address import normal_form
from policyd.errors import StoreError
from policyd.model import Suspension
from policyd.policy.suspendable import SubjectKind
from policyd.store import keys
from policyd.store.redis import RedisStore
from policyd.store.state import put

_ALL = keys.PREFIX + b"index:suspended"
_WEEK, _YEAR = 7 * 86_400_000, 365 * 86_400_000
_FOR_GOOD = 100 * _YEAR
"""How long the keys of a suspension live that ends when it is resumed."""

_LIST = f"{SubjectKind.LIST}:"
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

_DROP = b"return redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] and redis.call('HDEL', KEYS[1], ARGV[1]) or 0"


class Suspended(NamedTuple):
    """One suspension. ``name`` is its subject's within the account; ``until`` is 0 until it is resumed."""

    account: str
    name: str
    subject: str
    at: int
    until: int
    who: str
    why: str
    ref: str


class Mirror(Protocol):
    """Who knows the suspensions without the store."""

    def find(self, account: str, names: Iterable[str], now: int) -> Suspension | None:
        """Return the first suspension of an account that is in force under one of the names."""

    def door(self, recipient: str, delimiter: str, now: int) -> Suspension | None:
        """Return the suspension of the list whose posting address a recipient is."""


def new_ref() -> str:
    """Return a new reference."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(10))


class Suspensions:
    """All suspensions, and the mirror of them."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._mirror: dict[tuple[str, str], Suspended] = {}
        self._doors: dict[str, Suspended] = {}
        self._is_told = False
        self._then: Callable[[], Awaitable[None]] | None = None

    def on_change(self, then: Callable[[], Awaitable[None]]) -> None:
        """Have ``then`` done when this daemon has put or ended one, before whoever wanted it hears so."""
        self._then = then

    async def put(self, suspended: Suspended) -> None:
        """Put a suspension into force, in place of one of the same subject. Raises StoreError.

        The index first: what Redis runs although nobody waits any more is seen by everybody then.
        """
        lasts = suspended.until - suspended.at if suspended.until else _FOR_GOOD
        value, account = _value(suspended), suspended.account
        state, field = keys.state(keys.tag(account)), keys.suspension(suspended.name)
        await put(self._store, _ALL, _field(account, suspended.name), value, lasts + _WEEK)
        await put(self._store, state, field, value, lasts)
        await self._change({**self._mirror, (account, suspended.name): suspended})

    async def end(self, account: str, name: str) -> Suspended | None:
        """End a suspension and return it, None when there is none. Raises StoreError."""
        state, field = keys.state(keys.tag(account)), keys.suspension(name)
        value = await self._store.command("HGET", state, field)
        await self._store.command("HDEL", state, field)
        await self._store.command("HDEL", _ALL, _field(account, name))
        await self._change({key: one for key, one in self._mirror.items() if key != (account, name)})
        return _suspended(account, name, value) if value else None

    def recall(self, known: Iterable[Suspended]) -> None:
        """Begin with what was known before, until the store says what is in force."""
        self._adopt({(one.account, one.name): one for one in known})

    async def refresh(self, now: int) -> list[Suspended]:
        """Take over what all daemons have put and ended. Never raises because of the store.

        Returns what has ended by itself since the last time, on one of the daemons only.
        """
        over = list[Suspended]()
        try:
            found = await self._store.command("HGETALL", _ALL)
            every = {field: _decoded(field, value) for field, value in zip(found[::2], found[1::2], strict=True)}
            self._adopt({(one.account, one.name): one for one in every.values() if _holds(one, now)})
            self._is_told = True
            for field, one in every.items():
                if not _holds(one, now) and await self._store.command("EVAL", _DROP, 1, _ALL, field, _value(one)):
                    over.append(one)
        except StoreError:
            pass
        return over

    def find(self, account: str, names: Iterable[str], now: int) -> Suspension | None:
        """Return the first suspension of an account that is in force under one of the names, as the mirror knows it."""
        if not self._mirror:
            return None
        for name in names:
            suspended = self._mirror.get((account, name))
            if suspended is not None and _holds(suspended, now):
                return Suspension(name, suspended.until, suspended.ref)
        return None

    def door(self, recipient: str, delimiter: str, now: int) -> Suspension | None:
        """Return the suspension of the list whose posting address a recipient is, as the mirror knows it."""
        if not self._doors:
            return None
        suspended = self._doors.get(normal_form(recipient, delimiter))
        if suspended is None or not _holds(suspended, now):
            return None
        return Suspension(suspended.name, suspended.until, suspended.ref)

    def all(self, now: int) -> list[Suspended]:
        """Return those in force, the oldest first."""
        return sorted(
            (one for one in self._mirror.values() if _holds(one, now)), key=lambda one: (one.at, one.account, one.name)
        )

    def told(self, now: int) -> list[Suspended] | None:
        """Return those in force, the oldest first; None while they are only what was known before."""
        return self.all(now) if self._is_told else None

    def accounts(self) -> int:
        """Return how many accounts have something suspended."""
        return len({account for account, _ in self._mirror})

    async def _change(self, mirror: dict[tuple[str, str], Suspended]) -> None:
        self._adopt(mirror)
        self._is_told = True  # of this one; what the others have done comes with the next refresh
        if self._then is not None:
            await self._then()

    def _adopt(self, mirror: dict[tuple[str, str], Suspended]) -> None:
        self._mirror = mirror
        self._doors = {name.removeprefix(_LIST): one for (_, name), one in mirror.items() if name.startswith(_LIST)}


def _holds(suspended: Suspended, now: int) -> bool:
    return not suspended.until or suspended.until > now


def _value(suspended: Suspended) -> bytes:
    """Return what the script reads (end and reference), then what people want to know."""
    story = {"subject": suspended.subject, "at": suspended.at, "who": suspended.who, "why": suspended.why}
    return f"{suspended.until} {suspended.ref} {json.dumps(story)}".encode("ascii")


def _suspended(account: str, name: str, value: bytes) -> Suspended:
    until, ref, text = value.decode("ascii").split(" ", 2)
    story = json.loads(text)
    return Suspended(account, name, story["subject"], story["at"], int(until), story["who"], story["why"], ref)


def _decoded(field: bytes, value: bytes) -> Suspended:
    account, name = field.decode("utf-8", "surrogateescape").split("\n", 1)
    return _suspended(account, name, value)


def _field(account: str, name: str) -> bytes:
    return f"{account}\n{name}".encode("utf-8", "surrogateescape")
