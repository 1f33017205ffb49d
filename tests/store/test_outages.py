"""Redis stalls, is not there, or refuses: every call is answered in time, and none is charged afterwards."""

import asyncio
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from policyd.errors import StoreUnavailable
from policyd.store.base import Op
from tests.store.opened import SHORT, eventually, opened, refused, run, timed_out
from tests.store.scripted import charge, record
from tests.support.redis import RedisServer, binaries, running
from tests.support.secretfile import write_secret


@pytest.fixture(params=list(binaries()))
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """Run a redis-server of each kind for the test alone."""
    with running(binary=binaries()[request.param]) as one:
        yield one


def calls_of_the_script(server: RedisServer) -> int:
    """Return how often Redis has run the script since it started."""
    with server.client() as client:
        stats = client.info("commandstats")
        return int(stats.get("cmdstat_evalsha", {"calls": 0})["calls"])


def test_a_stalled_redis_charges_nothing_afterwards(server: RedisServer) -> None:
    """Calls that were given up reach Redis when it goes on, and are too late; the store recovers by itself."""

    async def main() -> None:
        async with opened(server.url, within=SHORT) as box:
            await box.until(up=True)
            server.pause()
            calls = [box.submit() for _ in range(20)]
            assert await timed_out(calls)
            assert box.states == [True, False]
            server.resume()
            await eventually(lambda: calls_of_the_script(server) == 20, "Redis runs the calls that were given up")
            await box.until(up=True)
            assert box.states == [True, False, True]
            async with opened(server.url, name=box.account) as patient:
                assert (await patient.submit()).usages[0].used == 1

    run(main())


def test_a_short_stall_loses_nothing(server: RedisServer) -> None:
    """Calls that are answered within the timeout after all are charged, each once."""

    async def main() -> None:
        async with opened(server.url) as box:
            await box.until(up=True)
            server.pause()
            calls = [box.submit() for _ in range(20)]
            await asyncio.sleep(0)
            server.resume()
            assert [(await call).usages[0].used for call in calls] == list(range(1, 21))

    run(main())


def test_redis_that_stalls_before_the_first_answer(server: RedisServer) -> None:
    """A call that waits for the first contact is given up in time, never charged, and recovery comes by itself."""

    async def main() -> None:
        server.pause()
        async with opened(server.url, within=SHORT) as box:
            assert await timed_out([box.submit(), box.submit(op=Op.PEEK)])
            server.resume()
            await box.until(up=True)
            async with opened(server.url, name=box.account) as patient:
                await patient.until(up=True)
                assert (await patient.submit()).usages[0].used == 1
            assert calls_of_the_script(server) == 1

    run(main())


def test_a_call_before_redis_said_what_time_it_is(server: RedisServer) -> None:
    """The very first call is refused as late and asked again with a deadline, so that it is charged once or never."""

    async def main() -> None:
        async with opened(server.url) as box:
            assert (await box.submit()).usages[0].used == 1
            assert calls_of_the_script(server) == 2
            assert (await box.submit()).usages[0].used == 2
            assert calls_of_the_script(server) == 3

    run(main())


def test_start_before_redis(server: RedisServer) -> None:
    """The store opens while Redis is down; calls fail at once, and all is well when it comes."""

    async def main() -> None:
        async with opened(server.url) as box:
            assert "no connection" in await refused(box.submit())
            assert "the link to Redis is down" in await refused(box.submit())
            assert (box.store.up, box.states) == (False, [False])
            await asyncio.to_thread(server.start)
            await box.until(up=True)
            assert (await box.submit()).usages[0].used == 1

    server.stop()
    run(main())


@pytest.mark.parametrize(("given", "word"), [("", "NOAUTH"), ("wrong", "WRONGPASS")])
def test_a_password_that_redis_does_not_take(given: str, word: str) -> None:
    """The error has Redis' own reason, where, and whose password it was; it comes up when Redis takes that one."""

    async def main(server: RedisServer) -> None:
        async with opened(server.url, password=given) as box:
            origin = f"password of {box.directory}/password" if given else "no store.password_file"
            assert re.search(rf"{word} .* \({server.url}; {origin}\)$", await refused(box.submit()))
            await asyncio.to_thread(server.client().config_set, "requirepass", given)
            await box.until(up=True)
            assert (await box.submit()).admitted

    with running(password="right") as server:
        run(main(server))


def test_a_password_that_is_changed() -> None:
    """Each connection is made with what the file holds then, and one that cannot be read says so."""

    async def main(server: RedisServer) -> None:
        async with opened(server.url, password="old") as box:
            await box.submit()
            file = box.directory / "password"
            file.unlink()
            with server.client() as client:
                client.config_set("requirepass", "new")
                client.client_kill_filter(_type="normal", skipme=True)
            await box.until(up=False)
            await eventually(lambda: f"{file}: the file is not there" in box.store.trouble, "that is why")
            write_secret(file, "new")
            await box.until(up=True)
            assert await box.used() == 1

    with running(password="old") as server:
        run(main(server))


def test_a_replica_that_may_not_write(server: RedisServer) -> None:
    """READONLY is no answer, and charges nothing."""
    _refusal(server, lambda client: client.execute_command("REPLICAOF", "127.0.0.1", "1"), "READONLY")
    server.client().execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]


def test_redis_without_memory(server: RedisServer) -> None:
    """OOM under noeviction is no answer; after it nothing is half charged."""
    _refusal(server, lambda client: client.config_set("maxmemory", 1), "OOM")


def test_redis_that_cannot_save(server: RedisServer) -> None:
    """MISCONF (the last dump failed) is no answer."""

    def break_dumps(client: object) -> None:
        client.config_set("save", "3600 1")  # type: ignore[attr-defined]
        (server.directory / "dump.rdb").mkdir()
        client.execute_command("BGSAVE")  # type: ignore[attr-defined]

    _refusal(server, break_dumps, "MISCONF", wait="rdb_last_bgsave_status")


def _refusal(server: RedisServer, break_it: object, word: str, wait: str = "") -> None:
    """Break Redis under a store, and hold that calls fail with Redis' word and that nothing was charged."""

    async def main() -> None:
        client = server.client()
        async with opened(server.url) as box:
            limits = (charge(400), charge(100, limit="exact"), charge(0, limit="none", observed=True))
            assert (await box.submit(*limits)).admitted
            break_it(client)  # type: ignore[operator]
            if wait:
                await eventually(lambda: client.info("persistence")[wait] == "err", "the dump fails")
            for _ in range(2):
                assert (await refused(box.submit(*limits))).startswith(f"store charge: {word} ")
            assert word in await refused(
                box.submit(*limits, op=Op.SETTLE, of=record("m0", state="END-OF-MESSAGE", recipients=9))
            )
            looked = await box.submit(*limits, op=Op.PEEK)
            assert [usage.used for usage in looked.usages] == [1, 1, 1]

    run(main())


def test_redis_that_is_loading(tmp_path: Path) -> None:
    """While Redis reads its data calls fail with LOADING, and the store comes up when it is done."""
    slow = tmp_path / "redis-server"
    options = "--key-load-delay 15000 --loading-process-events-interval-bytes 1024"
    slow.write_text(f'#!/bin/sh\nexec {binaries()["system"]} "$@" {options}\n')
    slow.chmod(0o700)

    async def main(server: RedisServer) -> None:
        starting = asyncio.create_task(asyncio.to_thread(server.start))
        await eventually(server.socket.exists, "the socket is there")
        words = set()
        async with opened(server.url) as box:
            while not box.store.up:
                try:
                    await box.submit()
                except StoreUnavailable as error:
                    words.add(str(error).partition(":")[2].strip())
                box.changed.clear()
                await asyncio.wait([asyncio.create_task(box.changed.wait())], timeout=0.02)
            await starting
            assert any("LOADING" in word for word in words)
            assert (await box.submit()).admitted

    with running() as server:
        with server.client() as client:
            client.mset({f"key{n}": "x" * 2000 for n in range(300)})
            client.save()
        server.stop()
        server.binary = str(slow)
        run(main(server))


def test_redis_with_too_many_clients(server: RedisServer) -> None:
    """What Redis says before it hangs up is the reason; when there is room the store comes up."""

    async def main() -> None:
        with server.client() as client:
            client.config_set("maxclients", 1)
            async with opened(server.url) as box:
                assert "max number of clients" in await refused(box.submit())
                client.config_set("maxclients", 100)
                await box.until(up=True)
                assert (await box.submit()).admitted

    run(main())


def test_a_host_that_does_not_exist() -> None:
    """A name that cannot be resolved, or is none, fails calls and nothing else."""

    async def main(url: str) -> None:
        async with opened(url) as box:
            assert "no connection" in await refused(box.submit())

    run(main("redis://nowhere.invalid:6379"))
    run(main("redis://a..b:6379"))
    run(main(f"unix:///tmp/none-{os.getpid()}.sock"))
