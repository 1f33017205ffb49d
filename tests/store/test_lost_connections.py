"""What becomes of calls when connections are lost, closed, or made again."""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from policyd.store.base import Op
from policyd.store.link import Link
from tests.store.opened import SHORT, eventually, opened, refused, run, timed_out
from tests.store.scripted import record
from tests.support.proxy import Proxy
from tests.support.redis import RedisServer


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    """Run a proxy before it."""
    one = Proxy(redis_server.socket)
    one.start()
    try:
        yield one
    finally:
        one.stop()


def test_replies_to_others_do_not_wait_for_a_slow_one(redis_server: RedisServer) -> None:
    """Submitting from a reply goes out with the next tick; nobody waits for an acknowledgement."""

    async def main() -> None:
        async with opened(redis_server.url) as box:
            await box.submit()
            depth = [box.submit() for _ in range(50)]
            depth[0].add_done_callback(lambda _: depth.append(box.submit()))
            await asyncio.gather(*depth)
            assert (await depth[-1]).usages[0].used == 52

    run(main())


def test_calls_in_flight_are_sent_again_and_charged_once(redis_server: RedisServer, proxy: Proxy) -> None:
    """Redis has charged, the connection is lost before the answers: the same calls on a new one are repeats."""

    async def main() -> None:
        async with opened(proxy.url) as box:
            await box.submit()
            await asyncio.to_thread(proxy.hold)
            calls = [box.submit() for _ in range(20)]
            once, look = box.submit(of=record("")), box.submit(op=Op.PEEK)
            await eventually(lambda: _used(redis_server, box.account) == 22, "Redis has charged all")
            await asyncio.to_thread(proxy.drop)
            await asyncio.to_thread(proxy.release)
            assert all([(await call).repeated for call in calls])
            assert "connection lost" in await refused(once)
            assert (await look).usages[0].used == 22
            assert (await box.submit()).usages[0].used == 23

    run(main())


def test_a_killed_connection_in_flight_before_redis_has_read(redis_server: RedisServer) -> None:
    """Calls that Redis never saw are sent again on the next connection, and charged once."""

    async def main() -> None:
        async with opened(redis_server.url) as box:
            await box.submit()
            await asyncio.to_thread(_kill, redis_server)
            calls = [box.submit() for _ in range(20)]
            assert sorted([(await call).usages[0].used for call in calls]) == list(range(2, 22))
            assert await box.used() == 21

    run(main())


def test_calls_that_were_given_up_are_not_sent_again(redis_server: RedisServer, proxy: Proxy) -> None:
    """After a stall and a lost connection nothing old goes out: Redis hears of each call once."""

    async def main() -> None:
        async with opened(proxy.url, within=SHORT) as box:
            await box.until(up=True)
            await asyncio.to_thread(proxy.hold)
            calls = [box.submit(op=op) for op in (Op.CHARGE, Op.GIVE_BACK, Op.PEEK)]
            assert await timed_out(calls)
            await eventually(lambda: _calls(redis_server) == len(calls), "Redis has run the calls")
            await asyncio.to_thread(proxy.drop)
            await asyncio.to_thread(proxy.release)
            await box.until(up=True)
            assert _calls(redis_server) == len(calls)

    run(main())


def test_connections_that_are_lost_again_and_again(redis_server: RedisServer, proxy: Proxy) -> None:
    """Whatever the link is doing when it loses its connection, each call is answered and charged once."""

    async def main() -> None:
        async with opened(proxy.url) as box:
            for _ in range(10):
                calls = [box.submit() for _ in range(3)]
                await asyncio.to_thread(proxy.drop)
                calls += [box.submit() for _ in range(3)]
                assert all([(await call).admitted for call in calls])
            assert _used(redis_server, box.account) == 60

    run(main())


def test_closing_answers_who_waits(redis_server: RedisServer) -> None:
    """Nobody is left without an answer, before and after."""

    async def main() -> None:
        async with opened(redis_server.url) as box:
            await box.until(up=True)
            redis_server.pause()
            waiting = box.submit()
            await box.store.close()
            redis_server.resume()
            assert "the link was closed" in await refused(waiting)
            assert "the link to Redis is closed" in await refused(box.submit())

    run(main())


def test_closing_before_the_first_contact(redis_server: RedisServer) -> None:
    """A store may be closed while it still tries."""

    async def main() -> None:
        async with opened(redis_server.url) as box:
            waiting = box.submit()
            await box.store.close()
            assert "the link was closed" in await refused(waiting)

    run(main())


def test_no_second_try_gets_a_second_timeout(redis_server: RedisServer) -> None:
    """A call that is sent twice (SCRIPT FLUSH, too late) has one deadline from first to last."""

    async def main() -> None:
        async with opened(redis_server.url) as box:
            deadlines = _deadlines(box.store._topology.node(b"").link)
            await box.submit()
            with redis_server.client() as client:
                client.script_flush()
            await box.submit()
            assert len(deadlines) == 4
            assert len(set(deadlines)) == 2

    run(main())


def _deadlines(link: Link) -> list[float]:
    """Return a list that fills with the deadline of each command that is part of a call."""
    seen: list[float] = []
    submit = link.submit

    def noted(*args: Any, **options: Any) -> None:
        if "deadline" in options:
            seen.append(options["deadline"])
        submit(*args, **options)

    link.submit = noted  # type: ignore[method-assign]
    return seen


def test_another_redis_has_another_clock(redis_server: RedisServer) -> None:
    """What was believed of the former Redis' clock is forgotten with the connection."""

    async def main() -> None:
        async with opened(redis_server.url) as box:
            await box.submit()
            clock, loop = box.store._topology.node(b"").clock, asyncio.get_running_loop()
            ahead = clock.deadline(loop.time()) + 3_600_000
            clock.heard(ahead, loop.time())
            assert clock.deadline(loop.time()) >= ahead
            await asyncio.to_thread(_kill, redis_server)
            await box.submit()
            assert clock.deadline(loop.time()) < ahead

    run(main())


def _used(redis_server: RedisServer, account: str) -> int:
    with redis_server.client() as client:
        raw = client.getrange(f"policyd:1:{{{account}}}:ring:hourly:someone", 12, 17)
    return int.from_bytes(cast("bytes", raw), "little")


def _calls(redis_server: RedisServer) -> int:
    with redis_server.client() as client:
        return int(client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


def _kill(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
