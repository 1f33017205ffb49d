"""The embedded Redis: how it starts, ends, and is started again."""

import asyncio
import logging
import os
import signal
from pathlib import Path

import pytest

from policyd.store.embedded import BACKOFF, EmbeddedRedis, find_binary
from tests.support.embedded import Run, Ups, client, ended
from tests.support.redis import binaries


def test_answers_as_soon_as_it_is_started(directory: Path, binary: str, run: Run) -> None:
    """When start returns, Redis answers on its unix socket, with the options that the design names."""

    async def scene() -> None:
        store = EmbeddedRedis(directory, binary=binary)
        await store.start()
        with client(store) as asked:
            got = {name: asked.config_get(name)[name] for name in expected}
        mode = store.socket.stat().st_mode
        await store.stop()

        assert got == expected
        assert mode & 0o777 == 0o600

    expected = {
        "port": "0",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": "0",
        "maxmemory-policy": "noeviction",
        "dir": str(directory),
    }
    run(scene())


def test_stop_keeps_the_data_and_leaves_no_process(directory: Path, binary: str, run: Run) -> None:
    """After stop the child is gone and the directory free; the next start finds every count."""

    async def scene() -> None:
        store = EmbeddedRedis(directory, binary=binary)
        await store.start()
        pid = store.pid
        with client(store) as asked:
            asked.incrby("count", 41)
        await store.stop()
        assert ended(pid)
        assert store.pid == 0
        assert not store.socket.exists()
        assert not (directory / "redis.pid").exists()

        await store.start()
        with client(store) as asked:
            assert asked.incr("count") == 42
        await store.stop()

    run(scene())


def test_killed_child_is_started_again_with_its_data(directory: Path, binary: str, run: Run) -> None:
    """A child that is killed comes back by itself, and no count is lost."""

    async def scene() -> None:
        ups = Ups()
        store = EmbeddedRedis(directory, binary=binary, on_up=ups)
        await store.start()
        with client(store) as asked:
            asked.incrby("count", 41)
        os.kill(store.pid, signal.SIGKILL)
        second = await ups.seen(2)
        with client(store) as asked:
            count = asked.incr("count")
        assert (second, (directory / "redis.pid").read_text()) == (store.pid, f"{store.pid}\n")
        await store.stop()

        assert count == 42
        assert len(set(ups.pids)) == 2

    run(scene())


def test_restarts_back_off(directory: Path, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """A child that ends again and again is started again later and later, and the log says how it ended."""

    async def scene() -> None:
        ups = Ups()
        store = EmbeddedRedis(directory, on_up=ups, sleep=sleep)
        await store.start()
        for count in range(2, 5):
            os.kill(store.pid, signal.SIGKILL)
            await ups.seen(count)
        await store.stop()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    slept: list[float] = []
    run(scene())

    assert slept == list(BACKOFF[:3])
    assert caplog.text.count("redis-server was ended by SIGKILL; starting it again") == 3


def test_what_a_child_said_since_it_ran_is_told(directory: Path, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """What it says at each start is not: it tells nothing of the end."""

    async def scene() -> None:
        ups = Ups()
        store = EmbeddedRedis(directory, on_up=ups)
        await store.start()
        with client(store) as asked:
            asked.bgrewriteaof()
        os.kill(store.pid, signal.SIGKILL)
        await ups.seen(2)
        await store.stop()

    run(scene())

    (told,) = [message for message in caplog.messages if "was ended by SIGKILL" in message]
    assert "append only file" in told
    assert "Server initialized" not in told


def test_start_that_fails_is_tried_again(directory: Path, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """While Redis cannot be started again it is tried until it can; nothing else is needed."""

    async def scene() -> None:
        ups = Ups()
        store = EmbeddedRedis(directory, binary=str(program), on_up=ups, sleep=sleep)
        await store.start()
        program.unlink()
        os.kill(store.pid, signal.SIGKILL)
        await ups.seen(2)
        await store.stop()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == len(BACKOFF) + 2:
            program.symlink_to(find_binary())

    slept: list[float] = []
    program = directory / "redis-server"
    program.symlink_to(find_binary())
    run(scene())

    assert slept == [*BACKOFF, BACKOFF[-1], BACKOFF[-1]]
    assert f"cannot run {program}: No such file or directory; trying again" in caplog.text


def test_stop_while_it_waits_to_start_again(directory: Path, run: Run) -> None:
    """A stop in the pause between two attempts ends the attempts and frees the directory."""

    async def scene() -> None:
        pausing = asyncio.Event()

        async def pause(_: float) -> None:
            pausing.set()
            await asyncio.Event().wait()

        store = EmbeddedRedis(directory, sleep=pause)
        await store.start()
        os.kill(store.pid, signal.SIGKILL)
        await pausing.wait()
        assert store.pid == 0
        await store.stop()

        other = EmbeddedRedis(directory)
        await other.start()
        await other.stop()

    run(scene())


def test_child_is_out_of_reach_of_the_terminal(directory: Path, run: Run) -> None:
    """The child has a process group of its own, so a terminal's Ctrl-C reaches only the daemon."""

    async def scene() -> None:
        store = EmbeddedRedis(directory)
        await store.start()
        group = os.getpgid(store.pid)
        pid = store.pid
        await store.stop()

        assert group == pid != os.getpgid(0)

    run(scene())


def test_environment_does_not_reach_the_child(directory: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment of the daemon says cannot change what Redis does or whom it notifies."""

    async def scene() -> None:
        store = EmbeddedRedis(directory, binary=str(program))
        await store.start()
        await store.stop()

    program, seen = directory / "redis-server", directory / "seen"
    program.write_text(f'#!/bin/sh\nenv >{seen}\nexec {find_binary()} "$@"\n')
    program.chmod(0o700)
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/nobody")
    run(scene())

    added_by_the_shell = {"PWD", "OLDPWD", "_", "SHLVL"}
    assert {line.split("=")[0] for line in seen.read_text().splitlines()} - added_by_the_shell == {"LC_ALL", "PATH"}


def test_files_are_private(directory: Path, run: Run) -> None:
    """Whatever the umask, nobody else can read what Redis writes."""

    async def scene() -> None:
        store = EmbeddedRedis(directory)
        await store.start()
        modes = {entry.name: entry.stat().st_mode & 0o077 for entry in (directory / "appendonlydir").iterdir()}
        await store.stop()

        assert modes
        assert set(modes.values()) == {0}

    former = os.umask(0)
    try:
        run(scene())
    finally:
        os.umask(former)


def test_older_redis_after_a_newer_one(directory: Path, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Redis 6.2 does not read the files of Redis 7: that counting starts anew is said loudly."""

    async def scene() -> None:
        for name in ("system", "wheel"):
            store = EmbeddedRedis(directory, binary=found[name])
            await store.start()
            await store.stop()

    found = binaries()
    run(scene())

    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "counting starts anew; install Redis 7 or later to keep them" in errors[0]


def test_newer_redis_after_an_older_one(directory: Path, run: Run) -> None:
    """Redis 7 takes over the file of Redis 6.2 with every count."""

    async def scene() -> None:
        for count, name in ((1, "wheel"), (2, "system")):
            store = EmbeddedRedis(directory, binary=found[name])
            await store.start()
            with client(store) as asked:
                assert asked.incr("count") == count
            await store.stop()

    found = binaries()
    run(scene())
