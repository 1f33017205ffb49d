"""A reload that takes long: what goes on meanwhile, and what a signal does that comes then."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.app.conftest import Start
from tests.support.daemon import rate
from tests.support.process import Process, configuration
from tests.support.programs import require
from tests.support.redis import RedisServer
from tests.support.wait import until

ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}
FROM_POSTFIX = {"hosted": ["postfix:virtual_alias_domains"]}


class SlowPostconf:
    """A postconf that tells who runs it and answers when it is let."""

    def __init__(self, directory: Path) -> None:
        self.called, self._go = directory / "called", directory / "go"
        os.mkfifo(self._go)
        script = directory / "postconf"
        script.write_text(f"#!/bin/sh\necho $PPID >> {self.called}\nread go <{self._go}\necho b.test\n")
        script.chmod(0o755)

    @property
    def callers(self) -> list[int]:
        """The processes that have called it so far."""
        return [int(line) for line in self.called.read_text().split()] if self.called.exists() else []

    def wait_called(self, times: int) -> None:
        """Wait for so many calls in all."""
        until(lambda: len(self.callers) >= times, f"{times} calls of postconf")

    def let_go(self) -> None:
        """Let the call that waits end."""
        let_go(self._go)

    def end(self) -> None:
        """Leave no call behind that still waits."""
        with suppress(OSError):  # nobody waits
            os.close(os.open(self._go, os.O_WRONLY | os.O_NONBLOCK))


def let_go(path: Path) -> None:
    """Write a line to who reads from a fifo."""
    with path.open("w") as fifo:
        fifo.write("go\n")


@pytest.fixture
def postconf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowPostconf]:
    """Put a slow postconf before all others on PATH."""
    slow = SlowPostconf(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    yield slow
    slow.end()


@pytest.fixture
def daemon(start: Start, redis_server: RedisServer, postconf: SlowPostconf) -> Process:
    """Run a daemon whose next reload waits for postconf."""
    assert postconf.callers == []
    running = start(redis_server.url, limits={"domain-hourly": rate(3)})
    running.configuration["accounts"].update(FROM_POSTFIX)
    running.write()
    return running


def test_in_a_child(daemon: Process, postconf: SlowPostconf) -> None:
    """The file is read by a child process while the daemon goes on answering."""
    daemon.signal(signal.SIGHUP)
    postconf.wait_called(1)
    reader = Path(f"/proc/{postconf.callers[0]}")

    assert b"policyd.conf.child" in (reader / "cmdline").read_bytes()
    assert (reader / "stat").read_text().split()[3] == str(daemon.pid)
    with daemon.asker() as asker:
        assert [asker.ask(**ALICE)[:5] for _ in range(4)] == [*["DUNNO"] * 3, "550 5"]
    postconf.let_go()
    until(lambda: daemon.reloads("ok") == 1, "the reload ends")
    assert daemon.ask("/v1/daemon")["domains"] == 2


def test_several_at_once(daemon: Process, postconf: SlowPostconf) -> None:
    """However often SIGHUP comes during a reload, exactly one more follows, and the last text is in force."""
    daemon.signal(signal.SIGHUP)
    postconf.wait_called(1)
    daemon.configuration["mode"] = "observe"
    daemon.write()
    for _ in range(20):
        daemon.signal(signal.SIGHUP)
        assert daemon.ask("/v1/daemon")["mode"] == "enforce"
    postconf.let_go()
    postconf.wait_called(2)
    postconf.let_go()
    until(lambda: daemon.reloads("ok") == 2, "two reloads")

    assert daemon.ask("/v1/daemon")["mode"] == "observe"
    assert len(postconf.callers) == 2


def test_the_end_ends_it(daemon: Process, postconf: SlowPostconf) -> None:
    """SIGTERM ends a daemon that is reloading, and the child with it."""
    daemon.signal(signal.SIGHUP)
    postconf.wait_called(1)
    daemon.signal(signal.SIGTERM)

    assert daemon.ended() == 0
    assert not Path(f"/proc/{postconf.callers[0]}").exists()


@pytest.fixture
def starting(redis_server: RedisServer, postconf: SlowPostconf) -> Iterator[Process]:
    """Start a daemon that still reads its configuration."""
    made = configuration(redis_server.url, ["a.test"], {"domain-hourly": rate(3)}, accounts=FROM_POSTFIX)
    running = Process(made)
    running.write()
    running.launch()
    postconf.wait_called(1)
    yield running
    running.remove()


def test_hangup_while_starting(starting: Process, postconf: SlowPostconf) -> None:
    """A SIGHUP while the configuration is read does not end the daemon; it reloads as soon as it runs."""
    starting.signal(signal.SIGHUP)
    postconf.let_go()
    postconf.wait_called(2)
    starting.wait_ready()

    assert starting.reloads("ok") == 0
    postconf.let_go()
    until(lambda: starting.reloads("ok") == 1, "the reload ends")


class SlowRedis:
    """A redis-server on PATH that begins when it is let."""

    def __init__(self, directory: Path) -> None:
        self.called, self._go = directory / "redis-called", directory / "redis-go"
        os.mkfifo(self._go)
        script = directory / "redis-server"
        script.write_text(f'#!/bin/sh\necho $$ >> {self.called}\nread go <{self._go}\nexec {binary()} "$@"\n')
        script.chmod(0o755)

    def wait_called(self) -> int:
        """Wait until it was started, and return its process id."""
        return int(until(lambda: self.called.exists() and self.called.read_text(), "redis-server is started"))

    def let_go(self) -> None:
        """Let it begin."""
        let_go(self._go)


def binary() -> str:
    """Return the redis-server of the system."""
    return require("redis-server")


@pytest.fixture
def redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlowRedis:
    """Put a slow redis-server before all others on PATH."""
    slow = SlowRedis(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return slow


@pytest.fixture
def waiting(redis: SlowRedis) -> Iterator[Process]:
    """Start a daemon that waits for its embedded Redis."""
    running = Process(configuration("embedded", ["a.test"], {"domain-hourly": rate(3)}))
    running.write()
    running.launch()
    redis.wait_called()
    yield running
    running.remove()


def test_hangup_while_the_store_starts(waiting: Process, redis: SlowRedis) -> None:
    """A SIGHUP while the embedded Redis starts is kept: the daemon runs under what the file says then."""
    waiting.configuration["mode"] = "observe"
    waiting.write()
    waiting.signal(signal.SIGHUP)
    redis.let_go()
    waiting.wait_ready()
    until(lambda: waiting.reloads("ok") == 1, "the reload ends")

    assert waiting.ask("/v1/daemon")["mode"] == "observe"
    with waiting.asker() as asker:
        assert {asker.ask(**ALICE) for _ in range(5)} == {"DUNNO"}


def test_end_while_the_store_starts(waiting: Process, redis: SlowRedis) -> None:
    """SIGTERM ends a daemon that still waits for its embedded Redis, and that Redis."""
    pid = redis.wait_called()
    waiting.signal(signal.SIGTERM)

    assert waiting.ended() == 0
    assert not Path(f"/proc/{pid}").exists()
    assert waiting.said("ended before it was ready")
