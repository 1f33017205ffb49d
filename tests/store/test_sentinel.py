"""The store behind real sentinels: whoever is the master is found, and counting goes on there."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import suppress

import pytest
from redis.exceptions import ConnectionError  # noqa: A004

from policyd.errors import StoreError, StoreUnavailable
from tests.store.opened import Opened, eventually, opened, refused, run
from tests.store.scripted import charge
from tests.support.certificate import Certificate
from tests.support.redis import RedisServer
from tests.support.redis_user import PASSWORD, grant
from tests.support.secretfile import write_secret
from tests.support.sentinels import NAME, Watched, watched

TIMEOUT = 250
"""As shipped, in ms."""


@pytest.fixture
def servers() -> Iterator[Watched]:
    """Run a master, a replica and three sentinels, all with passwords."""
    with watched(servers="secret") as found:
        yield found


def replicated(servers: Watched) -> None:
    """Return when the replica has what the master has."""
    with servers.master().client() as client:
        assert client.wait(1, 5000) == 1


def scripts_run(server: RedisServer) -> int:
    """Return how many calls of the script a server has run."""
    # The sentinels hang up on everybody when they promote a server.
    with server.client() as client, suppress(ConnectionError):
        return int(client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])
    return 0


async def goes_on(box: Opened) -> float:
    """Return after how many seconds a call is answered again."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        with suppress(StoreError):
            await box.submit()
            return loop.time() - began
        await box.changes()


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_a_master_that_dies_or_freezes(servers: Watched, fault: str) -> None:
    """Counting goes on at the new master within seconds, from what was replicated, and the old one is left for good."""

    async def main() -> None:
        async with opened(servers.url, within=TIMEOUT, password="secret") as box:
            await box.until(up=True)
            for _ in range(10):
                await box.submit()
            replicated(servers)
            old = servers.master()
            await asyncio.to_thread(getattr(old, fault))
            assert await goes_on(box) < 15
            assert servers.master() is not old
            assert await box.used() == 11
            await asyncio.to_thread(old.resume if fault == "pause" else old.start)
            assert (await box.submit()).usages[0].used == 12
            assert box.states[:3] == [True, False, True]

    run(main())


def test_a_failover_under_load(servers: Watched) -> None:
    """An ordered failover is noticed within 3 s; what the former master took meanwhile is all that is lost."""

    async def main() -> None:
        async with opened(servers.url, within=TIMEOUT, password="secret") as box:
            await box.until(up=True)
            loop, limit, new = asyncio.get_running_loop(), charge(100_000), servers.other()
            admitted, unanswered, ordered = list[float](), 0, False
            while not scripts_run(new):
                calls = await asyncio.gather(*(box.submit(limit) for _ in range(8)), return_exceptions=True)
                admitted += [loop.time() for call in calls if not isinstance(call, BaseException)]
                unanswered += sum(isinstance(call, StoreError) for call in calls)
                if not ordered:
                    servers.sentinel().sentinel_failover(NAME)
                    ordered = True
            used = await box.used()
            meanwhile = sum(at > loop.time() - 3 for at in admitted)
            print(f"of {len(admitted)} admitted {len(admitted) - used} are lost; {unanswered} had no answer")
            assert len(admitted) - meanwhile <= used <= len(admitted) + unanswered

    run(main())


def test_a_master_killed_under_load(servers: Watched) -> None:
    """What is lost is at most what the replica had not yet: here less than a second of calls."""

    async def main() -> None:
        async with opened(servers.url, within=TIMEOUT, password="secret") as box:
            await box.until(up=True)
            loop, limit, before = asyncio.get_running_loop(), charge(10_000), list[float]()
            while len(before) < 2000:
                await asyncio.gather(*(box.submit(limit) for _ in range(8)))
                before += [loop.time()] * 8
            killed = loop.time()
            await asyncio.to_thread(servers.master().kill)
            gap = await goes_on(box)
            lost = len(before) + 1 - await box.used()
            print(f"{lost} of {len(before)} lost, answers again after {gap:.1f} s")
            assert 0 <= lost <= sum(at > killed - 1 for at in before)

    run(main())


def test_a_master_without_its_replica() -> None:
    """With min-replicas-to-write a master that is cut off refuses to count: what it took would be lost."""

    async def main(servers: Watched) -> None:
        async with opened(servers.url) as box:
            await box.until(up=True)
            await box.submit()
            servers.other().pause()
            why = ""
            while not why:
                with suppress(StoreUnavailable):
                    await box.submit()
                    continue
                why = await refused(box.submit())
            assert "NOREPLICAS" in why

    with watched(extra=("--min-replicas-to-write", "1", "--min-replicas-max-lag", "1")) as servers:
        run(main(servers))


def test_a_sentinel_less(servers: Watched) -> None:
    """A sentinel that is not there is passed over."""

    async def main() -> None:
        url = servers.url.replace("sentinel://", "sentinel://127.0.0.1:1,")
        async with opened(url, password="secret") as box:
            assert (await box.submit()).admitted
            await eventually(lambda: box.store.sentinels_up == 3, "the others name the master")

    run(main())


def test_a_master_that_no_sentinel_knows(servers: Watched) -> None:
    """The error names the master, and says what the sentinels say."""

    async def main() -> None:
        async with opened(servers.url.replace(NAME, "other"), password="secret") as box:
            why = await refused(box.submit())
            assert box.store.sentinels_up == 0
        assert "no sentinel names the master other" in why
        assert "No such master" in why

    run(main())


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Run them by TLS, with passwords of servers and sentinels, and the user that the README makes."""
    certificate = Certificate(tmp_path_factory.mktemp("tls"))
    with watched(servers="root", sentinels="watch", certificate=certificate) as found:
        for server in found.servers:
            grant(server)
        yield found


def test_secrets_of_each_kind(secured: Watched) -> None:
    """By TLS, as a user of few rights, in another database and past the sentinels' password: through a failover."""

    async def main() -> None:
        url = secured.named("policyd", "2")
        async with opened(url, password=PASSWORD, sentinel_password="watch") as box:
            await box.submit()
            replicated(secured)
            new = secured.other()
            secured.sentinel().sentinel_failover(NAME)
            await eventually(lambda: secured.named_now() == {new.port}, "the sentinels name the other one")
            await goes_on(box)
            assert await box.used() == 2
            await box.store.probe()
            with secured.master().client() as client:
                assert set(client.info("keyspace")) == {"db2"}

    run(main())


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"password": "x"}, "WRONGPASS"),
        ({"sentinel_password": "x"}, "no sentinel names .* counters: .*invalid .*password of .*/sentinel_password"),
        ({"sentinel_password": ""}, "no sentinel names .* counters: .*Auth.* required.*no store.sentinel_pass"),
        ({"url": "?"}, "certificate verify failed"),
    ],
    ids=["the user's password", "the sentinels' password", "none for the sentinels", "no certificate"],
)
def test_a_secret_that_is_wrong(secured: Watched, wrong: dict[str, str], why: str) -> None:
    """The error says which: that of the sentinels names the master that they did not name."""

    async def main() -> None:
        url = secured.named("policyd").partition(wrong.get("url", " "))[0]
        secrets, before = {"password": PASSWORD, "sentinel_password": "watch", **wrong, "url": url}, secured.clients()
        async with opened(**secrets) as box:  # type: ignore[arg-type]
            said = await refused(box.submit())
            # On a busy machine a sentinel may have no time for the question; the others answer.
            while not re.search(why, said):
                assert "Timeout" in said
                await box.changes()
                said = await refused(box.submit())
        # Who is turned away by TLS hangs up without waiting for the other end; a loop that ends then complains.
        await eventually(lambda: secured.clients() <= before, "the sentinels see that all have hung up")
        await asyncio.to_thread(secured.clients)  # the loop hears their end of it meanwhile

    run(main())


def test_passwords_that_are_changed(secured: Watched) -> None:
    """Those of the sentinels and of the user are read for each connection."""

    async def main() -> None:
        url = secured.named("policyd", "2")
        async with opened(url, password="x", sentinel_password="y") as box:
            assert "no sentinel names" in await refused(box.submit())
            write_secret(box.directory / "sentinel_password", "watch")
            await eventually(lambda: "WRONGPASS" in box.store.trouble, "the sentinels are asked")
            write_secret(box.directory / "password", PASSWORD)
            await box.until(up=True)
            assert (await box.submit()).admitted

    run(main())
