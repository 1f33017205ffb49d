"""A daemon that delays its answers, as an admin sees it."""

from tests.app.conftest import Start
from tests.support.redis import RedisServer
from tests.support.wait import until

ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}
PACE = {"kind": "pace", "per": "user", "by": "answer", "delay_up_to": "20s"}


def test_a_delay_has_a_line(start: Start, redis_server: RedisServer) -> None:
    """When it begins: for how long, and because of which limit. The answer is DUNNO."""
    daemon = start(redis_server.url, limits={"user-pace": {**PACE, "every": "50ms"}})
    with daemon.asker() as asker:
        assert [asker.ask(**ALICE, recipient=f"r{number}@remote.test") for number in range(2)] == ["DUNNO"] * 2
    (line,) = until(lambda: daemon.lines(action="delay"), "the delay is logged")
    assert (line["limit"], line["recipient"]) == ("user-pace", "r1@remote.test")
    assert line["used"].endswith("/20000")
    assert line["resumes"]
    assert float(line["ms"]) < 50
    assert daemon.metric("policyd_requests_total", service="postfix", traffic="user", action="delay") == 1
    assert daemon.metric("policyd_delayed_answers") == 0


def test_who_finds_no_place_is_not_struck(start: Start, redis_server: RedisServer) -> None:
    """Others may have taken the places; a slot that is too far away is the sender's own doing."""
    strikes = {"count": 1, "within": "24h", "suspend": "6h"}
    pace = {**PACE, "every": "20s", "strikes": strikes}
    daemon = start(redis_server.url, limits={"user-pace": pace}, delay={"max": 1, "per_account": 1})
    bob = {"sasl_username": "bob@a.test", "sender": "bob@a.test"}
    with daemon.asker() as waiting, daemon.asker() as asker:
        assert asker.ask(**ALICE) == asker.ask(**bob) == "DUNNO"
        waiting.send(**ALICE)
        until(lambda: daemon.metric("policyd_delayed_answers") == 1, "one answer waits")
        for _ in range(3):
            assert "no more answers can wait for their turn" in asker.ask(**bob)
        events = daemon.ask("/v1/events", subject="a.test")["events"]
    assert {one["event"] for one in events} == {"refusal"}
    assert all(one["why"].endswith(" s to the next slot, 0 at most") for one in events)
