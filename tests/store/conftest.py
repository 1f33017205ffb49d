"""One redis-server of each kind for all tests of the store that only need the script."""

from collections.abc import Iterator

import pytest

from tests.store.scripted import Customer, Scripted
from tests.support.redis import RedisServer, binaries, running


@pytest.fixture(scope="session", params=list(binaries()))
def redis_of_kind(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """Run each redis-server in turn; tests must use accounts of their own."""
    with running(binary=binaries()[request.param]) as server:
        yield server


@pytest.fixture(scope="session")
def scripted(redis_of_kind: RedisServer) -> Iterator[Scripted]:
    """Yield the script on each redis-server."""
    with redis_of_kind.client() as client:
        yield Scripted(client)


@pytest.fixture
def customer(scripted: Scripted) -> Customer:
    """Return an account that is new."""
    return Customer(scripted)
