"""The README's chapter "When things break", compared with what a daemon shows."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.support import logfmt
from tests.support.process import Process
from tests.support.wait import until

_ROOT = Path(__file__).parents[2]
_README = (_ROOT / "README.md").read_text("utf-8")
_CHAPTER = _README.partition("\n## When things break")[2].partition("\n## ")[0]
_ROWS = [re.split(r" *\|(?: |$)", line)[1:] for line in _CHAPTER.splitlines() if line.startswith("| ")]
_LINES = [cells[0].strip("`") for cells in _ROWS if cells[0].startswith("`level=")]
_CODE = re.compile(r"`([^`]+)`")
_OPEN = re.compile(
    r"\d+|HOST:PORT|unix:///[a-z/.]+|/(?:etc|var/lib)/[a-z/.]+|mymaster|\beval(?:sha)?\b|\b[A-Z][a-z]{2}\b(?= \d{4})"
)
"""What is another each time: numbers, places, files, a master, which script was refused first, the month of a date."""

_PLACE = re.compile(r"HOST:PORT|unix:|/")

_RULES = yaml.safe_load((_ROOT / "config" / "prometheus" / "policyd.rules.yml").read_text("utf-8"))
_ALERTS: dict[str, str] = {rule["alert"]: rule["expr"] for group in _RULES["groups"] for rule in group["rules"]}
_RULE = re.compile(r"(?P<increase>increase\()?(?P<name>policyd_\w+)[^ ]* (?P<is>==|>=|>) (?P<bound>[0-9.]+)")

DECIDED = "policyd_decision_seconds"


def _row(what: str) -> list[str]:
    """Return what is seen of a fault, in the words of its row: alerts, metrics, and pieces of log lines.

    Commands that show more are left out.
    """
    (seen,) = [cells[2] for cells in _ROWS if cells[0] == what]
    return [piece for piece in _CODE.findall(seen) if not piece.startswith("policyd ")]


def _pattern(text: str) -> re.Pattern[str]:
    parts = zip(_OPEN.split(text), [*_OPEN.findall(text), ""], strict=True)
    return re.compile("".join(re.escape(fixed) + _free(free) for fixed, free in parts))


def _free(text: str) -> str:
    """Return the pattern of what may stand in place of a text."""
    return (r"[^ ;)]+" if _PLACE.match(text) else r"\w+") if text else ""


class Page(NamedTuple):
    """A page of metrics; sums and highest values are over all labels."""

    text: str

    def values(self, name: str, label: str = "") -> list[float]:
        """Return the samples of a name that have a label."""
        found = (line for line in self.text.splitlines() if re.match(rf"{name}[{{ ]", line) and label in line)
        return [float(line.rsplit(" ", 1)[1]) for line in found]

    def highest(self, name: str) -> float:
        """Return the highest sample of a name."""
        return max(self.values(name), default=-1)

    def more(self, name: str, before: "Page", label: str = "") -> float:
        """Return by how much the samples of a name have grown."""
        return sum(self.values(name, label)) - sum(before.values(name, label))


def _fires(alert: str, now: Page, before: Page) -> bool:
    """Return whether an alert is due if it goes on like that. Those whose rules are no comparison are named."""
    if alert == "PolicydSlow":
        return now.more(f"{DECIDED}_bucket", before, 'le="0.1"') < 0.99 * now.more(f"{DECIDED}_count", before)
    if alert == "PolicydSuspension":
        return now.more("policyd_suspended_accounts", before) > 0
    if alert == "PolicydDelaysNearTheirBound":
        return now.highest("policyd_delayed_answers") >= 0.8 * now.highest("policyd_delayed_answers_max")
    rule = _RULE.search(_ALERTS[alert])
    assert rule, alert
    name, bound = rule["name"], float(rule["bound"])
    value = now.more(name, before) if rule["increase"] else now.highest(name)
    return {"==": value == bound, ">=": value >= bound, ">": value > bound}[rule["is"]]


class Seen:
    """What a daemon shows from now on, or ``since`` a place in its log; ``meanwhile`` is done until it does."""

    def __init__(
        self, daemon: Process, meanwhile: Callable[[], object] = lambda: None, *, since: int | None = None
    ) -> None:
        self._daemon, self._meanwhile = daemon, meanwhile
        self._since = len(daemon.log) if since is None else since
        self._before = self._page()

    @property
    def log(self) -> str:
        """What was logged since."""
        return self._daemon.log[self._since :]

    def row(self, what: str, *, without: str = "") -> None:
        """Wait for all that the README's row of a fault names, ``without`` one piece of it."""
        pieces = _row(what)
        assert not without or without in pieces
        for piece in (one for one in pieces if one != without):
            self._until(partial(self._shown, piece), f"{what}: {piece}")

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

    def _shown(self, piece: str) -> object:
        if piece in _ALERTS:
            return _fires(piece, self._page(), self._before)
        if piece.startswith("policyd_"):
            return piece in self._page().text
        return _pattern(piece).search(self.log)

    def _page(self) -> Page:
        return Page(self._daemon.page("/metrics")[1])
