"""Which limits look at a request, what they count for, and by what type of counter."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from policyd.conf.schema import RateLimit, Schedule
from policyd.model import Action, CounterType, Counts, Mode, Per, Sure, Traffic, TrafficKind
from policyd.policy.limits import counter_type, is_observed, rates_in_force, subject, terms_of
from tests.support.config import UNLISTED_HOURLY, Site, config, rate

SATURDAY = round(datetime(2026, 5, 2, 12, tzinfo=UTC).timestamp()) * 1000
MONDAY = SATURDAY + 2 * 86_400_000
WEEKEND = Schedule("weekend", ZoneInfo("Etc/UTC"), ((),) * 5 + (((0, 1440),),) * 2)

CHARGED = [TrafficKind.USER, TrafficKind.SCRIPT, TrafficKind.LIST]


def of(kind: TrafficKind = TrafficKind.USER, account: str = "example.org") -> Traffic:
    """Return traffic of a kind."""
    return Traffic(kind, account, Sure.VERIFIED, "alice@example.org", "bob@example.org", "news@example.org")


def names(limits: list[RateLimit]) -> list[str]:
    """Return the names of limits."""
    return [limit.name for limit in limits]


def test_an_account_has_its_own_terms_before_those_of_its_plan() -> None:
    """A domain's changes are its own; others have the plan; who is not hosted has the default plan."""
    own, more = rate(max=800), rate(max=5000)
    site = Site(
        (rate(),), plans={"big.test": "dedicated"}, terms={"dedicated": (more,)}, changed={"example.net": (own,)}
    )
    found = {
        name: terms_of(site.config(), of(account=name)) for name in ("example.org", "example.net", "big.test", "?")
    }
    assert {name: (terms.plan, terms.rates[0].max) for name, terms in found.items()} == {
        "example.org": ("shared", 400),
        "example.net": ("shared", 800),
        "big.test": ("dedicated", 5000),
        "?": ("shared", 400),
    }


def test_relayed_traffic_has_limits_of_its_own() -> None:
    """A limit of relayed traffic needs no plan, and no limit of a plan looks at relayed traffic."""
    both = config(rate(), UNLISTED_HOURLY)
    terms = terms_of(both, of(TrafficKind.RELAYED, "(unlisted)"))
    assert names(rates_in_force(both, terms, TrafficKind.RELAYED, MONDAY)) == ["unlisted-hourly"]
    assert names(rates_in_force(both, terms_of(both, of()), TrafficKind.USER, MONDAY)) == ["domain-hourly"]


@pytest.mark.parametrize("kind", CHARGED)
def test_traffic_says_which_kinds_a_limit_looks_at(kind: TrafficKind) -> None:
    """A limit looks at user, script and list traffic, or only at what ``traffic:`` names."""
    limits = [rate("all"), *(rate(f"only-{one}", traffic=[one]) for one in CHARGED)]
    some = config(*limits)
    assert names(rates_in_force(some, some.terms("example.org"), kind, MONDAY)) == ["all", f"only-{kind}"]


def test_max_unlimited_means_that_nothing_is_counted() -> None:
    """A limit whose max is unlimited looks at nothing; one whose max is 0 is in force."""
    some = config(rate("endless", None), rate("none", 0))
    assert names(rates_in_force(some, some.terms("example.org"), TrafficKind.USER, MONDAY)) == ["none"]


def test_lifted_by_switches_a_limit_off_while_the_schedule_is_open() -> None:
    """On the weekend the lifted limit does not look; on Monday it does."""
    some = config(rate("always"), rate("weekdays", lifted_by="weekend"), schedules=(WEEKEND,))
    terms = some.terms("example.org")
    assert names(rates_in_force(some, terms, TrafficKind.USER, SATURDAY)) == ["always"]
    assert names(rates_in_force(some, terms, TrafficKind.USER, MONDAY)) == ["always", "weekdays"]


@pytest.mark.parametrize(
    ("per", "expected"),
    [
        (Per.DOMAIN, "example.org"),
        (Per.USER, "alice@example.org"),
        (Per.SENDER, "bob@example.org"),
        (Per.LIST, "news@example.org"),
        (Per.CLIENT, "192.0.2.17"),
    ],
)
def test_per_says_what_is_counted_for(per: Per, expected: str) -> None:
    """There is one counter for each domain, user, sender, list or client of the account."""
    assert subject(rate(per=per), of(), "192.0.2.17") == expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (rate(max=128), CounterType.LOG),
        (rate(max=129), CounterType.RING),
        (rate(max=0), CounterType.LOG),
        (rate(max=60, counts=Counts.MESSAGES), CounterType.LOG),
        (rate(max=100, counts=Counts.BYTES), CounterType.RING),
    ],
    ids=["128", "129", "0", "messages", "bytes"],
)
def test_small_maxima_are_counted_with_exact_times(limit: RateLimit, expected: CounterType) -> None:
    """Up to 128 the counter is a log, above and for bytes a ring."""
    assert counter_type(limit) is expected


@pytest.mark.parametrize(
    ("mode", "limit", "expected"),
    [
        (Mode.ENFORCE, rate(), False),
        (Mode.OBSERVE, rate(), True),
        (Mode.ENFORCE, rate(mode=Mode.OBSERVE), True),
        (Mode.ENFORCE, rate(over=Action.ACCEPT), True),
        (Mode.ENFORCE, rate(over={TrafficKind.SCRIPT: Action.ACCEPT}), False),
    ],
    ids=["enforced", "file", "limit", "over: accept", "over: accept for other traffic"],
)
def test_observe_counts_and_refuses_nothing(mode: Mode, limit: RateLimit, expected: bool) -> None:
    """The whole file, one limit, or ``over: accept`` for this traffic makes a limit count only."""
    assert is_observed(config(limit, mode=mode), limit, TrafficKind.USER) is expected
