"""Quantities with units: durations in milliseconds, sizes in bytes, file modes.

Decimal size units are powers of 1000, those with an ``i`` powers of 1024 (IEC 80000-13).
"""

import re

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

LARGEST = 2**47 - 1
"""The largest maximum, 128 TiB: a counter's cells have 48 bits, and a settlement may go past the maximum."""

_DURATIONS = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_SIZES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "KiB": 2**10,
    "MB": 10**6,
    "MiB": 2**20,
    "GB": 10**9,
    "GiB": 2**30,
    "TB": 10**12,
    "TiB": 2**40,
}
_SHOWN_SIZES = ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "kB", "B")

DURATION_PATTERN = rf"^[0-9]+({'|'.join(_DURATIONS)})$"
SIZE_PATTERN = rf"^[0-9]+({'|'.join(_SIZES)})$"
MODE_PATTERN = r"^0[0-7]{3}$"

_QUANTITY = re.compile(r"([0-9]{1,16})([A-Za-z]+)\Z", re.ASCII)


def duration(text: str) -> int | None:
    """Return the milliseconds of "250ms", "30s", "5m", "1h" or "7d"; None when it is no duration."""
    return _quantity(text, _DURATIONS)


def size(text: str) -> int | None:
    """Return the bytes of "500MB", "500MiB" and the like; None when it is no size."""
    return _quantity(text, _SIZES)


def mode(text: str) -> int | None:
    """Return the file mode of four octal digits, "0660"; None when it is none."""
    return int(text, 8) if re.match(MODE_PATTERN, text, re.ASCII) and text[-1] != "\n" else None


def duration_text(milliseconds: int) -> str:
    """Return a duration as the configuration writes it, in the largest unit that keeps it whole."""
    unit = next(unit for unit in reversed(_DURATIONS) if milliseconds % _DURATIONS[unit] == 0)
    return f"{milliseconds // _DURATIONS[unit]}{unit}" if milliseconds else "0s"


def size_text(octets: int) -> str:
    """Return a size as the configuration writes it, in the largest unit that keeps it whole."""
    unit = next(unit for unit in _SHOWN_SIZES if octets % _SIZES[unit] == 0)
    return f"{octets // _SIZES[unit]}{unit}" if octets else "0B"


def _quantity(text: str, units: dict[str, int]) -> int | None:
    match = _QUANTITY.match(text)
    if match is None or match[2] not in units:
        return None
    return int(match[1]) * units[match[2]]
