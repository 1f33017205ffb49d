"""The script as Python sees it: a call becomes keys and arguments, a reply becomes an Outcome.

The Lua files are joined once, when the store is made, so that there is one text and one SHA.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha1
from importlib.resources import files
from struct import Struct
from typing import cast

from policyd.model import Charge, CounterType, Episode, Member, Outcome, Suspension, Usage
from policyd.store import keys
from policyd.store.base import Call, Op

LATE = 3
_ADMITTED, _UNKNOWN, _SUSPENDED, _REPEATED = 1, 2, 4, 10
_OBSERVED, _ONCE, _SKIPPED = 1, 2, 4
_AT_SLOT = 2
_HEAD = Struct("<BQQQQQB").pack
_CHARGE = Struct("<BBQQQQ").pack
_MEMBER = Struct("<HHQH").pack
_LENGTH = Struct("<H").pack
_OPS = {Op.CHARGE: 1, Op.SETTLE: 2, Op.GIVE_BACK: 3, Op.PEEK: 4}
_TYPES = {counter: number for number, counter in enumerate(CounterType, 1)}
"""Numbers of the counter types; they stand in message records."""

_OF_MEMBERS = frozenset({CounterType.SET, CounterType.DISTINCT})
"""The counter types that are made of members."""


class Script:
    """The joined text and the SHA-1 by which Redis knows it."""

    def __init__(self) -> None:
        folder = files("policyd.store") / "lua"

        def part(name: str) -> str:
            return (folder / f"{name}.lua").read_text("ascii")

        parts = [f"local {counter.name} = {number}" for counter, number in _TYPES.items()]
        parts += [part("call"), part("slots"), part("plain"), "local names, types = {}, {}"]
        # What a call does not use is not made for it: a counter type is a function that makes it.
        for counter, number in _TYPES.items():
            shared = part("members") if counter in _OF_MEMBERS else ""
            parts.append(f"names[{number}] = '{counter}'")
            parts.append(f"types[{number}] = function()\n{shared}{part(counter)}end")
        parts += [part("main"), part("record")]
        parts.append(f"if op == CHARGE or op == PEEK then\n{part('charge')}end")
        parts.append(part("settle"))
        self.text = "\n".join(parts).encode("ascii")
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode("ascii")


def encode(call: Call, now: int, not_after: int, seed: bytes) -> tuple[bytes, ...]:
    """Return what stands behind ``EVALSHA sha``: the number of keys, the keys, the arguments.

    ``now`` and ``not_after`` are in ms of the store's own time; 0 leaves them to the store.
    """
    op, account, record, charges, suspensions = call
    tagged = keys.tag(account)
    # Who counts members has another one in each call.
    words = _words.__wrapped__ if any(one.member for one in charges) else _words
    count, names, argv = words(account, charges, suspensions)
    if record is None:
        head = _HEAD(_OPS[op], now, not_after, 0, 0, 0, len(suspensions))
        return (count, keys.message(tagged, "", ""), *names, head, seed, b"", *argv)
    host, instance, fingerprint, keep, uncharged, recipients = record
    head = _HEAD(_OPS[op], now, not_after, keep, recipients, uncharged, len(suspensions))
    asked = keys.short(fingerprint) if instance else b""
    return (count, keys.message(tagged, host, instance), *names, head, seed, asked, *argv)


@lru_cache(maxsize=16_384)
def _words(
    account: str, charges: tuple[Charge, ...], suspensions: tuple[str, ...]
) -> tuple[bytes, tuple[bytes, ...], tuple[bytes, ...]]:
    """Return the number of keys, the keys and the arguments that are the same for most recipients of a sender."""
    tagged = keys.tag(account)
    names = tuple(keys.counter(tagged, charge.type, charge.limit, charge.subject) for charge in charges)
    numbers = [
        _CHARGE(_TYPES[one.type], _flags(one), one.cost, one.max, one.window, one.lock) + _member(one.member)
        for one in charges
    ]
    fields = [keys.suspension(name) for name in suspensions]
    fields += [keys.raised(charge.limit) for charge in charges]
    fields += [keys.lock(charge.limit, charge.subject) for charge in charges if charge.lock]
    stands = b"".join(_LENGTH(len(field)) + field for field in fields)
    return b"%d" % (2 + len(names)), (keys.state(tagged), *names), (stands, *numbers)


def _member(member: Member | None) -> bytes:
    if member is None:
        return b""
    known = 0 if member.known is None else member.known + 1
    return _MEMBER(member.over, member.slack, known, member.connection) + member.digest.encode("ascii")


def _flags(charge: Charge) -> int:
    return _OBSERVED * charge.observed + _ONCE * charge.once + _SKIPPED * charge.skipped


def decode(call: Call, reply: Sequence[int | bytes]) -> Outcome:
    """Return the Outcome of a reply to ``call``."""
    code = int(reply[0])
    if code == _SUSPENDED:
        return _suspended(call, reply)
    base = code % _REPEATED
    admitted = base in (_ADMITTED, _UNKNOWN)
    count = 0 if call.op is Op.GIVE_BACK else len(call.charges)
    end = 2 + 2 * count
    numbers = cast("list[int]", reply)
    usages = [Usage(numbers[at], numbers[at + 1], 0, None) for at in range(2, end, 2)]
    for at in range(end, len(reply), 4):
        number, fits_at, ref, started = reply[at : at + 4]
        text = ref.decode("ascii") if isinstance(ref, bytes) else ""
        episode = None if started == _AT_SLOT else Episode(text, bool(started) and code < _REPEATED)
        usages[int(number) - 1] = usages[int(number) - 1]._replace(fits_at=int(fits_at), episode=episode)
    return Outcome(admitted, code >= _REPEATED, numbers[1], tuple(usages), base == _UNKNOWN)


def _suspended(call: Call, reply: Sequence[int | bytes]) -> Outcome:
    _, now, number, until, ref = reply
    name = call.suspensions[int(number) - 1]
    suspension = Suspension(name, int(until), ref.decode("ascii") if isinstance(ref, bytes) else "")
    return Outcome(admitted=False, repeated=False, now=int(now), usages=(), suspended=suspension)
