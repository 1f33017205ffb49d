"""What tests of the servers share: both event loops, and a directory for sockets."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Return what runs a scenario to its end, on each kind of event loop."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield lambda scenario: runner.run(asyncio.wait_for(scenario, 60))


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """Return a directory whose path leaves room for the name of a unix socket."""
    directory = Path(tempfile.mkdtemp(prefix="pd", dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)
