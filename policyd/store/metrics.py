"""What Prometheus sees of the sentinels."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric


class SentinelMetrics:
    """How many sentinels are ``up`` at a scrape, in ``registry``; nothing where there are none to be asked."""

    def __init__(self, registry: CollectorRegistry, up: Callable[[], int | None]) -> None:
        self._up = up
        registry.register(self)

    def describe(self) -> list[Metric]:
        """Return nothing: registering must not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield it in Prometheus' terms."""
        if (up := self._up()) is not None:
            text = "Sentinels that named the master when they were asked last."
            yield GaugeMetricFamily("policyd_sentinels_up", text, value=up)
