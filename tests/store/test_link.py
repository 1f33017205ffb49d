"""The thin link: one write for each tick, waiters in order, and what becomes of calls when connections are lost."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from policyd.errors import StoreUnavailable
from policyd.store.base import Op
from policyd.store.link import Connect, Greeting, Link, State
from tests.store.opened import SHORT, TIMEOUT, eventually, opened, refused, run, timed_out
from tests.store.scripted import record
from tests.support.proxy import Proxy
from tests.support.redis import RedisServer, running


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """Run a redis-server for the test alone."""
    with running() as one:
        yield one


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    """Run a proxy before it."""
    one = Proxy(server.socket)
    one.start()
    try:
        yield one
    finally:
        one.stop()


class Counting(asyncio.Protocol):
    """Stands between a link and its socket, and counts the writes."""

    def __init__(self, link: asyncio.Protocol, written: list[bytes]) -> None:
        self._link, self._written = link, written
        self.data_received = link.data_received  # type: ignore[method-assign]
        self.connection_lost = link.connection_lost  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the link a transport whose writes are seen."""
        self._transport = cast("asyncio.Transport", transport)
        self._link.connection_made(cast("asyncio.BaseTransport", self))

    def write(self, data: bytes) -> None:
        """Note a write."""
        self._written.append(data)
        self._transport.write(data)

    def abort(self) -> None:
        """Pass it on."""
        self._transport.abort()


def counted(server: RedisServer, written: list[bytes]) -> Connect:
    """Return how to connect to a server so that writes are counted."""

    async def connect(factory: Callable[[], asyncio.Protocol]) -> tuple[asyncio.Transport, asyncio.Protocol]:
        loop = asyncio.get_running_loop()
        return await loop.create_unix_connection(lambda: Counting(factory(), written), str(server.socket))

    return connect


def test_one_write_for_each_tick(server: RedisServer) -> None:
    """However many commands one turn of the loop submits, they go out in one write, and are answered in order."""

    async def main() -> None:
        written: list[bytes] = []
        greeted = asyncio.Event()
        link = Link(counted(server, written), Greeting([("PING",)], lambda _: greeted.set()), TIMEOUT, lambda _: None)
        await greeted.wait()
        before, loop = len(written), asyncio.get_running_loop()
        replies = [loop.create_future() for _ in range(200)]
        for number, future in enumerate(replies):
            link.submit("echo", ("ECHO", str(number)), future.set_result, repeatable=True)
        assert len(written) == before
        assert await asyncio.gather(*replies) == [b"%d" % number for number in range(200)]
        assert len(written) == before + 1
        await link.close()

    run(main())


def test_replies_to_others_do_not_wait_for_a_slow_one(server: RedisServer) -> None:
    """Submitting from a reply goes out with the next tick; nobody waits for an acknowledgement."""

    async def main() -> None:
        async with opened(server.url) as box:
            await box.submit()
            depth = [box.submit() for _ in range(50)]
            depth[0].add_done_callback(lambda _: depth.append(box.submit()))
            await asyncio.gather(*depth)
            assert (await depth[-1]).usages[0].used == 52

    run(main())


def test_calls_in_flight_are_sent_again_and_charged_once(server: RedisServer, proxy: Proxy) -> None:
    """Redis has charged, the connection is lost before the answers: the same calls on a new one are repeats."""

    async def main() -> None:
        async with opened(proxy.url) as box:
            await box.submit()
            await asyncio.to_thread(proxy.hold)
            calls = [box.submit() for _ in range(20)]
            once = box.submit(of=record(""))
            await eventually(lambda: _used(server, box.account) == 22, "Redis has charged all")
            await asyncio.to_thread(proxy.drop)
            await asyncio.to_thread(proxy.release)
            assert all([(await call).repeated for call in calls])
            assert "connection lost" in await refused(once)
            assert (await box.submit()).usages[0].used == 23

    run(main())


def test_a_killed_connection_in_flight_before_redis_has_read(server: RedisServer) -> None:
    """Calls that Redis never saw are sent again on the next connection, and charged once."""

    async def main() -> None:
        async with opened(server.url) as box:
            await box.submit()
            await asyncio.to_thread(_kill, server)
            calls = [box.submit() for _ in range(20)]
            assert sorted([(await call).usages[0].used for call in calls]) == list(range(2, 22))
            assert await box.used() == 21

    run(main())


def test_calls_that_were_given_up_are_not_sent_again(server: RedisServer, proxy: Proxy) -> None:
    """After a stall and a lost connection nothing old goes out: Redis hears of each call once."""

    async def main() -> None:
        async with opened(proxy.url, within=SHORT) as box:
            await box.submit()
            await asyncio.to_thread(proxy.hold)
            calls = [box.submit(op=op) for op in (Op.CHARGE, Op.GIVE_BACK, Op.PEEK)]
            assert await timed_out(calls)
            await asyncio.to_thread(proxy.drop)
            await asyncio.to_thread(proxy.release)
            await box.until(up=True)
            assert _calls(server) == 2 + len(calls)

    run(main())


def test_connections_that_are_lost_again_and_again(server: RedisServer, proxy: Proxy) -> None:
    """Whatever the link is doing when it loses its connection, each call is answered and charged once."""

    async def main() -> None:
        async with opened(proxy.url) as box:
            for _ in range(10):
                calls = [box.submit() for _ in range(3)]
                await asyncio.to_thread(proxy.drop)
                calls += [box.submit() for _ in range(3)]
                assert all([(await call).admitted for call in calls])
            assert _used(server, box.account) == 60

    run(main())


def test_closing_answers_who_waits(server: RedisServer) -> None:
    """Nobody is left without an answer, before and after."""

    async def main() -> None:
        async with opened(server.url) as box:
            await box.until(up=True)
            server.pause()
            waiting = box.submit()
            await box.store.close()
            server.resume()
            assert "the link was closed" in await refused(waiting)
            assert "the link to Redis is closed" in await refused(box.submit())

    run(main())


def test_closing_before_the_first_contact(server: RedisServer) -> None:
    """A store may be closed while it still tries."""

    async def main() -> None:
        async with opened(server.url) as box:
            waiting = box.submit()
            await box.store.close()
            assert "the link was closed" in await refused(waiting)

    run(main())


def test_no_second_try_gets_a_second_timeout(server: RedisServer) -> None:
    """A call that is sent twice (SCRIPT FLUSH, too late) has one deadline from first to last."""

    async def main() -> None:
        async with opened(server.url) as box:
            deadlines = _deadlines(box.store._link)
            await box.submit()
            with server.client() as client:
                client.script_flush()
            await box.submit()
            assert len(deadlines) == 4
            assert len(set(deadlines)) == 2

    run(main())


def _deadlines(link: Link) -> list[float]:
    """Return a list that fills with the deadline of each command."""
    seen: list[float] = []
    submit = link.submit

    def noted(*args: Any, **options: Any) -> None:
        seen.append(options["deadline"])
        submit(*args, **options)

    link.submit = noted  # type: ignore[method-assign]
    return seen


def test_states_are_told_in_order(server: RedisServer) -> None:
    """The link says each change of its state once."""

    async def main() -> None:
        states: list[State] = []
        up = asyncio.Event()
        link = Link(counted(server, []), Greeting([("PING",)], lambda _: up.set()), SHORT / 1000, states.append)
        await up.wait()
        server.pause()
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        link.submit("ping", ("PING",), reply.set_result, repeatable=False)
        assert str(await reply) == "store ping: no answer within 50 ms"
        up.clear()
        server.resume()
        await up.wait()
        await link.close()
        assert states[:3] == [State.UP, State.STALLED, State.CONNECTING]
        assert states[-2:] == [State.UP, State.CLOSED]

    run(main())


def test_a_greeting_that_is_refused(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that cannot be made ready is none; the log says so once, however often it is tried."""

    async def main() -> None:
        down = asyncio.Event()
        tries: list[bytes] = []
        greeting = Greeting([("NONSENSE",)], lambda _: None)
        link = Link(counted(server, tries), greeting, TIMEOUT, lambda _: down.set())
        await down.wait()
        reply: list[object] = []
        link.submit("ping", ("PING",), reply.append, repeatable=True)
        assert isinstance(reply[0], StoreUnavailable)
        await eventually(lambda: len(tries) >= 3, "the link tries again")
        await link.close()

    run(main())
    assert [entry.getMessage().partition(";")[2] for entry in caplog.records] == [" trying again until it answers"]


def _used(server: RedisServer, account: str) -> int:
    with server.client() as client:
        raw = client.getrange(f"policyd:1:{{{account}}}:ring:hourly:someone", 12, 17)
    return int.from_bytes(cast("bytes", raw), "little")


def _calls(server: RedisServer) -> int:
    with server.client() as client:
        return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])


def _kill(server: RedisServer) -> None:
    with server.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
