"""The store on each Redis and each way to reach it; losses of scripts, data and connections."""

import asyncio
from collections.abc import Iterator

import pytest
import redis

from policyd.errors import StoreUnavailable
from policyd.model import NEVER_FITS
from policyd.store.base import Call, Op
from tests.store.opened import LIMIT, opened, refused, run
from tests.store.scripted import charge, record
from tests.support.clock import START, ManualClock
from tests.support.redis import RedisServer, Transport, binaries, running


@pytest.fixture(params=list(binaries()))
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """Run a redis-server of each kind for the test alone, with an append-only file."""
    with running(binary=binaries()[request.param], append=True) as one:
        yield one


WAYS = [("unix", "system"), ("tcp", "system"), ("tls", "system"), ("unix", "wheel"), ("tcp", "wheel")]


@pytest.mark.parametrize("password", ["", "a secret/with:odd@characters"], ids=["open", "password"])
@pytest.mark.parametrize(("transport", "kind"), WAYS, ids=[" ".join(way) for way in WAYS])
def test_each_way_to_reach_redis(transport: str, kind: str, password: str) -> None:
    """unix://, redis:// and rediss:// with the server's certificate, with and without a password."""

    async def main(url: str) -> None:
        async with opened(url, password=password) as box:
            assert (await box.submit()).admitted
            assert await box.used() == 1

    with running(binary=binaries()[kind], transport=Transport(transport), password=password) as server:
        run(main(server.url))


def test_a_user_and_a_database_in_the_url() -> None:
    """What redis-py reads out of a URL is used."""

    async def main(url: str) -> None:
        async with opened(url, password="secret") as box:
            await box.submit()

    with running(transport=Transport.TCP, password="secret") as server:
        run(main(f"redis://default@127.0.0.1:{server.port}/3"))
        assert set(server.client().info("keyspace")) == {"db3"}


def test_a_certificate_that_nobody_vouches_for() -> None:
    """rediss:// without the authority's certificate is refused, and accepted where the URL says so."""

    async def main(url: str, expected: str) -> None:
        async with opened(url) as box:
            if expected:
                assert expected in await refused(box.submit())
            else:
                assert (await box.submit()).admitted

    with running(transport=Transport.TLS) as server:
        run(main(f"rediss://localhost:{server.port}", "CERTIFICATE_VERIFY_FAILED"))
        run(main(f"rediss://127.0.0.2:{server.port}?ssl_ca_certs={server.ca_file}", "no connection"))
        run(main(f"rediss://127.0.0.1:{server.port}?ssl_cert_reqs=none", ""))


def test_an_outcome_comes_whole(redis_of_kind: RedisServer) -> None:
    """Usages in the order of the charges, moments, episodes, and the seconds of the answer."""

    async def main() -> None:
        async with opened(redis_of_kind.url, clock=ManualClock()) as box:
            outcome = await box.submit(charge(400), charge(0, limit="none"), charge(2, limit="few", cost=3))
            assert (outcome.admitted, outcome.now) == (False, START)
            assert [(usage.used, usage.max, usage.fits_at) for usage in outcome.usages] == [
                (0, 400, 0), (0, 0, NEVER_FITS), (0, 2, NEVER_FITS),
            ]  # fmt: skip
            assert [bool(usage.episode) for usage in outcome.usages] == [False, True, True]
            assert len(box.seconds) == 1
            assert box.states == [True]

    run(main())


def test_all_operations(redis_of_kind: RedisServer) -> None:
    """A charge, its repeat, a look, a give-back and a settlement go through the store as through the script."""

    async def main() -> None:
        async with opened(redis_of_kind.url) as box:
            store, one = box.store, record("m1")
            assert not (await box.submit(of=one)).repeated
            assert (await box.submit(of=one)).repeated
            assert (await store.ask(Call(Op.PEEK, box.account, None, (LIMIT,)))).usages[0].used == 1
            assert (await store.ask(Call(Op.GIVE_BACK, box.account, one, ()))).admitted
            end = record("m1", state="END-OF-MESSAGE", recipients=3)
            assert (await store.ask(Call(Op.SETTLE, box.account, end, (LIMIT,)))).unknown
            assert await box.used() == 3

    run(main())


def test_a_flushed_script_is_invisible(server: RedisServer) -> None:
    """After SCRIPT FLUSH the next calls are charged once each, and bring the script with them."""

    async def main() -> None:
        async with opened(server.url) as box:
            await box.submit()
            server.client().script_flush()
            server.client().config_resetstat()
            assert all([(await call).admitted for call in [box.submit() for _ in range(5)]])
            assert (await box.submit()).usages[0].used == 7
            stats = server.client().info("commandstats")
            assert stats["cmdstat_eval"]["calls"] == 5
            assert stats["cmdstat_evalsha"]["calls"] == 6
            assert await box.used() == 7

    run(main())


def test_a_restart_of_redis_loses_nothing(server: RedisServer) -> None:
    """With an append-only file the counters, records and episodes are there again, and the store comes back."""

    async def main() -> None:
        async with opened(server.url) as box:
            for _ in range(10):
                await box.submit()
            last = await box.submit(of=record("last"))
            await asyncio.to_thread(server.stop)
            await box.until(up=False)
            await asyncio.to_thread(server.start)
            await box.until(up=True)
            assert (await box.submit(of=record("last"))).usages == last.usages
            assert (await box.submit()).usages[0].used == 12

    run(main())


def test_a_crash_of_redis_loses_nothing_that_was_answered(server: RedisServer) -> None:
    """With appendfsync always a kill -9 between two calls changes nothing."""

    async def main() -> None:
        async with opened(server.url) as box:
            assert (await box.submit()).usages[0].used == 1
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await box.until(up=True)
            assert (await box.submit()).usages[0].used == 2

    run(main())


def test_plain_commands(redis_of_kind: RedisServer) -> None:
    """The index writes and reads through the same link; a refusal is an error, with Redis' own words."""

    async def main() -> None:
        async with opened(redis_of_kind.url) as box:
            key = f"plain:{box.account}"
            assert await box.store.command("SET", key, 5) == b"OK"
            assert await box.store.command("INCRBY", key.encode(), 2) == 7
            with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
                await box.store.command("LPUSH", key, "x")
            with pytest.raises(StoreUnavailable, match="ERR"):
                await box.store.ask(Call(Op.CHARGE, box.account, record("m1"), (LIMIT._replace(window=0),)))

    run(main())


def test_nothing_but_the_script_is_called(redis_of_kind: RedisServer) -> None:
    """A charge is one command; a new connection brings the script and asks what time it is."""

    async def main(client: "redis.Redis") -> None:
        async with opened(redis_of_kind.url) as box:
            await box.until(up=True)
            assert {"script|load", "script"} & _called(client)
            client.config_resetstat()
            await box.submit()
            assert _called(client) == {"evalsha", "time", "exists", "get", "set"}

    with redis_of_kind.client() as client:
        client.config_resetstat()
        run(main(client))


def _called(client: "redis.Redis") -> set[str]:
    names = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    return names - {"config", "config|resetstat", "info"}
