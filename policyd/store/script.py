"""The script as Python sees it: a call becomes keys and arguments, a reply becomes an Outcome.

The Lua files are joined once, when the store is made, so that there is one text and one SHA.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha1
from importlib.resources import files
from struct import Struct
from typing import cast

from policyd.model import Charge, CounterType, Episode, Outcome, Usage
from policyd.store import keys
from policyd.store.base import Call, Op

LATE = 3
_ADMITTED, _UNKNOWN, _REPEATED = 1, 2, 10
_OBSERVED, _ONCE, _SKIPPED = 1, 2, 4
_FOUR = Struct("<QQQQ").pack
_OPS = {op: op.value.encode() for op in Op}


class Script:
    """The joined text and the SHA-1 by which Redis knows it."""

    def __init__(self) -> None:
        folder = files("policyd.store") / "lua"

        def part(name: str) -> str:
            return (folder / f"{name}.lua").read_text("ascii")

        # What a call does not use is not made for it: a counter type is a function that makes it.
        parts = ["local types = {}"]
        parts += [f"types['{counter}'] = function()\n{part(counter)}end" for counter in CounterType]
        parts.append(part("main"))
        parts.append(f"if op == 'charge' or op == 'peek' then\n{part('charge')}end")
        parts.append(part("settle"))
        self.text = "\n".join(parts).encode("ascii")
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode("ascii")


def encode(call: Call, now: int, not_after: int, seed: bytes) -> tuple[bytes, ...]:
    """Return what stands behind ``EVALSHA sha``: the number of keys, the keys, the arguments.

    ``now`` and ``not_after`` are in ms of the store's own time; 0 leaves them to the store.
    """
    tagged = keys.tag(call.account)
    record = call.record
    if record is None:
        names, about = [keys.message(tagged, "", "")], (b"", b"0", _FOUR(now, not_after, 0, 0))
    else:
        names = [keys.message(tagged, record.host, record.instance)]
        fingerprint = keys.short(record.fingerprint) if record.instance else b""
        about = (fingerprint, b"%d" % record.keep, _FOUR(now, not_after, record.recipients, record.uncharged))
    argv: list[bytes] = [_OPS[call.op], seed, *about]
    for charge in call.charges:
        name, counter_type, numbers = _words(call.account, charge)
        names.append(name)
        argv += (counter_type, numbers)
    return (b"%d" % len(names), *names, *argv)


@lru_cache(maxsize=16_384)
def _words(account: str, charge: Charge) -> tuple[bytes, bytes, bytes]:
    """Return the key, the type and the numbers of a charge, which are the same for most recipients of a sender."""
    key = keys.counter(keys.tag(account), charge.type, charge.limit, charge.subject)
    return key, charge.type.encode(), _FOUR(charge.cost, charge.max, charge.window, _flags(charge))


def _flags(charge: Charge) -> int:
    return _OBSERVED * charge.observed + _ONCE * charge.once + _SKIPPED * charge.skipped


def decode(call: Call, reply: Sequence[int | bytes]) -> Outcome:
    """Return the Outcome of a reply to ``call``."""
    code = int(reply[0])
    count = 0 if call.op is Op.GIVE_BACK else len(call.charges)
    end = 2 + 2 * count
    numbers = cast("list[int]", reply[:end])
    usages = [Usage(used, most, 0, None) for used, most in zip(numbers[2::2], numbers[3::2], strict=True)]
    for at in range(end, len(reply), 4):
        number, fits_at, ref, started = reply[at : at + 4]
        text = ref.decode("ascii") if isinstance(ref, bytes) else ""
        episode = Episode(text, bool(started) and code < _REPEATED)
        usages[int(number) - 1] = usages[int(number) - 1]._replace(fits_at=int(fits_at), episode=episode)
    base = code % _REPEATED
    return Outcome(base in (_ADMITTED, _UNKNOWN), code >= _REPEATED, numbers[1], tuple(usages), base == _UNKNOWN)
