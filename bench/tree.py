"""The processor time of programs and of all that they started, those included that have ended and were reaped."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class _Process(NamedTuple):
    parent: int
    ticks: int
    """User and system time, its own and that of the children whose end it has seen."""


def processor_ms(roots: Iterable[int]) -> float:
    """Return what these programs and their descendants have used since their start, in ms."""
    found = {int(entry.name): process for entry in Path("/proc").iterdir() if (process := _process(entry))}
    counted, more = set[int](), set(roots)
    while more:
        counted |= more
        more = {pid for pid, process in found.items() if process.parent in more} - counted
    ticks = sum(found[pid].ticks for pid in counted if pid in found)
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def _process(entry: Path) -> _Process | None:
    if not entry.name.isdecimal():
        return None
    try:
        words = (entry / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return None
    return _Process(int(words[1]), sum(map(int, words[11:15])))
