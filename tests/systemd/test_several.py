"""Two daemons under a real systemd, by the README's lines: one dies, or cannot start any more."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
import yaml

from tests.support.asker import Asker, Crowd, new_instance
from tests.support.daemon import rate, settings
from tests.support.programs import require
from tests.support.readme import blocks
from tests.support.systemd_host import SystemdHost
from tests.support.wait import until

POLICY, CONFIGURATION = "/var/spool/postfix/policyd/policy", "/etc/policyd/policyd.yaml"
FIRST, SECOND, SOCKET = "policyd.service", "policyd@9933.service", "policyd-postfix.socket"
ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}
READ = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
FAILED_OFTEN = 6
"""Starts in a minute; systemd gives up after five."""


def configuration() -> str:
    """Return the configuration of both daemons."""
    made = settings(Path(POLICY), "redis://127.0.0.1:6379", ["a.test"], {"domain-hourly": rate(1_000_000)})
    made["listen"] |= {"metrics": "127.0.0.1:9932", "admin": "unix:/run/policyd/admin.sock"}
    made["accounts"]["settle"] = "recipient"
    return yaml.safe_dump(made)


@pytest.fixture(scope="module")
def booted() -> Iterator[SystemdHost]:
    """Run systemd in a copy of this host, with a Redis."""
    host = SystemdHost()
    try:
        host.start()
        host.daemon("policyd", require("redis-server"), "--port", "6379", "--save", "")
        for unit in (FIRST, "policyd@.service"):
            host.drop_in(unit, "[Service]\nProtectHome=no\nRestartSec=100ms\n")
        yield host
    finally:
        host.stop()


@pytest.fixture
def host(booted: SystemdHost) -> Iterator[SystemdHost]:
    """Run both daemons, started as the README says."""
    booted.write(CONFIGURATION, configuration())
    booted.run("systemctl", "start", SOCKET, "policyd-metrics.socket", "policyd-admin.socket", FIRST)
    booted.run("bash", "-euc", blocks("sh several"))
    yield booted
    booted.run("systemctl", "stop", "policyd*.socket", FIRST, "policyd@*.service")
    booted.run("bash", "-c", f"rm /etc/systemd/system/{FIRST}.d/several.conf; systemctl reset-failed 'policyd*'")


def answered(host: SystemdHost, port: int) -> int:
    """Return how many questions a daemon has answered since its start."""
    page = host.run(sys.executable, "-c", READ, f"http://127.0.0.1:{port}/metrics")
    name = 'policyd_requests_total{action="accept",service="postfix",traffic="user"} '
    return sum(int(float(line.removeprefix(name))) for line in page.splitlines() if line.startswith(name))


def ask(host: SystemdHost, until_told: Event) -> list[str]:
    """Ask on new connections as Postfix does, each question at most twice; return the answers."""
    answers = list[str]()
    while not until_told.is_set():
        instance = new_instance()
        try:
            answers.append(_once(host, instance))
        except ConnectionResetError:
            answers.append(_once(host, instance))
    return answers


def _once(host: SystemdHost, instance: str) -> str:
    with Asker(host.path(POLICY)) as asker:
        return asker.ask(**ALICE, instance=instance)


def used(host: SystemdHost) -> int:
    """Return how much of its limit the domain has used."""
    gauges = json.loads(host.run("policyd", "status", "--json", "a.test"))["gauges"]
    return sum(int(gauge["used"]) for gauge in gauges)


def test_one_of_two_is_killed(host: SystemdHost) -> None:
    """The other one answers, systemd starts it again, and every question was answered and charged once."""
    before = used(host)
    with Crowd(4, lambda _, enough: ask(host, enough)) as crowd:
        until(lambda: answered(host, 9932) and answered(host, 9933), "both answer")
        for unit in (FIRST, SECOND):
            pid = host.property(unit, "MainPID")
            host.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", unit)
            until(lambda one=unit, old=pid: host.property(one, "MainPID") not in {"0", old}, "it is started again")  # type: ignore[misc]
            until(lambda one=unit: host.property(one, "ActiveState") == "active", "it is ready")  # type: ignore[misc]

    answers = crowd.answers
    assert set(answers) == {"DUNNO"}
    assert used(host) - before == len(answers)


def test_one_of_two_cannot_start_any_more(host: SystemdHost) -> None:
    """It may try as often as it likes: the socket stays, and the other one answers."""
    host.write(CONFIGURATION, "nonsense")
    host.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", FIRST)
    until(lambda: int(host.property(FIRST, "NRestarts")) >= FAILED_OFTEN, "it has failed often")

    assert host.property(SOCKET, "ActiveState") == "active"
    assert _once(host, new_instance()) == "DUNNO"


def test_a_second_one_that_never_starts(host: SystemdHost) -> None:
    """A daemon whose port is taken by the first takes nothing away from it."""
    host.run("systemctl", "start", "policyd@9932", check=False)
    until(lambda: int(host.property("policyd@9932", "NRestarts")) >= FAILED_OFTEN, "it has failed often")

    assert host.property(SOCKET, "ActiveState") == "active"
    assert _once(host, new_instance()) == "DUNNO"


def test_without_the_two_lines(host: SystemdHost) -> None:
    """Five failures of the first take the socket away, though the second one is well: that is what they are for."""
    host.write(f"/etc/systemd/system/{FIRST}.d/several.conf", "")
    host.run("systemctl", "daemon-reload")
    host.write(CONFIGURATION, "nonsense")
    host.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", FIRST)
    until(lambda: host.property(SOCKET, "ActiveState") == "failed", "the socket is given up")

    assert host.property(SECOND, "ActiveState") == "active"
    with pytest.raises(FileNotFoundError):
        _once(host, new_instance())
