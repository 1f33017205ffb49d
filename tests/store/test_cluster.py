"""The store in a real Redis Cluster: each decision on one node, whatever becomes of the slots meanwhile."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis.crc import key_slot

from policyd.errors import StoreError
from policyd.event import Event, EventKind
from policyd.store import keys
from policyd.store.base import Op
from policyd.store.index import Entry, Index
from policyd.store.last import LastLogins
from policyd.store.reset import forget
from policyd.store.trail import Trail
from policyd.suspension import Suspended, Suspensions
from tests.store.opened import Opened, eventually, opened, refused, run
from tests.store.scripted import account, charge, record
from tests.support.certificate import Certificate
from tests.support.cluster import Move, Nodes, cluster
from tests.support.redis_user import PASSWORD, grant
from tests.support.secretfile import write_secret

TIMEOUT = 1000
NOW = 1_800_000_000_000


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Run a cluster for all tests here; accounts are new for each."""
    with cluster() as found:
        yield found


async def counting(box: Opened) -> tuple[int, int]:
    """Ask again and again until cancelled; return how many calls were admitted, and how many got no answer."""
    admitted = unanswered = 0
    with suppress(asyncio.CancelledError):
        while True:
            calls = await asyncio.gather(*(box.submit(charge(10_000)) for _ in range(4)), return_exceptions=True)
            admitted += sum(not isinstance(call, BaseException) and call.admitted for call in calls)
            unanswered += sum(isinstance(call, StoreError) for call in calls)
    return admitted, unanswered


def test_all_keys_of_a_decision_share_a_slot(nodes: Nodes) -> None:
    """Charges of each kind, refusals, settlements and give-backs of many accounts: one slot each, on all nodes."""

    async def main() -> set[str]:
        names = set()
        async with opened(nodes.url, within=TIMEOUT) as box:
            for _ in range(20):
                box.account = account()
                names.add(box.account)
                limits = (charge(200), charge(1, limit="exact"), charge(3, limit="locked", lock=60_000))
                for _ in range(3):
                    await box.submit(*limits)
                await box.submit(*limits, op=Op.SETTLE, of=record("m0", state="END-OF-MESSAGE", recipients=5))
                await box.submit(*limits, op=Op.GIVE_BACK, of=record("m0"))
                await box.submit(*limits, op=Op.PEEK)
        return names

    names = run(main())
    found = nodes.stored()
    assert all(found)
    for name in names:
        stored = [key for each in found for key in each if key.startswith(keys.tag(name))]
        assert len(stored) >= 4
        assert {key_slot(key) for key in stored} == {key_slot(keys.tag(name))}


def test_what_people_look_up(nodes: Nodes) -> None:
    """The index, the trails, the last logins, suspensions and resets work across all nodes."""

    async def main() -> None:
        async with opened(nodes.url, within=TIMEOUT) as box:
            await box.until(up=True)
            index, trail = Index(box.store), Trail(box.store)
            last, suspensions = LastLogins(box.store), Suspensions(box.store)
            entry = Entry(box.account, "hourly", "x")
            index.used(entry, 0.5, NOW, 1000)
            index.episode("REF", {"a": 1})
            last.logged_in(f"a@{box.account}", "pop3", NOW)
            await asyncio.gather(index.flush(), last.flush())
            await trail.write(Event(NOW, EventKind.RESUME, box.account, "x", "me", "why"))
            await suspensions.put(Suspended(box.account, "domain", "x", NOW, 0, "me", "why", "REF"))
            await suspensions.refresh(NOW)
            await forget(box.store, box.account, "hourly", "x")
            await box.store.probe()

            assert entry in await index.fullest()
            assert await index.story("REF") == {"a": 1}
            assert (await last.seen([f"a@{box.account}"], 1))[0].pop3 == NOW // 86_400_000
            assert len((await trail.of(box.account, 5)).events) == 1
            assert suspensions.find(box.account, ["domain"], NOW) is not None

    run(main())


def test_a_slot_that_moves_under_load(nodes: Nodes) -> None:
    """Of the calls while a slot moves none is lost, none is charged twice, and all are answered."""

    async def main() -> None:
        async with opened(nodes.url, within=TIMEOUT) as box:
            await box.until(up=True)
            for _ in range(50):
                await box.submit(charge(10_000))
            load = asyncio.create_task(counting(box))
            move = Move(nodes, keys.tag(box.account))
            for step in (move.begin, move.keys, move.end):
                await asyncio.to_thread(step)
            for _ in range(50):
                await box.submit(charge(10_000))
            load.cancel()
            admitted, unanswered = await load
            assert unanswered == 0
            in_flight = 4
            used = await box.used()
            assert 100 + admitted <= used <= 100 + admitted + in_flight

    run(main())


def test_a_slot_that_stays_half_moved(nodes: Nodes) -> None:
    """While keys stand on two nodes nothing is charged; commands of one key follow ASK; afterwards all goes on."""

    async def main() -> None:
        async with opened(nodes.url, within=TIMEOUT) as box:
            await box.until(up=True)
            await box.submit()
            move = Move(nodes, keys.tag(box.account))
            await asyncio.to_thread(move.begin)
            assert "TRYAGAIN" in await refused(box.submit())
            key = keys.tag(box.account) + b"alone"
            await box.store.command("SET", key, b"here", "PX", 60_000)
            assert await box.store.command("GET", key) == b"here"
            await asyncio.to_thread(move.keys)
            said = await refused(box.submit())  # what the one or the other node said last
            assert "TRYAGAIN" in said or "ASK" in said
            await asyncio.to_thread(move.end)
            assert (await box.submit()).usages[0].used == 2

    run(main())


def test_nodes_that_forgot_the_script(nodes: Nodes) -> None:
    """Each node that lacks the script is given it with the call."""

    async def main() -> None:
        async with opened(nodes.url, within=TIMEOUT) as box:
            await box.until(up=True)
            for server in nodes.masters():
                server.client().script_flush()
            for _ in range(10):
                box.account = account()
                assert (await box.submit()).usages[0].used == 1

    run(main())


def test_a_node_that_dies(nodes: Nodes) -> None:
    """Its replica takes over within seconds, and what it had not heard of is lost; other accounts are counted on."""

    async def main() -> None:
        async with opened(nodes.url, within=250) as box:
            await box.until(up=True)
            loop, mine, before = asyncio.get_running_loop(), box.account, list[float]()
            dead = nodes.owner(keys.tag(mine))
            others = next(name for name in iter(account, "") if nodes.owner(keys.tag(name)) is not dead)
            while len(before) < 2000:
                await asyncio.gather(*(box.submit(charge(10_000)) for _ in range(8)))
                before += [loop.time()] * 8
            killed = loop.time()
            await asyncio.to_thread(dead.kill)
            used = None
            while used is None:
                with suppress(StoreError):
                    used = await box.used()
                box.account = others
                assert (await box.submit(charge(10_000))).admitted
                box.account = mine
                await box.changes()
            print(f"{len(before) - used} of {len(before)} lost, answers again after {loop.time() - killed:.1f} s")
            assert 0 <= len(before) - used <= sum(at > killed - 1 for at in before)
            assert loop.time() - killed < 10
            await box.until(up=True)
            assert box.states[:2] == [True, False]
            await asyncio.to_thread(dead.start)
            await eventually(nodes.whole, "the node is back as a replica")

    run(main())


def test_by_tls_as_a_user(tmp_path: Path) -> None:
    """Nodes that want a certificate of each client, and a user of few rights: all slots are found and counted on."""

    async def main(nodes: Nodes) -> None:
        async with opened(nodes.named("policyd"), within=TIMEOUT, password=PASSWORD) as box:
            await box.until(up=True)
            await box.store.probe()
            for _ in range(10):
                box.account = account()
                assert (await box.submit()).usages[0].used == 1
        assert all(nodes.stored())
        async with opened(nodes.named("policyd"), within=TIMEOUT, password="x") as box:
            assert "WRONGPASS" in await refused(box.submit())
            write_secret(box.directory / "password", PASSWORD)
            await box.until(up=True)
            assert (await box.submit()).admitted

    asking = ("--tls-auth-clients", "yes")
    with cluster(replicas=0, password="root", certificate=Certificate(tmp_path), extra=asking) as nodes:
        for server in nodes.servers:
            grant(server)
        run(main(nodes))
