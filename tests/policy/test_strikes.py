"""Who is hit when refusals or spam traps suspend, and for how long."""

import pytest

from policyd.conf.penalty import Strikes
from policyd.model import Sure, Traffic, TrafficKind
from policyd.policy.strikes import culprit, sentence

ALICE = Traffic(TrafficKind.USER, "a.test", Sure.VERIFIED, "alice@a.test", "alice@a.test")
NEWS = Traffic(TrafficKind.LIST, "a.test", Sure.VERIFIED, "", "news-bounces@a.test", "news@a.test")
DAY, HOUR = 86_400_000, 3_600_000


@pytest.mark.parametrize(
    ("traffic", "name"),
    [
        (ALICE, "user:alice@a.test"),
        (ALICE._replace(kind=TrafficKind.SCRIPT), "user:alice@a.test"),
        (NEWS, "list:news@a.test"),
    ],
    ids=["login", "script", "list"],
)
def test_the_narrowest_subject_is_hit(traffic: Traffic, name: str) -> None:
    """A login, a script's user or a list; the account as a whole only where a limit says so."""
    assert culprit(traffic) == name
    assert culprit(traffic, domain=True) == "domain"


@pytest.mark.parametrize(
    "traffic",
    [ALICE._replace(sure=Sure.CLAIMED), ALICE._replace(kind=TrafficKind.RELAYED), ALICE._replace(sure=Sure.NOBODY)],
    ids=["claimed", "relayed", "nobody's"],
)
def test_what_is_not_sure_hits_nobody(traffic: Traffic) -> None:
    """A forged sender must not be able to suspend somebody else."""
    assert culprit(traffic) == culprit(traffic, domain=True) == ""


def test_suspensions_grow_and_the_last_length_repeats() -> None:
    """The first lasts 6 hours, the second a day, all others until they are resumed."""
    strikes = Strikes(3, DAY, (6 * HOUR, DAY, 0))
    assert [sentence(strikes, former) for former in range(5)] == [6 * HOUR, DAY, 0, 0, 0]
