"""Not each call waits for a Redis that is silent: the breaker, alone and before a real one."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.errors import StoreError, StoreTimeout
from policyd.store.breaker import FIRST, LONGEST, Breaker
from tests.store.opened import SHORT, Opened, opened, run
from tests.store.scripted import record
from tests.support.proxy import Proxy
from tests.support.redis import RedisServer

STEPS = st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["late", "trial", "answer"])), max_size=60)


@given(STEPS)
def test_any_course_of_events(steps: list[tuple[float, str]]) -> None:
    """A late call opens it, once; only a trial that was answered closes it; a trial comes after a second at most."""
    breaker, now = Breaker(), 0.0
    for passed, event in steps:
        now += passed
        before = breaker.open
        if event == "late":
            assert breaker.timed_out(now) is not before
            assert breaker.open
        elif before:
            breaker.tried(now, answered=event == "answer")
            assert breaker.open is (event == "trial")
        assert FIRST <= breaker.rest <= LONGEST


def test_what_opens_again_soon_rests_for_longer() -> None:
    """Trials become rare while a store answers some calls and not others; after a quiet second they are quick again."""
    breaker, now, rests = Breaker(), 0.0, []
    for pause in (0.0, 0.5, 0.5, 0.5, 0.5, 1.0):
        now += pause
        assert breaker.timed_out(now)
        rests.append(breaker.rest)
        breaker.tried(now, answered=True)

    assert rests == [0.1, 0.2, 0.4, 0.8, 1.0, 0.1]


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    """Stand between the store and its Redis."""
    one = Proxy(redis_server.socket)
    one.start()
    yield one
    one.stop()


async def failed(box: Opened) -> type[Exception]:
    """Return how a call failed, and let the loop go on."""
    await asyncio.sleep(0)
    try:
        raise AssertionError(await box.submit())
    except StoreError as error:
        return type(error)


def test_a_frozen_redis(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """One call waits for its timeout; others fail at once, also while a new connection is tried; it comes back."""

    async def main() -> None:
        async with opened(redis_server.url, within=SHORT) as box:
            await box.until(up=True)
            redis_server.pause()
            waited = 0
            while not caplog.records:  # until the new connection was given up
                waited += await failed(box) is StoreTimeout
            assert waited == 1
            assert box.store.breaker_open
            redis_server.resume()
            await box.until(up=True)
            assert (await box.answered(record("m"))).usages[0].used == 1
            assert box.states[:3] == [True, False, True]

    run(main())


def test_a_slow_redis(proxy: Proxy) -> None:
    """Where each answer comes too late, one call waits; late answers to trials close nothing, an early one does."""

    async def main() -> None:
        async with opened(proxy.url, within=SHORT) as box:
            await box.until(up=True)
            proxy.delay, asked, waited = 3 * SHORT / 1000, proxy.asked, 0
            while proxy.asked < asked + 4:
                waited += await failed(box) is StoreTimeout
            assert waited == 1
            assert box.states == [True, False]
            proxy.delay = 0.0
            assert (await box.answered(record("m"))).admitted

    run(main())


def test_a_network_that_drops_each_connection(proxy: Proxy) -> None:
    """A connection that is lost whenever it is used costs one call its timeout."""

    async def main() -> None:
        async with opened(proxy.url, within=SHORT) as box:
            await box.until(up=True)
            proxy.hangs_up_at, waited = b"policyd:", 0
            for _ in range(200):
                waited += await failed(box) is StoreTimeout
            assert waited == 1
            proxy.hangs_up_at = b""
            assert (await box.answered(record("m"))).usages[0].used == 1

    run(main())
