"""That the store does not count, for whoever looks at the status: since when, why, and what happens meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass

from policyd.conf.away import WhenDown
from policyd.metrics import Metrics
from policyd.policy.decide import moment


@dataclass(frozen=True, slots=True)
class Outage:
    """The store does not count. ``answers`` were given without it so far, ``unpaid`` charges it has to be told of.

    ``when_down`` is what ``store.when_down`` says: accept, defer or local.
    """

    since: str
    why: str
    when_down: str
    answers: int
    unpaid: int


class Outages:
    """Remembers since when the store does not count."""

    def __init__(self, now: Callable[[], int], metrics: Metrics) -> None:
        self._now, self._metrics = now, metrics
        self._since, self._answers_before = 0, 0

    def changed(self, up: bool) -> None:
        """Note whether the store counts."""
        if up:
            self._since = 0
        elif not self._since:
            self._since, self._answers_before = self._now(), self._metrics.answers_without_store

    def now(self, why: str, when_down: WhenDown) -> Outage | None:
        """Return the outage that goes on, None while the store counts."""
        if not self._since:
            return None
        answers = self._metrics.answers_without_store - self._answers_before
        return Outage(moment(self._since), why, when_down.value, answers, self._metrics.unpaid)
