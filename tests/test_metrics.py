"""What Prometheus sees: the names, the numbers, and a bound on what is remembered."""

import random
import subprocess
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from policyd.fullest import ROOM, Fullest
from policyd.metrics import BUCKETS, SHOWN, Metrics
from policyd.model import Action, TrafficKind
from policyd.store.base import Op
from tests.support.programs import require

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scene:
    """Metrics with a clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry, "1.2.3", lambda: self.now)

    def scrape(self) -> Samples:
        """Return every sample of a scrape."""
        text = generate_latest(self.registry).decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}

    def value(self, name: str, **labels: str) -> float | None:
        """Return one sample, None when there is none."""
        return self.scrape().get((f"policyd_{name}", frozenset(labels.items())))

    def fullest(self) -> dict[tuple[str, str], float]:
        """Return the usage gauge by account and limit."""
        found = {}
        for (name, labels), value in self.scrape().items():
            if name == "policyd_account_usage_ratio":
                named = dict(labels)
                found[named["account"], named["limit"]] = value
        return found


@pytest.fixture
def scene() -> Scene:
    """Return fresh metrics."""
    return Scene()


def everything(metrics: Metrics) -> None:
    """Count one of everything."""
    metrics.decided("postfix", TrafficKind.USER, Action.REJECT, 0.003)
    metrics.refused("domain-hourly", "shared", TrafficKind.USER)
    metrics.observed("list-share", "shared", TrafficKind.LIST)
    metrics.usage("example.org", "domain-hourly", 400, 400)
    metrics.repeated()
    metrics.given_back()
    metrics.settle_unknown()
    metrics.settle_lost()
    metrics.store_answered(0.0002)
    metrics.store_failed(Op.CHARGE)
    metrics.store_up(True)
    metrics.answered_without_store(Action.DEFER)
    metrics.count_connections("postfix", lambda: 7)
    metrics.protocol_error()
    metrics.reloaded("failed")
    metrics.config_loaded(1_800_000_000.5, 2)
    metrics.count_delayed(lambda: 3, lambda: 100)


def test_every_metric_of_the_design(scene: Scene) -> None:
    """One of everything shows under the names and labels that others build on."""
    everything(scene.metrics)
    by_limit = {"plan": "shared"}

    samples = scene.scrape()

    expected: list[tuple[str, float, dict[str, str]]] = [
        ("requests_total", 1.0, {"service": "postfix", "traffic": "user", "action": "reject"}),
        ("refusals_total", 1.0, {"limit": "domain-hourly", "traffic": "user", **by_limit}),
        ("observed_refusals_total", 1.0, {"limit": "list-share", "traffic": "list", **by_limit}),
        ("account_usage_ratio", 1.0, {"account": "example.org", "limit": "domain-hourly"}),
        ("repeats_total", 1.0, {}),
        ("given_back_total", 1.0, {}),
        ("settle_unknown_total", 1.0, {}),
        ("settle_lost_total", 1.0, {}),
        ("decision_seconds_count", 1.0, {}),
        ("decision_seconds_sum", 0.003, {}),
        ("store_seconds_count", 1.0, {}),
        ("store_errors_total", 1.0, {"op": "charge"}),
        ("store_up", 1.0, {}),
        ("answers_without_store_total", 1.0, {"action": "defer"}),
        ("connections", 7.0, {"service": "postfix"}),
        ("protocol_errors_total", 1.0, {}),
        ("config_reloads_total", 1.0, {"result": "failed"}),
        ("config_reload_failed", 1.0, {}),
        ("delayed_answers", 3.0, {}),
        ("delayed_answers_max", 100.0, {}),
        ("config_loaded_timestamp_seconds", 1_800_000_000.5, {}),
        ("config_stale_files", 2.0, {}),
        ("build_info", 1.0, {"version": "1.2.3"}),
    ]
    for name, value, labels in expected:
        assert samples[f"policyd_{name}", frozenset(labels.items())] == value, name


@pytest.mark.parametrize("fill", [everything, lambda _: None], ids=["one of everything", "fresh"])
def test_promtool_finds_nothing(scene: Scene, fill: Callable[[Metrics], None]) -> None:
    """Prometheus' own checker has no complaint about the output."""
    fill(scene.metrics)
    command = [require("promtool"), "check", "metrics"]

    checked = subprocess.run(command, input=generate_latest(scene.registry), capture_output=True, check=False)

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_what_is_alerted_on_starts_at_zero(scene: Scene) -> None:
    """Counters with few label values are there before they count, so that a rate sees their first step."""
    zeros = [scene.value("store_errors_total", op=op) for op in Op]
    zeros += [scene.value("answers_without_store_total", action=action) for action in ("accept", "defer")]
    zeros += [scene.value("config_reloads_total", result=result) for result in ("ok", "failed")]

    assert zeros == [0.0] * (len(Op) + 4)


def test_counts_add_up(scene: Scene) -> None:
    """Each combination of labels has a count of its own."""
    for action, times in ((Action.ACCEPT, 3), (Action.DEFER, 2)):
        for _ in range(times):
            scene.metrics.decided("postfix", TrafficKind.SCRIPT, action, 0.001)

    assert scene.value("requests_total", service="postfix", traffic="script", action="accept") == 3
    assert scene.value("requests_total", service="postfix", traffic="script", action="defer") == 2
    assert scene.value("decision_seconds_count") == 5


def test_histogram_counts_up_to_and_including_each_bound(scene: Scene) -> None:
    """A bucket holds what took at most its bound; the last one holds all."""
    for seconds in (0.0, BUCKETS[0], BUCKETS[0] * 1.01, BUCKETS[-1], BUCKETS[-1] + 1):
        scene.metrics.store_answered(seconds)
    bounds = [*map(str, BUCKETS), "+Inf"]

    counts = [scene.value("store_seconds_bucket", le=bound) for bound in bounds]

    assert counts == [2.0] + [3.0] * (len(BUCKETS) - 2) + [4.0, 5.0]


def test_connections_are_asked_for_at_each_scrape(scene: Scene) -> None:
    """The gauge of connections is as fresh as the scrape."""
    open_now = [1]
    scene.metrics.count_connections("postfix", lambda: open_now[0])
    scene.value("connections", service="postfix")
    open_now[0] = 5

    assert scene.value("connections", service="postfix") == 5


def test_store_that_goes_down_shows(scene: Scene) -> None:
    """The gauge follows the store both ways."""
    scene.metrics.store_up(True)
    scene.metrics.store_up(False)

    assert scene.value("store_up") == 0


def test_usage_shows_the_fullest_only(scene: Scene) -> None:
    """However many accounts there are, the gauge shows the fullest twenty."""
    for number in random.sample(range(500), 500):
        scene.metrics.usage(f"d{number}.example", "domain-hourly", number, 1000)

    assert scene.fullest() == {(f"d{n}.example", "domain-hourly"): n / 1000 for n in range(500 - SHOWN, 500)}


def test_usage_fades_with_its_window(scene: Scene) -> None:
    """An account that sends no more leaves the gauge when the limit's window has passed."""
    scene.metrics.usage("early.example", "domain-hourly", 9, 10, 60_000)
    scene.now += 59.9
    scene.metrics.usage("late.example", "domain-hourly", 1, 10, 60_000)
    before = scene.fullest()
    scene.now += 0.1

    assert before == {("early.example", "domain-hourly"): 0.9, ("late.example", "domain-hourly"): 0.1}
    assert scene.fullest() == {("late.example", "domain-hourly"): 0.1}


def test_usage_of_an_account_is_that_of_its_fullest_subject(scene: Scene) -> None:
    """Of a limit per user the account's fullest user shows, until he is fuller no more."""
    for used, user in ((5, "ann"), (8, "bob"), (2, "eve")):
        scene.metrics.usage("example.org", "user-hourly", used, 10, subject=user)
    before = scene.fullest()
    scene.metrics.usage("example.org", "user-hourly", 1, 10, subject="bob")

    assert before == {("example.org", "user-hourly"): 0.8}
    assert scene.fullest() == {("example.org", "user-hourly"): 0.5}


def test_limit_of_nothing_is_full(scene: Scene) -> None:
    """With max 0 nothing fits, so the limit shows as full."""
    scene.metrics.usage("example.org", "closed", 0, 0)

    assert scene.fullest() == {("example.org", "closed"): 1.0}


def test_undecodable_account_does_not_break_the_scrape(scene: Scene) -> None:
    """A name with bytes that are not UTF-8, or with quotes and newlines, is shown and parsed as one label."""
    scene.metrics.usage('user:\udcff"x"\n', "domain-hourly", 1, 2)

    assert scene.fullest() == {('user:\\udcff"x"\n', "domain-hourly"): 0.5}


def test_memory_for_the_fullest_is_bounded() -> None:
    """However many counters are noted, only so many are remembered, and the fullest are among them."""
    now = [0.0]
    fullest = Fullest(lambda: now[0])
    numbers = random.sample(range(20_000), 20_000)
    sizes = []
    for number in numbers:
        now[0] += 0.001
        fullest.note((f"d{number}", "hourly", ""), number / 20_000, 3600)
        sizes.append(len(fullest))

    assert max(sizes) <= ROOM
    assert fullest.top(3) == [(n / 20_000, f"d{n}", "hourly") for n in (19_999, 19_998, 19_997)]


def test_turned_away_counters_get_another_chance() -> None:
    """When the full ones have faded, less full ones are shown again."""
    now = [0.0]
    fullest = Fullest(lambda: now[0], room=4)
    for number in range(5):
        fullest.note((f"full{number}", "hourly", ""), 0.9, 30)
    fullest.note(("low", "hourly", ""), 0.1, 3600)
    turned_away = fullest.top(9)
    now[0] = 61.0
    fullest.note(("low", "hourly", ""), 0.1, 3600)

    assert "low" not in [account for _, account, _ in turned_away]
    assert fullest.top(9) == [(0.1, "low", "hourly")]


def test_faded_counters_make_room_first() -> None:
    """Where forgetting what has faded makes room, nothing that counts is turned away."""
    now = [0.0]
    fullest = Fullest(lambda: now[0], room=4)
    for number in range(4):
        fullest.note((f"full{number}", "hourly", ""), 0.9, 30)
    now[0] = 31.0
    for account in ("low", "lower"):
        fullest.note((account, "hourly", ""), 0.1, 30)

    assert fullest.top(9) == [(0.1, "lower", "hourly"), (0.1, "low", "hourly")]


def test_known_counter_may_fall_below_the_floor() -> None:
    """A counter that is remembered is updated even when it is less full than what is turned away."""
    fullest = Fullest(lambda: 0.0, room=4)
    for number in range(5):
        fullest.note((f"d{number}", "hourly", ""), 0.5 + number / 10, 30)
    fullest.note(("d4", "hourly", ""), 0.1, 30)

    assert fullest.top(9) == [(0.8, "d3", "hourly"), (0.1, "d4", "hourly")]


def test_registries_are_apart() -> None:
    """Two daemons in one process count for themselves; nothing is global."""
    one, other = Scene(), Scene()
    one.metrics.repeated()

    assert (one.value("repeats_total"), other.value("repeats_total")) == (1.0, 0.0)


def test_a_reload_that_succeeds_ends_the_failed_one(scene: Scene) -> None:
    """What stands is how the last reload went, and a fresh daemon has none that failed."""
    seen = [scene.value("config_reload_failed")]
    for result in ("failed", "ok"):
        scene.metrics.reloaded(result)
        seen.append(scene.value("config_reload_failed"))

    assert seen == [0.0, 1.0, 0.0]
