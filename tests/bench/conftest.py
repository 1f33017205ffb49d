"""What the tests of the load generator share."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.load import BENCH, COMPILE, RawServer
from tests.support.responder import Request, Responder


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the load generator."""
    program = tmp_path_factory.mktemp("bench") / "load"
    subprocess.run([*COMPILE, str(program), str(BENCH / "load.c")], check=True)
    return program


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return a directory whose path is short enough for a socket."""
    path = Path(tempfile.mkdtemp(prefix="pd", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def responder(directory: Path) -> Iterator[Callable[[Callable[[Request], str]], Responder]]:
    """Return a function that starts a responder."""
    started: list[Responder] = []

    def start(answer: Callable[[Request], str]) -> Responder:
        started.append(Responder(directory / "policy", answer))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def raw_server(directory: Path) -> Iterator[RawServer]:
    """Return a server that answers with whatever bytes a test gives it."""
    server = RawServer(directory / "raw")
    server.start()
    yield server
    server.stop()
