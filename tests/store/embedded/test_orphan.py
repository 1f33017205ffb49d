"""What a killed daemon leaves behind, and what the next one does about it."""

import logging
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from policyd.errors import StateDirectoryError
from policyd.store.embedded import EmbeddedRedis, Patience
from tests.support.embedded import Hold, Run, client, ended, wait_for_end
from tests.support.redis import RedisServer


def test_killed_daemon_takes_its_child_along(directory: Path, binary: str, loop: str, hold: Hold) -> None:
    """After kill -9 of the daemon its child ends in good order, and the next daemon has every count."""
    first = hold(binary, loop)
    child = int(first.said())
    with client(directory) as asked:
        asked.incrby("count", 41)

    first.end()

    wait_for_end(child)
    second = hold(binary, loop)
    other = int(second.said())
    with client(directory) as asked:
        assert asked.incr("count") == 42
    assert other != child


def test_orphan_is_ended_never_adopted(directory: Path, binary: str, run: Run, hold: Hold) -> None:
    """A child that outlives its killed daemon is ended by the next one, which starts its own with all counts."""

    async def scene() -> None:
        store = EmbeddedRedis(directory, binary=binary, patience=Patience(end=0.2))
        await store.start()
        with client(store) as asked:
            assert asked.incr("count") == 42
        assert ended(orphan)
        assert store.pid != orphan
        await store.stop()

    holder = hold(binary)
    orphan = int(holder.said())
    with client(directory) as asked:
        asked.incrby("count", 41)
    os.kill(orphan, signal.SIGSTOP)
    holder.end()
    assert not ended(orphan)

    run(scene())


def test_orphan_may_end_in_good_order(directory: Path, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """An orphan that can still end by itself is not killed."""

    async def scene() -> None:
        store = EmbeddedRedis(directory)
        await store.start()
        await store.stop()

    orphan = RedisServer(directory, append=True)
    orphan.start()
    (directory / "redis.pid").write_text(f"{orphan.pid}\n")
    with caplog.at_level(logging.INFO):
        run(scene())

    assert f"ending the redis-server of a former daemon (pid {orphan.pid})" in caplog.text
    assert "killed" not in caplog.text
    assert "bye bye" in (directory / "redis.log").read_text()
    orphan.stop()


def test_pid_of_another_program_is_left_alone(directory: Path, run: Run) -> None:
    """A pid file whose pid belongs to some other process now costs that process nothing."""

    async def scene() -> None:
        store = EmbeddedRedis(directory)
        await store.start()
        await store.stop()

    with subprocess.Popen(["sleep", "60"], cwd=directory) as stranger:
        (directory / "redis.pid").write_text(f"{stranger.pid}\n")
        try:
            run(scene())
            assert not ended(stranger.pid)
        finally:
            stranger.kill()


def test_redis_of_another_directory_is_left_alone(directory: Path, run: Run) -> None:
    """A pid file whose pid belongs to a redis-server of somebody else costs that one nothing."""

    async def scene() -> None:
        store = EmbeddedRedis(directory)
        await store.start()
        await store.stop()

    with tempfile.TemporaryDirectory(prefix="pd", dir="/tmp") as elsewhere:
        stranger = RedisServer(Path(elsewhere))
        stranger.start()
        (directory / "redis.pid").write_text(f"{stranger.pid}\n")
        run(scene())

        assert not ended(stranger.pid)
        stranger.stop()


@pytest.mark.parametrize("pidfile", ["", "1234567890123\n", "-1\n", "0\n", "no pid\n", f"{2**31 - 1}\n"])
def test_pid_file_that_leads_nowhere(directory: Path, run: Run, pidfile: str) -> None:
    """A pid file that names no process keeps nobody from starting."""

    async def scene() -> None:
        store = EmbeddedRedis(directory)
        await store.start()
        await store.stop()

    (directory / "redis.pid").write_text(pidfile)
    run(scene())


def test_stranger_on_the_socket_is_named_and_left_alone(directory: Path, run: Run) -> None:
    """Where a process that policyd did not start listens on the socket, start names it and touches nothing."""

    async def scene() -> None:
        with pytest.raises(StateDirectoryError) as caught:
            await EmbeddedRedis(directory).start()

        why = f"the process with pid {stranger.pid}, which policyd did not start, listens on {stranger.socket}"
        assert str(caught.value) == f"state directory {directory}: {why}; stop it, or choose another store.directory"

    stranger = RedisServer(directory)
    stranger.start()
    run(scene())

    with client(directory) as asked:
        assert asked.ping()
    stranger.stop()


def test_second_daemon_names_the_first(directory: Path, binary: str, hold: Hold) -> None:
    """A second daemon on the same directory ends and names the first, which notices nothing."""
    first = hold(binary)
    child = first.said()
    second = hold(binary)

    said = second.said()

    assert second.ended() == 0
    assert f"state directory {directory}: in use by the policyd with pid {first.process.pid};" in said
    with client(directory) as asked:
        assert str(asked.info("server")["process_id"]) == child
