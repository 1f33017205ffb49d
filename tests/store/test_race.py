"""Two daemons on one Redis, many connections each: exactly max is let through."""

import asyncio
from collections.abc import Iterator
from threading import Barrier

import pytest

from policyd.store.base import Call, Op
from tests.store.opened import Opened, opened
from tests.store.scripted import account, charge, record
from tests.support.loop import LoopThread
from tests.support.redis import RedisServer

CONNECTIONS, MESSAGES = 32, 20


@pytest.fixture
def daemons() -> Iterator[dict[str, LoopThread]]:
    """Run two loops in two threads."""
    threads = {name: LoopThread(name) for name in ("one", "two")}
    yield threads
    for thread in threads.values():
        thread.close()


@pytest.mark.parametrize("maximum", [400, 100], ids=["ring", "log"])
def test_exactly_max_is_let_through(redis_of_kind: RedisServer, daemons: dict[str, LoopThread], maximum: int) -> None:
    """64 connections that ask at the same time, one message after the other, share one limit."""
    name, together = account(), Barrier(len(daemons))

    async def daemon(host: str) -> int:
        async with opened(redis_of_kind.url, name=name) as box:
            await box.until(up=True)
            await asyncio.to_thread(together.wait, 30)
            return sum(await asyncio.gather(*(connection(box, f"{host}-{n}") for n in range(CONNECTIONS))))

    async def connection(box: Opened, client: str) -> int:
        admitted = 0
        for number in range(MESSAGES):
            charges = (charge(maximum), charge(10**6, limit="all"))
            admitted += (await box.store.ask(Call(Op.CHARGE, name, record(f"{client}-{number}"), charges))).admitted
        return admitted

    running = [asyncio.run_coroutine_threadsafe(daemon(host), thread.loop) for host, thread in daemons.items()]
    assert sum(future.result(60) for future in running) == maximum
