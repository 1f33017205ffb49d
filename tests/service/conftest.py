"""A world of daemons on one real Redis, emptied for each test."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from policyd.conf.load import load
from policyd.conf.schema import Config, SizeLimit, Terms
from policyd.model import Mode
from tests.support.config import config
from tests.support.deciding import World
from tests.support.redis import RedisServer, running


@pytest.fixture(scope="module")
def module_redis() -> Iterator[RedisServer]:
    """Run a redis-server for the tests of a module."""
    with running() as server:
        yield server


@pytest.fixture
def world(module_redis: RedisServer) -> Iterator[World]:
    """Return a world whose Redis is empty."""
    client = module_redis.client()
    client.flushall()
    client.close()
    loop = uvloop.new_event_loop()
    made = World(loop, module_redis.url)
    try:
        yield made
    finally:
        made.close()
        loop.close()


@pytest.fixture(scope="module")
def shipped() -> Config:
    """Return the shipped configuration with its limits of size alone, enforced, for example.org."""
    read, site = load(Path(__file__).parents[2] / "config" / "policyd.yaml"), config()
    plans = {
        name: Terms(name, tuple(limit for limit in terms.limits if isinstance(limit, SizeLimit)))
        for name, terms in read.plans.items()
    }
    return replace(read, mode=Mode.ENFORCE, plans=plans, accounts=site.accounts)
