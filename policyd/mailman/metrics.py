"""What Prometheus sees of the rosters."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric


class RosterMetrics:
    """The numbers of the last reading, in ``registry``; none before there was one, or while nothing is read."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._up: bool | None = None
        self._at: float | None = None
        self._lists = self._too_large = 0
        registry.register(self)

    def read(self, at: float, lists: int, too_large: int) -> None:
        """Note a reading at ``at`` (s since the epoch), and how many of its lists are too large for their plan."""
        self._up, self._at, self._lists, self._too_large = True, at, lists, too_large

    def failed(self) -> None:
        """Note that Mailman did not say what lists there are."""
        self._up = False

    def forget(self) -> None:
        """Show nothing: nothing is read any more."""
        self._up = self._at = None

    def describe(self) -> list[Metric]:
        """Return nothing: registering must not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield everything in Prometheus' terms."""
        if self._up is not None:
            yield _gauge("up", "Whether Mailman said at the last try what lists there are.", self._up)
        if self._at is not None:
            yield _gauge("read_timestamp_seconds", "When the rosters were read, in seconds since the epoch.", self._at)
            yield _gauge("lists", "Lists that have a roster.", self._lists)
            yield _gauge("lists_too_large", "Lists with more members than their plan allows.", self._too_large)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"policyd_roster_{name}", text, value=value)
