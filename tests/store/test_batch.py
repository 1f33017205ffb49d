"""Many calls in one go, each at a moment that is named."""

import asyncio

import pytest

from policyd.errors import StoreUnavailable
from policyd.model import Charge, Outcome
from policyd.store.base import Call, Op
from policyd.store.batch import Batch, Dated
from tests.store.scripted import NOON, Customer, Scripted, charge
from tests.support.redis import RedisServer, running


def answered(server: RedisServer, *batches: list[Dated], clear: bool = False) -> list[list[Outcome]]:
    """Return the outcomes of batches that are all sent before the first is received."""

    async def run() -> list[list[Outcome]]:
        batch = await Batch.opened(server.socket)
        for calls in batches:
            batch.send(calls)
        outcomes = [await batch.receive() for _ in batches]
        if clear:
            await batch.clear()
            batch.send(batches[0])
            outcomes.append(await batch.receive())
        await batch.close()
        return outcomes

    return asyncio.run(run())


def dated(at: int, *charges: Charge) -> Dated:
    """Return a charge at a moment."""
    return Dated(Call(Op.CHARGE, "example.org", None, charges), at)


def test_as_one_by_one(redis_server: RedisServer) -> None:
    """A call of a batch is answered as if it were alone, at its own moment."""
    charges = [charge(cost=cost, max_=max_) for cost, max_ in ((100, 400), (300, 400), (1, 400), (1, 500))]
    calls = [dated(NOON + at, one) for at, one in enumerate(charges)]
    found = [one for outcomes in answered(redis_server, calls[:3], calls[3:]) for one in outcomes]
    with running() as other, other.client() as client:
        customer = Customer(Scripted(client), "example.org")
        expected = [customer.charge(one, now=NOON + at) for at, one in enumerate(charges)]

    assert [(one.admitted, one.now, one.usages[0][:3]) for one in found] == [
        (one.admitted, one.now, one.usages[0][:3]) for one in expected
    ]


def test_cleared(redis_server: RedisServer) -> None:
    """An emptied store counts anew."""
    first, again = answered(redis_server, [dated(NOON, charge(max_=1))], clear=True)

    assert first == again


def test_no_store(redis_server: RedisServer) -> None:
    """A store that is not there, or goes away, is an error."""
    redis_server.kill()

    with pytest.raises(StoreUnavailable):
        answered(redis_server, [])
