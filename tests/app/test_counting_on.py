"""``when_down: local`` where the store is embedded, and where daemons have different shares of it."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import pytest

from tests.app.conftest import Start
from tests.support.asker import Asker, Crowd
from tests.support.daemon import rate
from tests.support.process import Process
from tests.support.redis import running
from tests.support.wait import until

ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}
LOCAL = {"timeout": "250ms", "when_down": "local"}
PAID = "what was let through without the store is paid back"


def accepted(asker: Asker) -> bool:
    """Ask about a recipient of a new message."""
    return asker.ask(**ALICE) == "DUNNO"


def paid(daemon: Process) -> bool:
    """Whether a daemon has owed something, and owes nothing any more."""
    return daemon.said(PAID) and daemon.metric("policyd_unpaid_charges") == 0


@pytest.mark.e2e
def test_an_embedded_redis_that_is_killed_under_load(start: Start) -> None:
    """Again and again, with mail on four connections: no mail waits, and all of it is counted once."""
    daemon = start("embedded", limits={"domain-hourly": rate(100_000)}, store=LOCAL)
    pid = Path(daemon.configuration["store"]["directory"]) / "redis.pid"

    def talk(_: int, enough: Event) -> list[str]:
        with daemon.asker() as asker:
            answers = [asker.ask(**ALICE)]
            while not enough.is_set():
                answers.append(asker.ask(**ALICE))
            return answers

    with Crowd(4, talk) as crowd:
        for _ in range(3):
            killed = pid.read_text()
            os.kill(int(killed.split()[0]), signal.SIGKILL)
            until(lambda old=killed: pid.exists() and pid.read_text() not in {"", old}, "another one runs")  # type: ignore[misc]
            until(lambda: daemon.metric("policyd_store_up") == 1, "it answers")
    until(lambda: paid(daemon), "all is paid back")

    assert set(crowd.answers) == {"DUNNO"}
    assert daemon.used("a.test", "domain-hourly") == len(crowd.answers)


def test_daemons_with_different_shares(start: Start, ending: ExitStack) -> None:
    """A daemon with nodes 2 lets half of what is left through, and two with nodes 4 a quarter each."""
    server = ending.enter_context(running(append=True))
    limits = {"domain-hourly": rate(100)}
    daemons = [start(server.url, limits=limits, store=LOCAL, nodes=nodes) for nodes in ("2", "4", "4")]
    askers = [ending.enter_context(daemon.asker()) for daemon in daemons]
    for _ in range(8):
        until(lambda: accepted(askers[0]), "it is counted")
    assert [accepted(asker) for asker in askers] == [True] * 3
    server.kill()
    through = [sum(accepted(asker) for _ in range(100)) for asker in askers]
    server.start()
    until(lambda: all(paid(daemon) for daemon in daemons), "all is paid back")

    assert through == [(100 - 9) // 2, (100 - 10) // 4, (100 - 11) // 4]
    assert daemons[0].used("a.test", "domain-hourly") == 11 + sum(through) <= 100
