"""What is not taken is tried again, and given up at some time."""

import asyncio
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from policyd.errors import NoticeError
from policyd.notices.metrics import NoticeMetrics, Way
from policyd.notices.outbox import WAITING, Outbox

AT_ONCE = (0.0, 0.0)
NEVER, ALWAYS = 0, 99


class Counted(NoticeMetrics):
    """Metrics that say when something was sent or given up."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.ended = asyncio.Semaphore(0)

    def sent(self, way: Way) -> None:
        """Count, and say so."""
        super().sent(way)
        self.ended.release()

    def failed(self, way: Way) -> None:
        """Count, and say so."""
        super().failed(way)
        self.ended.release()


class Scene:
    """An outbox for words, and a way that fails for the first ``failures`` tries of each."""

    def __init__(self, failures: int, *, for_good: bool = False, pauses: Sequence[float] = AT_ONCE) -> None:
        self.registry = CollectorRegistry()
        self.tries: list[str] = []
        self._failures, self._for_good = failures, for_good
        self._metrics = Counted(self.registry)
        self.outbox = Outbox[str](Way.MAIL, self._deliver, self._metrics, pauses)

    async def _deliver(self, item: str) -> None:
        self.tries.append(item)
        if self.tries.count(item) <= self._failures:
            raise NoticeError("not now", for_good=self._for_good)

    def counted(self) -> tuple[float | None, float | None]:
        """Return how many were sent and given up."""
        value = self.registry.get_sample_value
        return tuple(value(f"policyd_notices_{name}_total", {"way": "mail"}) for name in ("sent", "failed"))  # type: ignore[return-value]

    def run(self, *items: str, until: int) -> list[str]:
        """Put items, and return the tries when so many were sent or given up."""

        async def scenario() -> None:
            running = asyncio.create_task(self.outbox.run())
            for item in items:
                self.outbox.put(item)
            async with asyncio.timeout(20):
                for _ in range(until):
                    await self._metrics.ended.acquire()
            running.cancel()

        asyncio.run(scenario())
        return self.tries


@pytest.mark.parametrize(
    ("failures", "for_good", "tries", "counted"),
    [(NEVER, False, 1, (1, 0)), (2, False, 3, (1, 0)), (ALWAYS, False, 3, (0, 1)), (ALWAYS, True, 1, (0, 1))],
    ids=["taken", "taken at the third try", "never taken", "refused for good"],
)
def test_a_delivery_is_tried_until_it_is_taken_or_given_up(
    failures: int, for_good: bool, tries: int, counted: tuple[int, int]
) -> None:
    """There is one try more than there are pauses; what is refused for good is not tried again."""
    scene = Scene(failures, for_good=for_good)

    assert scene.run("a", until=1) == ["a"] * tries
    assert scene.counted() == counted


def test_one_that_waits_holds_up_no_other() -> None:
    """While the first is to be tried again, the second goes."""
    assert Scene(1).run("a", "b", until=2) == ["a", "b", "a", "b"]


def test_what_waits_is_bounded() -> None:
    """More than the bound is given up at once."""
    scene = Scene(NEVER)
    for number in range(WAITING + 3):
        scene.outbox.put(str(number))

    assert scene.counted() == (0, 3)
