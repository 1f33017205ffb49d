"""What Prometheus sees of notices."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from policyd.model import Word


class Way(Word):
    """How somebody is told."""

    MAIL = "mail"
    WEBHOOK = "webhook"


class NoticeMetrics:
    """How many notices arrived and how many did not, in ``registry``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._sent, self._failed = Counter[Way](), Counter[Way]()
        registry.register(self)

    def sent(self, way: Way) -> None:
        """Count a notice that was taken."""
        self._sent[way] += 1

    def failed(self, way: Way) -> None:
        """Count a notice that was given up."""
        self._failed[way] += 1

    def describe(self) -> list[Metric]:
        """Return nothing: registering must not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield everything in Prometheus' terms."""
        yield _family("sent", "Notices that were taken.", self._sent)
        yield _family("failed", "Notices that were given up.", self._failed)


def _family(name: str, text: str, counts: Counter[Way]) -> Metric:
    family = CounterMetricFamily(f"policyd_notices_{name}", text, labels=["way"])
    for way in Way:
        family.add_metric([way], counts[way])
    return family
