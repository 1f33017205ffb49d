"""The end of a daemon: SIGTERM drains, kill -9 loses no count, a restart refuses nobody."""

import signal
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

from tests.app.conftest import Start
from tests.support.asker import new_instance
from tests.support.daemon import rate
from tests.support.process import Process, configuration
from tests.support.redis import RedisServer
from tests.support.wait import until

ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}


def test_drain(start: Start, redis_server: RedisServer) -> None:
    """SIGTERM: what was asked is answered, idle connections are closed, and the daemon exits 0."""
    daemon = start(redis_server.url, store={"timeout": "2s", "when_down": "defer"})
    with daemon.asker() as idle, daemon.asker() as asking:
        asking.ask(**ALICE)
        redis_server.pause()
        asking.send(**ALICE)
        until(lambda: daemon.metric("policyd_connections", service="postfix") == 2, "both are connected")
        daemon.signal(signal.SIGTERM)

        assert idle.is_closed()
        redis_server.resume()
        assert asking.answer() == "DUNNO"
        assert asking.is_closed()
    assert daemon.ended() == 0
    assert not daemon.policy.exists()


def test_drain_without_a_store(start: Start, redis_server: RedisServer) -> None:
    """While Redis hangs a daemon ends as well: what was asked is answered without it after store.timeout."""
    daemon = start(redis_server.url, store={"timeout": "300ms", "when_down": "defer"})
    with daemon.asker() as asking:
        asking.ask(**ALICE)
        redis_server.pause()
        asking.send(**ALICE)
        daemon.signal(signal.SIGTERM)

        assert asking.answer().startswith("450 4.7.1 ")
    assert daemon.ended(10) == 0


def test_drain_with_a_hanging_child(start: Start) -> None:
    """An embedded Redis that hangs does not outlive the daemon, which exits 0 within 15 seconds."""
    daemon = start("embedded", store={"timeout": "100ms"})
    child = int((daemon.base / "state" / "redis.pid").read_text())
    with daemon.asker() as asking:
        asking.ask(**ALICE)
        signal_to(child, signal.SIGSTOP)
        daemon.signal(signal.SIGTERM)
    assert daemon.ended(15) == 0
    assert not Path(f"/proc/{child}").exists()
    assert daemon.said("did not end within 10 s and is killed")


def signal_to(pid: int, number: signal.Signals) -> None:
    """Send a signal to the child of a daemon."""
    subprocess.run(["kill", f"-{number.value}", str(pid)], check=True)


def test_kill(start: Start) -> None:
    """After kill -9 the next daemon has all counts, and the message whose end comes then is settled."""
    daemon = start("embedded", limits={"domain-hourly": rate(10)})
    message = {**ALICE, "instance": new_instance()}
    with daemon.asker() as asker:
        asker.ask(**ALICE)
        for number in range(3):
            asker.ask(**message, recipient=f"r{number}@remote.test")
    daemon.kill()
    daemon.start()
    counted = daemon.used("a.test", "domain-hourly")
    with daemon.asker() as asker:
        end = asker.ask(**message, protocol_state="END-OF-MESSAGE", recipient="", recipient_count="2")

    assert (counted, end) == (4, "DUNNO")
    assert daemon.used("a.test", "domain-hourly") == 3
    assert daemon.metric("policyd_settle_unknown_total") == 0
    assert len(daemon.lines(action="settle", recipients="2")) == 1


def test_second_daemon(start: Start, ending: ExitStack) -> None:
    """A second daemon on one state directory exits 1 and names the first, which goes on."""
    first = start("embedded")
    second = Process(configuration("embedded", ["a.test"], {"domain-hourly": rate(1)}))
    ending.callback(second.remove)
    second.configuration["store"]["directory"] = str(first.base / "state")
    second.write()
    second.launch()

    assert second.ended() == 1
    assert f"in use by the policyd with pid {first.pid}; stop that one" in second.log
    with first.asker() as asker:
        assert asker.ask(**ALICE) == "DUNNO"


def test_port_in_use(ending: ExitStack) -> None:
    """A daemon whose port is taken exits 1, says so in one line, and leaves no Redis behind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen = {"metrics": f"127.0.0.1:{port}"}
        daemon = Process(configuration("embedded", ["a.test"], {"domain-hourly": rate(1)}, listen=listen))
        ending.callback(daemon.remove)
        daemon.write()
        daemon.launch()
        status = daemon.ended()

    last = daemon.log.splitlines()[-1]
    cure = "another process listens there (ss -ltnp shows which; stop it, or choose another port)"
    assert (status, last) == (1, f"policyd: cannot listen on 127.0.0.1:{port}: {cure}")
    assert "Traceback" not in daemon.log
    assert not (daemon.base / "state" / "redis.pid").exists()
    assert not daemon.policy.exists()
