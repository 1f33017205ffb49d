"""What Prometheus sees of the DNS watch."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from policyd.dns.blocklist import BlocklistReport, ListState
from policyd.dns.domain import Check, State

Counts = Counter[tuple[Check, State]]


class DnsMetrics:
    """The numbers of the last whole round, in ``registry``; none before the first has ended."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._domains: Counts = Counter()
        self._lists: list[BlocklistReport] = []
        self._at: float | None = None
        registry.register(self)

    def looked(self, domains: Counts, lists: list[BlocklistReport], at: float) -> None:
        """Note what a round found that ended at ``at`` (s since the epoch)."""
        self._domains, self._lists, self._at = domains, lists, at

    def forget(self) -> None:
        """Show nothing: nothing is watched any more."""
        self._domains, self._lists, self._at = Counter(), [], None

    def describe(self) -> list[Metric]:
        """Return nothing: registering must not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield everything in Prometheus' terms."""
        domains = GaugeMetricFamily(
            "policyd_dns_domains", "Hosted domains by what was found of them.", labels=["check", "state"]
        )
        for check in {check for check, _ in self._domains}:
            for state in State:
                domains.add_metric([check, state], self._domains[check, state])
        yield domains
        up = GaugeMetricFamily(
            "policyd_dnsbl_up", "Whether a blocklist answers for its test entries as it should.", labels=["list"]
        )
        listed = GaugeMetricFamily("policyd_dnsbl_listed", "Our sending addresses on a blocklist.", labels=["list"])
        for report in self._lists:
            up.add_metric([report.name], report.state is ListState.WORKS)
            listed.add_metric([report.name], len(report.listings))
        yield from (up, listed)
        checked = GaugeMetricFamily(
            "policyd_dns_checked_timestamp_seconds", "When the last round ended, in seconds since the epoch.", labels=[]
        )
        if self._at is not None:
            checked.add_metric([], self._at)
        yield checked
