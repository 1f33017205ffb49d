"""``mode: observe``: nothing is refused, everything is counted, logged and shown."""

import pytest

from tests.app.conftest import Start
from tests.support.command import policyd
from tests.support.daemon import rate
from tests.support.process import Process
from tests.support.redis import RedisServer
from tests.support.wait import until

ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}


@pytest.fixture(params=["file", "limit"])
def observed(start: Start, redis_server: RedisServer, request: pytest.FixtureRequest) -> Process:
    """Run a daemon that observes, with the whole file or with the one limit that is exceeded, after 5 recipients."""
    if request.param == "file":
        daemon = start(redis_server.url, limits={"domain-hourly": rate(2)}, mode="observe")
    else:
        daemon = start(redis_server.url, limits={"domain-hourly": rate(2, mode="observe")})
    with daemon.asker() as asker:
        assert {asker.ask(**ALICE) for _ in range(5)} == {"DUNNO"}
    return daemon


def test_counted(observed: Process) -> None:
    """What would have been refused is charged, and counted apart from refusals."""
    labels = {"limit": "domain-hourly", "plan": "shared", "traffic": "user"}

    assert observed.used("a.test", "domain-hourly") == 5
    assert observed.metric("policyd_observed_refusals_total", **labels) == 3
    assert observed.metric("policyd_refusals_total", **labels) == 0
    assert observed.metric("policyd_requests_total", service="postfix", traffic="user", action="accept") == 5


def test_logged(observed: Process) -> None:
    """Each one has a line that says what would have been done, with a reference and when mail would flow again."""
    until(lambda: len(observed.lines(action="accept", observed="reject")) == 3, "three lines")
    lines = observed.lines(action="accept")

    assert [(line["used"], line["account"], line["limit"]) for line in lines] == [
        (f"{used}/2", "a.test", "domain-hourly") for used in (3, 4, 5)
    ]
    assert len({line["ref"] for line in lines}) == 1
    assert all(line["resumes"] for line in lines)


def test_shown(observed: Process) -> None:
    """``policyd status --would-refuse`` shows who it was within a second or so."""
    shown = until(lambda: would_refuse(observed), "status shows it")

    assert shown.startswith("subject")
    assert "a.test" in shown
    assert "5/2 in 1h" in shown


def test_counted_while_a_pace_delays_the_answer(start: Start, redis_server: RedisServer) -> None:
    """Who waits for his slot would have been refused all the same."""
    pace = {"kind": "pace", "per": "user", "every": "200ms", "by": "answer", "delay_up_to": "2s", "traffic": ["user"]}
    daemon = start(redis_server.url, limits={"domain-hourly": rate(2, mode="observe"), "slowly": pace})
    with daemon.asker() as asker:
        assert {asker.ask(**ALICE) for _ in range(4)} == {"DUNNO"}

    labels = {"limit": "domain-hourly", "plan": "shared", "traffic": "user"}
    assert daemon.metric("policyd_observed_refusals_total", **labels) == 2


def would_refuse(daemon: Process) -> str:
    """Return what status prints, "" while that is nothing."""
    done = policyd("status", "--would-refuse", "--admin", str(daemon.admin))
    assert done.returncode == 0, done.stderr
    return "" if done.stdout.startswith("nothing") else done.stdout


def test_one_word_to_enforce(start: Start, redis_server: RedisServer) -> None:
    """The change from observe to enforce is one word and a reload; what was counted counts."""
    daemon = start(redis_server.url, limits={"domain-hourly": rate(2)}, mode="observe")
    with daemon.asker() as asker:
        before = [asker.ask(**ALICE) for _ in range(3)]
        daemon.configuration["mode"] = "enforce"
        daemon.hang_up("ok")
        after = asker.ask(**ALICE)

    assert before == ["DUNNO"] * 3
    assert after.startswith("550 5.7.1 Limit domain-hourly: 3 of 2 recipients in 1h used; mail flows again at ")
    assert daemon.said("changed: mode: observe -> enforce")
