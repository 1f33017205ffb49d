"""What Prometheus sees of policyd: counted in plain numbers, put into its format at a scrape.

Counting one decision must cost next to nothing, so the hot path only touches dicts, lists and ints;
prometheus_client's own objects, which lock and look up labels at each call, are made in ``collect``.
All labels come from closed sets (services, kinds of traffic, actions, names in the configuration),
except in ``policyd_account_usage_ratio``, which has the fullest only.
"""

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from policyd.event import Event, EventKind
from policyd.fullest import Fullest
from policyd.model import Action
from policyd.store.base import Op

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds in seconds: from a decision without the store to one that waited for its timeout."""

SHOWN = 20
"""How many accounts and limits the usage gauge shows."""

WHEN_DOWN = (Action.ACCEPT, Action.DEFER)
"""What ``store.when_down`` may say."""

SERVICES = ("postfix", "dovecot", "metrics", "admin")
"""What is listened for, as ``listen`` names it."""

_COUNTED_EVENTS = tuple(kind for kind in EventKind if kind is not EventKind.NEAR_LIMIT)
"""What stands in the trails; who is near a limit is told by mail, again and again."""

_HOUR = 3_600_000

Labels = tuple[str, ...]


class Metrics:
    """The numbers of one daemon, in ``registry`` under the prefix ``policyd_``."""

    def __init__(self, registry: CollectorRegistry, version: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._version = version
        self._requests: dict[Labels, int] = defaultdict(int)
        self._refusals: dict[Labels, int] = defaultdict(int)
        self._observed: dict[Labels, int] = defaultdict(int)
        self._decisions, self._store_answers = _Histogram(), _Histogram()
        # What may be alerted on is there from the start, at 0: a rate needs two samples.
        self._store_errors: dict[Labels, int] = defaultdict(int, {(op.value,): 0 for op in Op})
        self._without_store: dict[Labels, int] = defaultdict(int, dict.fromkeys([(a.value,) for a in WHEN_DOWN], 0))
        self._reloads: dict[Labels, int] = defaultdict(int, {("ok",): 0, ("failed",): 0})
        self._reload_failed = False
        self._given_back = self._repeats = self._settle_unknown = self._settle_lost = self._protocol_errors = 0
        self._trap_hits = 0
        self._events: dict[Labels, int] = defaultdict(int, {(kind.value,): 0 for kind in _COUNTED_EVENTS})
        self._store_up, self._loaded, self._stale = False, 0.0, 0
        self._breaker_open: Callable[[], bool] = bool
        self._unpaid: Callable[[], int] = int
        self._connections: dict[str, Callable[[], int]] = {}
        self._too_many: dict[Labels, int] = defaultdict(int, {(service,): 0 for service in SERVICES})
        self._delayed: Callable[[], int] = int
        self._delayed_max: Callable[[], int] = int
        self._refused_mailboxes: Callable[[], int] = int
        self._suspended: Callable[[], int] = int
        self._fullest = Fullest(clock)
        registry.register(self)

    # requests

    def decided(self, service: str, traffic: str, action: str, seconds: float) -> None:
        """Count an answer and how long it took."""
        self._requests[service, traffic, action] += 1
        self._decisions.observe(seconds)

    def refused(self, limit: str, plan: str, traffic: str) -> None:
        """Count a request that a limit refused."""
        self._refusals[limit, plan, traffic] += 1

    def observed(self, limit: str, plan: str, traffic: str) -> None:
        """Count a request that a limit would have refused if its mode were not observe."""
        self._observed[limit, plan, traffic] += 1

    def usage(  # noqa: PLR0917  # called for each charge: keywords cost a third more
        self, account: str, limit: str, used: int, most: int, window: int = _HOUR, subject: str = ""
    ) -> None:
        """Note how full a counter is. It counts as long as ``window`` (ms) after the last note of its subject."""
        self._fullest.note((account, limit, subject), used / most if most else 1.0, window / 1000)

    def happened(self, event: Event) -> None:
        """Count what this daemon puts into the trails of events."""
        self._events[(event.event,)] += 1

    def repeated(self) -> None:
        """Count a request that Postfix asked again and that was charged once."""
        self._repeats += 1

    def count_refused_mailboxes(self, count: Callable[[], int]) -> None:
        """Have ``count`` asked at each scrape for the most mailboxes that one client found refused in the last hour."""
        self._refused_mailboxes = count

    # messages

    def given_back(self) -> None:
        """Count a message that was given up and whose charges were undone."""
        self._given_back += 1

    def settle_unknown(self) -> None:
        """Count an END-OF-MESSAGE of which no message record is known."""
        self._settle_unknown += 1

    def settle_lost(self) -> None:
        """Count a kind of traffic that fell back to final charges."""
        self._settle_lost += 1

    def trapped(self) -> None:
        """Count a mail of an account to a spam trap."""
        self._trap_hits += 1

    # the store

    def store_answered(self, seconds: float) -> None:
        """Count an answer of the store and how long it took."""
        self._store_answers.observe(seconds)

    def store_failed(self, op: str) -> None:
        """Count an operation that the store gave no answer to."""
        self._store_errors[op,] += 1

    def store_up(self, up: bool) -> None:
        """Note whether the store answers."""
        self._store_up = up

    def watch_breaker(self, is_open: Callable[[], bool]) -> None:
        """Have ``is_open`` asked at each scrape for whether the store is not asked, since it was silent."""
        self._breaker_open = is_open

    def count_unpaid(self, count: Callable[[], int]) -> None:
        """Have ``count`` asked at each scrape for the charges that have to be paid back to the store."""
        self._unpaid = count

    @property
    def answers_without_store(self) -> int:
        """How many answers ``store.when_down`` gave."""
        return sum(self._without_store.values())

    @property
    def unpaid(self) -> int:
        """How many charges have to be paid back."""
        return self._unpaid()

    def answered_without_store(self, action: str) -> None:
        """Count an answer that ``store.when_down`` gave."""
        self._without_store[action,] += 1

    # the daemon

    def count_connections(self, service: str, count: Callable[[], int]) -> None:
        """Have ``count`` asked at each scrape for the open connections of a service."""
        self._connections[service] = count

    def too_many(self, service: str) -> None:
        """Count a connection that was closed because its service had too many."""
        self._too_many[service,] += 1

    def count_suspended(self, count: Callable[[], int]) -> None:
        """Have ``count`` asked at each scrape for the accounts that have something suspended."""
        self._suspended = count

    def count_delayed(self, count: Callable[[], int], most: Callable[[], int]) -> None:
        """Have ``count`` asked at each scrape for the answers that wait, and ``most`` for how many may."""
        self._delayed, self._delayed_max = count, most

    def protocol_error(self) -> None:
        """Count a connection that was closed because its peer broke the protocol."""
        self._protocol_errors += 1

    def reloaded(self, result: str) -> None:
        """Count a reload: "ok" or "failed"."""
        self._reloads[result,] += 1
        self._reload_failed = result == "failed"

    def config_loaded(self, timestamp: float, stale: int) -> None:
        """Note when (s since the epoch) a configuration came into force, with how many files of former text."""
        self._loaded, self._stale = timestamp, stale

    # prometheus_client

    def describe(self) -> list[Metric]:
        """Return nothing: registering must not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield everything in Prometheus' terms."""
        yield from self._of_requests()
        yield from self._of_the_store()
        yield from self._of_the_daemon()

    def _of_requests(self) -> Iterator[Metric]:
        by_limit = ("limit", "plan", "traffic")
        yield _counter("requests", "Answers given.", self._requests, ("service", "traffic", "action"))
        yield _counter("refusals", "Requests that a limit refused.", self._refusals, by_limit)
        yield _counter("observed_refusals", "Requests that mode observe let through.", self._observed, by_limit)
        yield _total("repeats", "Requests that were asked again and charged once.", self._repeats)
        yield self._decisions.family("decision_seconds", "Time from a request to its answer.")
        yield _total("given_back", "Messages given up whose charges were undone.", self._given_back)
        yield _total("settle_unknown", "Messages settled of which no record was known.", self._settle_unknown)
        yield _total("settle_lost", "Kinds of traffic that fell back to final charges.", self._settle_lost)
        most = "The most mailboxes that one client found refused in the last hour."
        yield _gauge("mailboxes_refused_to_one_client", most, self._refused_mailboxes())
        yield _counter("events", "What this daemon put into the trails of events.", self._events, ("event",))
        yield _total("trap_hits", "Mail of accounts to spam traps.", self._trap_hits)
        text = "Usage of the fullest accounts against their limits."
        ratio = GaugeMetricFamily("policyd_account_usage_ratio", text, labels=["account", "limit"])
        for value, account, limit in self._fullest.top(SHOWN):
            ratio.add_metric([_printable(account), limit], value)
        yield ratio
        yield _gauge("suspended_accounts", "Accounts of which something is suspended.", self._suspended())

    def _of_the_store(self) -> Iterator[Metric]:
        yield _gauge("store_up", "Whether the store answers.", self._store_up)
        silent = "Whether the store is not asked, since it gave no answer in time."
        yield _gauge("store_breaker_open", silent, self._breaker_open())
        owed = "Charges that were counted without the store and have to be paid back to it."
        yield _gauge("unpaid_charges", owed, self._unpaid())
        yield self._store_answers.family("store_seconds", "Time from a call of the store to its answer.")
        yield _counter("store_errors", "Calls that the store gave no answer to.", self._store_errors, ("op",))
        without = "Answers that store.when_down gave."
        yield _counter("answers_without_store", without, self._without_store, ("action",))

    def _of_the_daemon(self) -> Iterator[Metric]:
        connections = GaugeMetricFamily("policyd_connections", "Open connections.", labels=["service"])
        for service, count in self._connections.items():
            connections.add_metric([service], count())
        yield connections
        crowded = "Connections closed because there were too many."
        yield _counter("connections_too_many", crowded, self._too_many, ("service",))
        yield _gauge("delayed_answers", "Answers that wait for the slot of a pace.", self._delayed())
        yield _gauge("delayed_answers_max", "How many answers may wait at once.", self._delayed_max())
        yield _total("protocol_errors", "Connections closed for breaking the protocol.", self._protocol_errors)
        yield _counter("config_reloads", "Reloads of the configuration.", self._reloads, ("result",))
        failed = "Whether the last reload failed, so that an older configuration is in force."
        yield _gauge("config_reload_failed", failed, self._reload_failed)
        loaded = "When the configuration came into force, in seconds since the epoch."
        yield _gauge("config_loaded_timestamp_seconds", loaded, self._loaded)
        yield _gauge("config_stale_files", "Bad files whose last good text is in force.", self._stale)
        build = "The version that runs."
        yield InfoMetricFamily("policyd_build", build, {"version": self._version})


class _Histogram:
    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        self._counts, self._sum = [0] * (len(BUCKETS) + 1), 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(BUCKETS, seconds)] += 1
        self._sum += seconds

    def family(self, name: str, text: str) -> Metric:
        buckets, total = list[tuple[str, float]](), 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, total))
        return HistogramMetricFamily(f"policyd_{name}", text, buckets=buckets, sum_value=self._sum)


def _counter(name: str, text: str, counts: Mapping[Labels, int], labels: Labels) -> Metric:
    family = CounterMetricFamily(f"policyd_{name}", text, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family


def _total(name: str, text: str, count: int) -> Metric:
    return CounterMetricFamily(f"policyd_{name}", text, value=count)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"policyd_{name}", text, value)


def _printable(text: str) -> str:
    """Return a name in characters that UTF-8 can say, since bytes that are not UTF-8 are surrogates here."""
    return text.encode("utf-8", "backslashreplace").decode()
