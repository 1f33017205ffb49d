"""Two installed daemons on one Redis: a suspension holds on both, also while Redis hangs."""

import re
import signal
from collections.abc import Iterator

import pytest

from policyd.cli.client import AdminClient
from tests.app.conftest import Start
from tests.support.manual import Seen
from tests.support.process import Process
from tests.support.redis import RedisServer
from tests.support.wait import until

ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}
BOB = {"sasl_username": "bob@a.test", "sender": "bob@a.test"}
EVENTS = ("suspend", "resume", "strike", "mailing-waits")
STARTS = "policyd starts while Redis is away"
REFUSED = re.compile(r"550 5\.7\.1 Sending is suspended; please contact your provider; ref [0-9A-Z]{10}")


@pytest.fixture
def daemons(start: Start, redis_server: RedisServer) -> Iterator[list[Process]]:
    """Run two daemons; only the first is told that alice is suspended."""
    store = {"timeout": "100ms"}
    made = [start(redis_server.url, store=store) for _ in range(2)]
    AdminClient(str(made[0].admin)).post("/v1/suspend", subject="alice@a.test", reason="ticket 4711")
    yield made
    redis_server.resume()


def ask(daemon: Process, message: dict[str, str]) -> str:
    """Return the answer to a recipient."""
    with daemon.asker() as asker:
        return asker.ask(**message)


def test_both_refuse_at_once_and_go_on_when_redis_hangs(daemons: list[Process], redis_server: RedisServer) -> None:
    """The script decides while it can, then the mirror; others flow as the admin chose."""
    assert all(REFUSED.fullmatch(ask(daemon, ALICE)) for daemon in daemons)
    for daemon in daemons:
        until(lambda daemon=daemon: daemon.metric("policyd_suspended_accounts") == 1, "the mirror has it")  # type: ignore[misc]

    redis_server.pause()

    assert all(REFUSED.fullmatch(ask(daemon, ALICE)) for daemon in daemons)
    assert [ask(daemon, BOB) for daemon in daemons] == ["DUNNO"] * 2
    line = daemons[1].lines(action="reject")[-1]
    assert (line["account"], line["suspended"], line["store"][:13]) == ("a.test", "user:alice@a.test", "store charge:")
    assert line["ref"] in ask(daemons[0], ALICE)
    assert daemons[1].metric("policyd_answers_without_store_total", action="accept") == 1
    refusals = {"limit": "(suspension)", "plan": "shared", "traffic": "user"}
    assert daemons[1].metric("policyd_refusals_total", **refusals) == 2


@pytest.mark.parametrize("when_down", ["accept", "local"])
def test_a_daemon_that_starts_while_redis_is_away(start: Start, redis_server: RedisServer, when_down: str) -> None:
    """It refuses whom it knew to be suspended, until Redis says otherwise."""
    daemon = start(redis_server.url, store={"timeout": "100ms", "when_down": when_down}, nodes="1")
    admin = AdminClient(str(daemon.admin))
    admin.post("/v1/suspend", subject="alice@a.test", reason="ticket 4711")
    redis_server.pause()
    daemon.stop()
    daemon.launch()
    daemon.wait_ready()
    Seen(daemon).row(STARTS, without="cannot reach Redis")
    until(lambda: daemon.said("cannot reach Redis"), "the log says why")

    assert REFUSED.fullmatch(ask(daemon, ALICE))
    assert ask(daemon, BOB) == "DUNNO"
    redis_server.resume()
    until(lambda: daemon.metric("policyd_store_up") == 1, "Redis answers")
    assert REFUSED.fullmatch(ask(daemon, ALICE))
    admin.post("/v1/resume", subject="alice@a.test", reason="new password")
    assert ask(daemon, ALICE) == "DUNNO"
    daemon.stop()
    redis_server.pause()
    daemon.launch()
    daemon.wait_ready()
    assert ask(daemon, ALICE) == "DUNNO"
    redis_server.resume()


def test_what_was_confirmed_outlives_everything(start: Start, redis_server: RedisServer) -> None:
    """Redis and the daemon are killed in the next moment; the daemon that starts then refuses all the same."""
    daemon = start(redis_server.url, store={"timeout": "100ms"})
    until((daemon.base / "state" / "suspended.json").exists, "Redis has said that nobody is suspended")
    AdminClient(str(daemon.admin)).post("/v1/suspend", subject="alice@a.test", reason="ticket 4711")
    daemon.signal(signal.SIGKILL)
    redis_server.kill()
    daemon.ended()
    daemon.launch()
    daemon.wait_ready()

    assert REFUSED.fullmatch(ask(daemon, ALICE))


def test_who_is_suspended_is_unknown_only_where_nobody_has_said_it(start: Start, redis_server: RedisServer) -> None:
    """Not in the first outage of a daemon, and in that of one that has never met its Redis the log says so."""
    daemon = start(redis_server.url, store={"timeout": "100ms"})
    until((daemon.base / "state" / "suspended.json").exists, "Redis has said that nobody is suspended")
    redis_server.kill()
    until(lambda: daemon.metric("policyd_store_up") == 0, "Redis is away")
    late = start(redis_server.url, store={"timeout": "100ms"})
    Seen(late, since=0).line("who is suspended is not known")
    daemon.stop()

    assert not daemon.said("who is suspended")


def test_what_happened_is_counted_where_it_was_done(daemons: list[Process]) -> None:
    """From 0, so that a rate sees the first one too."""
    AdminClient(str(daemons[0].admin)).post("/v1/resume", subject="alice@a.test", reason="new password")

    counted = {kind: [one.metric("policyd_events_total", event=kind) for one in daemons] for kind in EVENTS}

    assert counted == {"suspend": [1, 0], "resume": [1, 0], "strike": [0, 0], "mailing-waits": [0, 0]}


def test_a_daemon_that_starts_later_knows_it(daemons: list[Process], start: Start, redis_server: RedisServer) -> None:
    """Before a second has gone by, and without having been asked."""
    late = start(redis_server.url, store={"timeout": "100ms"})
    until(lambda: late.metric("policyd_suspended_accounts") == 1, "the mirror has it")
    redis_server.pause()

    assert REFUSED.fullmatch(ask(late, ALICE))
    assert daemons[0].lines(action="reject") == []
