"""The script as Python sees it: a call becomes keys and arguments, a reply becomes an Outcome.

The Lua files are joined once, when the store is made, so that there is one text and one SHA.
"""

from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files

from policyd.model import Charge, CounterType, Episode, Outcome, Usage
from policyd.store import keys
from policyd.store.base import Call, Op

LATE = 3
_ADMITTED, _UNKNOWN, _REPEATED = 1, 2, 10
_OBSERVED, _ONCE, _SKIPPED = 1, 2, 4
_NO_RECORD = (b"", b"0", b"0", b"0")


class Script:
    """The joined text and the SHA-1 by which Redis knows it."""

    def __init__(self) -> None:
        folder = files("policyd.store") / "lua"
        parts = ["local types = {}"]
        for counter in CounterType:
            source = (folder / f"{counter}.lua").read_text("ascii")
            parts.append(f"types['{counter}'] = (function()\n{source}\nend)()")
        parts.append((folder / "main.lua").read_text("ascii"))
        self.text = "\n".join(parts).encode("ascii")
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode("ascii")


def encode(call: Call, now: int, not_after: int, seed: bytes) -> tuple[bytes, ...]:
    """Return what stands behind ``EVALSHA sha``: the number of keys, the keys, the arguments.

    ``now`` and ``not_after`` are in ms of the store's own time; 0 leaves them to the store.
    """
    tagged = keys.tag(call.account)
    record = call.record
    if record is None:
        names, header = [keys.message(tagged, "", "")], _NO_RECORD
    else:
        names = [keys.message(tagged, record.host, record.instance)]
        fingerprint = keys.short(record.fingerprint) if record.instance else b""
        header = (fingerprint, b"%d" % record.keep, b"%d" % record.recipients, b"%d" % record.uncharged)
    argv: list[bytes] = [call.op.value.encode(), b"%d" % now, b"%d" % not_after, seed, *header]
    for charge in call.charges:
        names.append(keys.counter(tagged, charge.type, charge.limit, charge.subject))
        argv += (charge.type.encode(), b"%d" % charge.cost, b"%d" % charge.max, b"%d" % charge.window, _flags(charge))
    return (b"%d" % len(names), *names, *argv)


def _flags(charge: Charge) -> bytes:
    return b"%d" % (_OBSERVED * charge.observed + _ONCE * charge.once + _SKIPPED * charge.skipped)


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
