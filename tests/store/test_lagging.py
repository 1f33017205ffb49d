"""Redis fails over to a host whose clock lags: two redis-servers, the second 30 s behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from policyd.model import Charge, CounterType
from tests.store.scripted import RATE_TYPES, Customer, Scripted, charge
from tests.support.programs import require
from tests.support.redis import RedisServer, Transport, binaries, running

pytestmark = pytest.mark.e2e

LAG, MAX, BEFORE = 30, 20, 15


@pytest.fixture
def lagging(tmp_path: Path) -> str:
    """Return a redis-server whose wall clock is behind; its monotonic one is right.

    It is the wheel's: the system's allocates memory in a way that faketime cannot live with.
    """
    require("faketime")
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    program = tmp_path / "redis-server"
    faked = f"LD_PRELOAD={library} FAKETIME=-{LAG}s FAKETIME_DONT_FAKE_MONOTONIC=1"
    program.write_text(f'#!/bin/sh\n{faked} exec {binaries()["wheel"]} "$@"\n', "ascii")
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def pair(lagging: str) -> Iterator[tuple[RedisServer, RedisServer]]:
    """Run a primary, and a replica of it that lags."""
    with running(transport=Transport.TCP, binary=binaries()["wheel"]) as primary:
        options = ("--replicaof", "127.0.0.1", str(primary.port), "--repl-diskless-sync-delay", "0")
        with running(transport=Transport.TCP, binary=lagging, options=options) as replica:
            yield primary, replica


@pytest.mark.parametrize("type_", RATE_TYPES)
def test_no_more_than_the_cap(pair: tuple[RedisServer, RedisServer], type_: CounterType) -> None:
    """15 pass on the primary, which is killed; on the one that lags 5 more pass, and then none."""
    primary, replica = pair
    one = charge(MAX, type=type_)
    with primary.client() as client:
        assert admitted(client, BEFORE, one) == BEFORE
        assert client.wait(1, 10_000) == 1
        ahead = seconds(client)
    with replica.client() as client:
        assert ahead - seconds(client) >= LAG - 5
        primary.kill()
        client.replicaof("NO", "ONE")
        assert admitted(client, MAX, one) == MAX - BEFORE


def admitted(client: "redis.Redis", times: int, one: Charge) -> int:
    """Return how many of so many charges are admitted, by the time of Redis."""
    customer = Customer(Scripted(client), "lagging.example")
    return sum(customer.charge(one, now=0).admitted for _ in range(times))


def seconds(client: "redis.Redis") -> int:
    """Return what time it is at a Redis."""
    return int(client.time()[0])
