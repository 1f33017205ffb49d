"""The README's chapter "When things break", compared with what a daemon shows."""

import re
from collections.abc import Callable
from pathlib import Path

from tests.support import logfmt
from tests.support.process import Process
from tests.support.wait import until

_README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
_CHAPTER = _README.partition("### When things break")[2].partition("\n### ")[0]
_ROWS = [line.strip("| ").split(" | ") for line in _CHAPTER.splitlines() if line.startswith("| ")]
_LINES = [cells[0].strip("`") for cells in _ROWS if cells[0].startswith("`level=")]
_CODE = re.compile(r"`([^`]+)`")
_OPEN = re.compile(r"\d+|HOST:PORT|\b[A-Z][a-z]{2}\b(?= \d{4})")
"""What is another each time: numbers, a place, the month of a date."""

WITHOUT_STORE = "policyd_answers_without_store_total"
DECIDED = "policyd_decision_seconds"


def _row(what: str) -> list[str]:
    """Return what is seen of a fault, in the words of its row: alerts, metrics, and pieces of log lines."""
    (seen,) = [cells[2] for cells in _ROWS if cells[0] == what]
    return _CODE.findall(seen)


def _pattern(text: str) -> re.Pattern[str]:
    places = {"HOST:PORT": r"\S+"}
    parts = zip(_OPEN.split(text), [*_OPEN.findall(text), ""], strict=True)
    return re.compile("".join(re.escape(fixed) + (places.get(free, r"\w+") if free else "") for fixed, free in parts))


class Seen:
    """What a daemon shows from now on. ``meanwhile`` is done again and again until it does."""

    def __init__(self, daemon: Process, meanwhile: Callable[[], object] = lambda: None) -> None:
        self._daemon, self._meanwhile, self._since = daemon, meanwhile, len(daemon.log)
        self._before = {name: self._sum(name) for name in (WITHOUT_STORE, f"{DECIDED}_count", f"{DECIDED}_bucket")}
        self._alerts = {
            "PolicydStoreDown": lambda: daemon.metric("policyd_store_up") == 0,
            "PolicydAnswersWithoutStore": lambda: self._more(WITHOUT_STORE) > 0,
            "PolicydSlow": lambda: self._more(f"{DECIDED}_bucket") < 0.99 * self._more(f"{DECIDED}_count"),
        }

    @property
    def log(self) -> str:
        """What was logged since."""
        return self._daemon.log[self._since :]

    def row(self, what: str, *, without: str = "") -> None:
        """Wait for all that the README's row of a fault names, ``without`` one piece of it."""
        pieces = _row(what)
        assert not without or without in pieces
        for piece in (one for one in pieces if one != without):
            self._until(self._alerts.get(piece) or self._shown(piece), f"{what}: {piece}")

    def line(self, begin: str) -> None:
        """Wait for the one line of the README whose message begins so."""
        (written,) = [line for line in _LINES if f'msg="{begin}' in line]
        expected = {name: _pattern(value) for name, value in logfmt.parse(written).items()}

        def said() -> bool:
            lines = [logfmt.parse(line) for line in self.log.splitlines()]
            return any(all(expected[name].fullmatch(line.get(name, "")) for name in expected) for line in lines)

        self._until(said, written)

    def _until(self, condition: Callable[[], object], what: str) -> None:
        def met() -> object:
            self._meanwhile()
            return condition()

        until(met, what)

    def _shown(self, piece: str) -> Callable[[], object]:
        if piece.startswith("policyd_"):
            return lambda: piece in self._daemon.page("/metrics")[1]
        return lambda: _pattern(piece).search(self.log)

    def _more(self, name: str) -> float:
        return self._sum(name) - self._before[name]

    def _sum(self, name: str) -> float:
        """Return a counter over all its labels; of buckets that of 0.1 s."""
        lines = [line for line in self._daemon.page("/metrics")[1].splitlines() if line.startswith(name)]
        return sum(float(line.split()[-1]) for line in lines if "le=" not in line or 'le="0.1"' in line)
