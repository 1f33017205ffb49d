"""Load is offered until a service falls behind, and no further."""

from math import inf
from pathlib import Path

import pytest

from bench import curve, setting


class Services:
    """Stand in for the load generator: each service makes what it is named for, and no more."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def load(self, socket: Path, *options: str) -> dict[str, float]:
        """Return what a service makes of a rate."""
        rate = int(options[options.index("-k") + 1])
        self.asked.append((socket.name, rate))
        if socket.name == "broken":
            raise setting.WrongAnswersError
        return {"requests_per_second": min(rate, int(socket.name)), "p50_us": 100, "p99_us": 2000}


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Services:
    """Replace the load generator."""
    found = Services()
    monkeypatch.setattr(setting, "load", found.load)
    return found


def test_a_service_that_falls_behind_is_offered_no_more(services: Services) -> None:
    """The second rate at which it makes less than nine tenths is its last; others go on."""
    found = curve.measured({"slow": Path("2000"), "fast": Path("1000000")})

    assert list(found["slow"]) == [1_000, 2_000, 3_000, 5_000]
    assert found["slow"][3_000] == curve.Point(2000, 0.1, 2.0)
    assert list(found["fast"]) == list(curve.RATES)
    assert services.asked[:4] == [("2000", 1_000), ("1000000", 1_000)] * 2


def test_a_service_that_answers_wrong_has_a_point_that_says_so(services: Services) -> None:
    """It made nothing, however long anybody waited."""
    found = curve.measured({"broken": Path("broken")})

    assert found == {"broken": dict.fromkeys((1_000, 2_000), curve.Point(0, inf, inf))}
    assert len(services.asked) == 2 * curve.PASSES
