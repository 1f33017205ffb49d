"""What the counters of rates hold, by time: reads what ring.lua and log.lua store, and writes nothing.

ring    width, newest slot, total, units in the newest slot; then 60 cells: numbers of 6 bytes
log     newest time, total: 6 bytes each; then entries of 4 bytes of time and 1 of units
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from policyd.model import CounterType

_WORD, _PAST = 6, 60
_RING_HEAD, _LOG_HEAD, _ENTRY = 4 * _WORD, 2 * _WORD, 5
_TURN = 1 << 32


class Cell(NamedTuple):
    """Units that were counted from ``at`` on, in ms since the epoch, and until when they count."""

    at: int
    ends: int
    units: int


def history(kind: CounterType, raw: bytes | None, now: int, window: int, parts: int) -> tuple[int, ...]:
    """Return the units that a counter holds at ``now``, in so many equal parts of the window before it."""
    found = [0] * parts
    for cell in _cells(kind, raw or b"", window):
        if now < cell.ends:
            part = (cell.at - (now - window)) * parts // window
            found[min(max(part, 0), parts - 1)] += cell.units
    return tuple(found)


def _cells(kind: CounterType, raw: bytes, window: int) -> Iterator[Cell]:
    if kind is CounterType.RING and len(raw) >= _RING_HEAD:
        yield from _ring(_words(raw))
    elif kind is CounterType.LOG and len(raw) >= _LOG_HEAD:
        yield from _log(raw, window)


def _ring(words: Sequence[int]) -> Iterator[Cell]:
    width, newest, _, current, *cells = words
    for slot in range(newest - _PAST, newest):
        yield Cell(slot * width, (slot + _PAST + 1) * width, cells[slot % _PAST])
    yield Cell(newest * width, (newest + _PAST + 1) * width, current)


def _log(raw: bytes, window: int) -> Iterator[Cell]:
    newest = int.from_bytes(raw[:_WORD], "little")
    for place in range(_LOG_HEAD, len(raw) - _ENTRY + 1, _ENTRY):
        low = int.from_bytes(raw[place : place + 4], "little")
        at = newest - (newest - low) % _TURN
        yield Cell(at, at + window, raw[place + 4])


def _words(raw: bytes) -> list[int]:
    return [int.from_bytes(raw[place : place + _WORD], "little") for place in range(0, len(raw), _WORD)]
