"""Whole daemons that suspend by themselves."""

from tests.app.conftest import Start
from tests.support.daemon import rate
from tests.support.redis import RedisServer
from tests.support.wait import until

STRIKES = {"count": 1, "within": "24h", "suspend": "6h"}


def test_a_login_over_its_limit_is_suspended_and_its_domain_goes_on(start: Start, redis_server: RedisServer) -> None:
    """The one who has used his limit up hears of a suspension; his colleague sends."""
    daemon = start(redis_server.url, limits={"user-hourly": rate(1, per="user", strikes=STRIKES)})
    with daemon.asker() as asker:
        bob = {"sasl_username": "bob@a.test", "sender": "bob@a.test"}
        assert [asker.ask(**bob).split()[0] for _ in range(2)] == ["DUNNO", "550"]
        until(lambda: "suspended" in asker.ask(**bob), "bob is suspended")
        assert asker.ask(sasl_username="alice@a.test", sender="alice@a.test") == "DUNNO"


def test_mail_to_a_trap_suspends_the_login(start: Start, redis_server: RedisServer) -> None:
    """The mail itself is let through; the next one is not."""
    traps = {"addresses": ["old@remote.test"], "count": 1, "then": "suspend"}
    daemon = start(redis_server.url, spam_traps=traps)
    with daemon.asker() as asker:
        bob = {"sasl_username": "bob@a.test", "sender": "bob@a.test"}
        assert asker.ask(**bob, recipient="Old+x@Remote.test") == "DUNNO"
        until(lambda: "suspended" in asker.ask(**bob), "bob is suspended")
    assert daemon.metric("policyd_trap_hits_total") == 1


def test_a_stranger_and_a_null_sender_hit_no_trap(start: Start, redis_server: RedisServer) -> None:
    """Inbound mail is nobody's of ours; a bounce goes where it was told to."""
    daemon = start(redis_server.url, spam_traps={"addresses": ["old@a.test"], "count": 1, "then": "suspend"})
    with daemon.asker() as asker:
        asker.ask(sasl_username="", client_address="192.0.2.99", sender="spammer@remote.test", recipient="old@a.test")
        asker.ask(sasl_username="bob@a.test", sender="", recipient="old@a.test")
    assert daemon.metric("policyd_trap_hits_total") == 0


def test_in_mode_observe_nobody_is_suspended(start: Start, redis_server: RedisServer) -> None:
    """Neither for strikes nor for traps."""
    daemon = start(
        redis_server.url,
        limits={"user-hourly": rate(1, per="user", strikes=STRIKES)},
        spam_traps={"addresses": ["old@remote.test"], "count": 1, "then": "suspend"},
        mode="observe",
    )
    with daemon.asker() as asker:
        bob = {"sasl_username": "bob@a.test", "sender": "bob@a.test", "recipient": "old@remote.test"}
        for _ in range(3):
            assert asker.ask(**bob) == "DUNNO"
        until(lambda: "trap: bob@a.test" in daemon.log, "the trap is told of")
        assert asker.ask(**bob) == "DUNNO"
