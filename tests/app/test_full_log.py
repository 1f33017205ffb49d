"""The disk of the log is full: mail is decided as always, and what is missing is told afterwards."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.asker import Asker
from tests.support.daemon import rate
from tests.support.process import Process, configuration
from tests.support.programs import require
from tests.support.redis import RedisServer
from tests.support.wait import until

ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}
SIZE = 65_536


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a directory on a disk of its own, with room for SIZE bytes."""
    mount = [require("mount", root=True), "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(tmp_path)]
    subprocess.run(mount, check=True)
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def told(asker: Asker, log: Path) -> bool:
    """Make room, have one more line written, and return whether the log says what is missing.

    Lines that waited for room may have filled it again.
    """
    if log.stat().st_size == SIZE:
        log.write_text("")
    asker.ask(**ALICE)
    return "lines of the decision log were lost: No space left on device" in log.read_text()


def test_a_full_log_stops_nothing(redis_server: RedisServer, small_disk: Path) -> None:
    """Refusals are answered while none of them can be logged; with room again a line says how many are missing."""
    log = small_disk / "log"
    with ExitStack() as ending:
        daemon = Process(configuration(redis_server.url, ["a.test"], {"domain-hourly": rate(1)}))
        ending.callback(daemon.remove)
        daemon.write()
        daemon.launch(around=["sh", "-c", f'exec "$@" 2>>{log}', "sh"])
        daemon.wait_ready()
        with daemon.asker() as asker:
            assert asker.ask(**ALICE) == "DUNNO"
            assert {asker.ask(**ALICE)[:5] for _ in range(600)} == {"550 5"}
            assert log.stat().st_size == SIZE
            until(lambda: told(asker, log), "it is told")
