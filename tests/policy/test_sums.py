"""What paces and maxima come to together."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from policyd.conf.load import load
from policyd.conf.schema import Lists, RateLimit, Transport
from policyd.model import Counts, TrafficKind
from policyd.policy.sums import fitting, sums
from tests.support.config import HOUR, config, pace, rate

SHIPPED = Path(__file__).parents[2] / "config" / "policyd.yaml"


@pytest.mark.parametrize(
    ("cap", "milliseconds"),
    [
        (rate(max=400), 9200),
        (rate(max=360), 10_200),
        (rate(max=500), 7400),
        (rate(max=60), 60_000),
        (rate(max=7), 514_300),
        (rate(max=610), 6000),
        (rate(max=1000, window=24 * HOUR), 87_900),
    ],
)
def test_the_pace_that_fits_a_maximum(cap: RateLimit, milliseconds: int) -> None:
    """Rounded up to a tenth of a second, with the strictness of the counter: exact up to 128."""
    assert fitting(cap) == milliseconds


def test_a_longer_list_meets_the_maximum_though_it_keeps_the_pace() -> None:
    """6 s are 600 an hour, above the 400: one line for each maximum that lists meet, and the pace that fits."""
    people = rate("user-hourly", 200, traffic=[TrafficKind.USER])
    size = rate("volume", 1_000_000, counts=Counts.BYTES)

    (said,) = sums(config(rate(), people, size, pace()))

    assert said == (
        "plan shared: list-pace lets 600 recipients through in 1h, domain-hourly 400: a longer list keeps the pace and "
        "meets that maximum; a pace of 9.2 s fits"
    )


@pytest.mark.parametrize(
    "limits", [(rate(max=600), pace()), (rate(max=400), pace(every=9200)), (rate(max=None), pace())]
)
def test_a_pace_that_fits_is_not_remarked(limits: tuple[RateLimit, ...]) -> None:
    """Nor a maximum that nobody meets."""
    assert sums(config(*limits)) == []


def test_an_answer_that_waits_stops_a_serial_runner() -> None:
    """Where list software is named, a pace by answers of list traffic is remarked; one by transport is not."""
    lists = Lists(contexts=frozenset({"mailman"}))
    transport = Transport("slow", IPv4Network("127.0.2.0/24"), 2526)
    (said,) = sums(config(pace(), lists=lists))

    assert said.startswith("list-pace delays answers (by: answer): while one list of Mailman waits, ")
    assert sums(config(pace())) == []
    assert sums(config(pace(transport=transport, delay_up_to=0), lists=lists)) == []
    assert sums(config(pace(traffic=[TrafficKind.USER]), lists=lists)) == []


def test_the_shipped_plans_say_it_out_loud() -> None:
    """The published 6 s and 400 an hour do not go together on the smallest plan."""
    said = "\n".join(sums(load(SHIPPED)))

    assert "plan shared: list-pace lets 600 recipients through in 1h, domain-hourly 400: " in said
    assert "a pace of 9.2 s fits" in said
    assert "plan dedicated: list-pace" not in said
