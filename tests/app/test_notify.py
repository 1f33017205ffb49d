"""What a running daemon tells systemd."""

import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.daemon import rate
from tests.support.process import Process, configuration
from tests.support.redis import RedisServer


class Manager:
    """The end of NOTIFY_SOCKET that systemd has."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(20)
        self._socket.bind(str(path))

    def told(self) -> list[str]:
        """Return the assignments of the next message."""
        return self._socket.recv(4096).decode().split("\n")

    def told_until(self, assignment: str) -> list[str]:
        """Return the first assignment of each message up to the one that begins so."""
        heard: list[str] = []
        while not heard or heard[-1] != assignment:
            heard.append(self.told()[0])
        return heard

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


@pytest.fixture
def manager(ending: ExitStack, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Manager:
    """Listen as systemd does."""
    made = Manager(tmp_path_factory.mktemp("n") / "notify")
    ending.callback(made.close)
    monkeypatch.setenv("NOTIFY_SOCKET", str(made.path))
    return made


@pytest.fixture
def daemon(redis_server: RedisServer, ending: ExitStack) -> Process:
    """Return a daemon that is not started."""
    made = Process(configuration(redis_server.url, ["a.test"], {"domain-hourly": rate(400)}))
    ending.callback(made.remove)
    made.write()
    return made


def test_its_life(daemon: Process, manager: Manager) -> None:
    """READY comes when it answers, RELOADING and READY around a reload, STOPPING before the end."""
    daemon.launch()
    ready = manager.told()
    with daemon.asker() as asker:
        assert asker.ask(sasl_username="alice@a.test") == "DUNNO"
    daemon.configuration["mode"] = "observe"
    daemon.hang_up("ok")
    reload = [manager.told(), manager.told()]
    daemon.signal(signal.SIGTERM)

    assert ready == ["READY=1", "STATUS=1 domain, mode enforce"]
    assert [message[0] for message in reload] == ["RELOADING=1", "READY=1"]
    assert reload[0][1].startswith("MONOTONIC_USEC=")
    assert reload[1][1] == "STATUS=1 domain, mode observe"
    assert manager.told() == ["STOPPING=1"]
    assert daemon.ended() == 0


def test_watchdog(daemon: Process, manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a watchdog it says again and again that its loop runs."""
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    daemon.launch()

    assert manager.told_until("READY=1")
    assert [manager.told() for _ in range(3)] == [["WATCHDOG=1"]] * 3
