"""What paces and maxima come to together."""

from ipaddress import IPv4Network
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from policyd.conf.listed import Lists
from policyd.conf.load import load
from policyd.conf.schema import RateLimit, Schedule, SizeLimit, Transport
from policyd.model import Action, Counts, Per, TrafficKind
from policyd.policy.sums import fitting, sums
from tests.support.config import HOUR, config, pace, rate

OFF_PEAK = Schedule("off-peak", ZoneInfo("America/New_York"), (*[((60, 480),)] * 5, *[((0, 1440),)] * 2))
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


def size(name: str, most: int, lifted_by: str = "") -> SizeLimit:
    """Return how large a list may be, unless a schedule lifts it."""
    lists = frozenset({TrafficKind.LIST})
    over = {TrafficKind.LIST: Action.DEFER}
    return SizeLimit(name=name, max=most, per=Per.LIST, traffic=lists, over=over, lifted_by=lifted_by)


def test_a_longer_list_meets_the_maximum_though_it_keeps_the_pace() -> None:
    """6 s are 600 an hour, above the 400: one line for each maximum that lists meet, and the pace that fits."""
    people = rate("user-hourly", 200, traffic=[TrafficKind.USER])
    volume = rate("volume", 1_000_000, counts=Counts.BYTES)

    (said,) = sums(config(rate(), people, volume, pace()))

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


def test_how_long_the_largest_list_takes() -> None:
    """At the pace, or at what the maximum lets through, whichever is slower."""
    most = size("list-size", 1000)

    assert sums(config(rate(), most)) == ["plan shared: a list of 1,000 takes 2 h 30 min, because of domain-hourly"]
    assert sums(config(rate(max=5000), pace(), size("list-size", 5000))) == [
        "plan shared: a list of 5,000 takes 8 h 20 min, because of list-pace"
    ]
    assert sums(config(rate())) == sums(config(most)) == []


def test_what_the_hours_hold_in_which_large_lists_are_mailed() -> None:
    """A weekday's 7 hours hold 2,800 at 400 an hour; one that begins late goes on in the next."""
    limits = (rate(), size("list-size", 1000), size("list-off-peak", 900, "off-peak"))
    said = sums(config(*limits, schedules=(OFF_PEAK,)))

    assert said[1] == (
        "plan shared: lists of more than 900 are mailed while off-peak is open; its shortest hours, 7 h, hold 2,800 "
        "e-mails. What begins 5 min before their end sends 33 by then, and goes on in the next"
    )
    larger = (rate(), size("list-size", 5000), limits[2])
    assert sums(config(*larger, schedules=(OFF_PEAK,)))[-1] == (
        "plan shared: a list of 5,000 takes more than one opening of off-peak"
    )


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


def test_a_schedule_that_never_opens_holds_nothing_to_say() -> None:
    """Its hours are none to divide."""
    closed = Schedule("closed", ZoneInfo("UTC"), ((),) * 7)

    said = sums(config(rate(), pace(every=9200), size("off-peak", 900, "closed"), schedules=(closed,)))

    assert not [line for line in said if "closed" in line]
