"""A world of daemons on one real Redis, emptied for each test."""

from collections.abc import Iterator

import pytest
import uvloop

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
