"""The disk of the log is full: mail is decided as always, and what is missing is told afterwards."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import pytest

from tests.support.asker import Asker
from tests.support.daemon import rate
from tests.support.process import Process, configuration
from tests.support.programs import require
from tests.support.redis import RedisServer
from tests.support.wait import until

ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}
SIZE = 65_536
RETRIED = 0.5  # seconds, well over those after which policyd tries again to write


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a directory on a disk of its own, with room for SIZE bytes."""
    mount = [require("mount", root=True), "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(tmp_path)]
    subprocess.run(mount, check=True)
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def refused(asker: Asker) -> bool:
    """Ask what is refused, and so logged."""
    return asker.ask(**ALICE).startswith("550 5")


def told(asker: Asker, log: Path) -> bool:
    """Go on while the disk is full, make room, go on, and return whether the log says what is missing.

    What comes until policyd has tried once more is written when there is room, so it takes more than that.
    """
    end = monotonic() + RETRIED
    while log.stat().st_size < SIZE or monotonic() < end:
        assert refused(asker)
    log.write_text("")
    assert refused(asker)
    assert refused(asker)
    return "lines of the decision log lost: No space left on device" in log.read_text()


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
            until(lambda: told(asker, log), "it is told")
