"""Each redis-server, each event loop, and a state directory with a short path."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from tests.support.embedded import Hold, Holder, Run, end
from tests.support.redis import binaries


@pytest.fixture(params=list(binaries()))
def binary(request: pytest.FixtureRequest) -> str:
    """Return each redis-server in turn."""
    return binaries()[request.param]


@pytest.fixture
def directory() -> Iterator[Path]:
    """Yield a state directory with a short path; whatever runs in it is ended."""
    with tempfile.TemporaryDirectory(prefix="pd", dir="/tmp") as name:
        path = Path(name)
        yield path
        left = path / "redis.pid"
        if left.exists() and left.read_text().strip().isdecimal():
            end(int(left.read_text()))


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    """Return the name of each event loop in turn."""
    return str(request.param)


@pytest.fixture
def run(loop: str) -> Iterator[Run]:
    """Yield what runs a coroutine on the loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop) as runner:
        yield runner.run


@pytest.fixture
def hold(directory: Path) -> Iterator[Hold]:
    """Yield what starts a daemon that holds an embedded Redis in the directory; all are ended."""
    holders: list[Holder] = []

    def start(binary: str, loop: str = "uvloop") -> Holder:
        holders.append(Holder(directory, binary, loop))
        return holders[-1]

    yield start
    for holder in holders:
        holder.end()
