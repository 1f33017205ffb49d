"""The script as Python sees it: a call becomes keys and arguments, a reply becomes an Outcome.

The Lua files are joined once, when the store is made, so that there is one text and one SHA.
"""

from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from struct import Struct

from policyd.model import Charge, CounterType, Episode, Outcome, Usage
from policyd.store import keys
from policyd.store.base import Call, Op

LATE = 3
_ADMITTED, _UNKNOWN, _REPEATED = 1, 2, 10
_OBSERVED, _ONCE, _SKIPPED = 1, 2, 4
_FOUR = Struct("<QQQQ").pack


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
    argv: list[bytes] = [call.op.value.encode(), seed, *about]
    for charge in call.charges:
        names.append(keys.counter(tagged, charge.type, charge.limit, charge.subject))
        argv += (charge.type.encode(), _FOUR(charge.cost, charge.max, charge.window, _flags(charge)))
    return (b"%d" % len(names), *names, *argv)


def _flags(charge: Charge) -> int:
    return _OBSERVED * charge.observed + _ONCE * charge.once + _SKIPPED * charge.skipped


def decode(call: Call, reply: Sequence[int | bytes]) -> Outcome:
    """Return the Outcome of a reply to ``call``."""
    code = int(reply[0])
    base, count = code % _REPEATED, len(call.charges)
    if call.op is Op.GIVE_BACK:
        count = 0
    unfit: dict[int, tuple[int, Episode]] = {}
    for at in range(2 + 2 * count, len(reply), 4):
        number, fits_at, ref, started = reply[at : at + 4]
        text = ref.decode("ascii") if isinstance(ref, bytes) else ""
        unfit[int(number) - 1] = (int(fits_at), Episode(text, bool(started) and code < _REPEATED))
    usages = []
    for index in range(count):
        fits_at, episode = unfit.get(index, (0, None))
        usages.append(Usage(int(reply[2 + 2 * index]), int(reply[3 + 2 * index]), fits_at, episode))
    return Outcome(base in (_ADMITTED, _UNKNOWN), code >= _REPEATED, int(reply[1]), tuple(usages), base == _UNKNOWN)
