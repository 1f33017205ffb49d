"""Whole daemons that suspend by themselves."""

from tests.app.conftest import Start
from tests.support.daemon import rate
from tests.support.process import Process
from tests.support.redis import RedisServer
from tests.support.wait import until

STRIKES = {"count": 1, "within": "24h", "suspend": "6h"}
LIST = {"sasl_username": "", "client_address": "127.0.0.1", "sender": "news-return-@a.test"}


def test_a_login_over_its_limit_is_suspended_and_its_domain_goes_on(start: Start, redis_server: RedisServer) -> None:
    """The one who has used his limit up hears of a suspension; his colleague sends."""
    daemon = start(redis_server.url, limits={"user-hourly": rate(1, per="user", strikes=STRIKES)})
    with daemon.asker() as asker:
        bob = {"sasl_username": "bob@a.test", "sender": "bob@a.test"}
        assert [asker.ask(**bob).split()[0] for _ in range(2)] == ["DUNNO", "550"]
        until(lambda: "suspended" in asker.ask(**bob), "bob is suspended")
        assert asker.ask(sasl_username="alice@a.test", sender="alice@a.test") == "DUNNO"


def mailings(start: Start, url: str, context: str, count: int) -> Process:
    """Return a daemon that was asked for five copies of a mailing of a list that is too large for it."""
    daemon = start(
        url,
        limits={"list-size": {"kind": "size", "max": 3, "strikes": STRIKES | {"count": count}}},
        lists={
            "contexts": ["mailman"],
            "known": {"php@a.test": {"posting": "news@a.test", "size": 4}},
            "mailing_over": 0,
        },
        spam_traps={"addresses": ["old@remote.test"], "count": 9},
    )
    with daemon.asker() as asker:
        assert all("450" in asker.ask(**LIST, policy_context=context) for _ in range(5))
    return daemon


def test_a_list_that_mails_though_it_is_too_large_is_suspended(start: Start, redis_server: RedisServer) -> None:
    """It hears of the suspension, not of its size; the people of its domain go on."""
    daemon = mailings(start, redis_server.url, "mailman", count=1)
    with daemon.asker() as asker:
        until(lambda: "suspended" in asker.ask(**LIST, policy_context="mailman"), "the list is suspended")
        assert asker.ask(sasl_username="alice@a.test", sender="alice@a.test") == "DUNNO"


def test_a_mailing_is_one_strike(start: Start, redis_server: RedisServer) -> None:
    """However many copies of it are refused."""
    daemon = mailings(start, redis_server.url, "mailman", count=2)
    until(lambda: "strike 1 of 2" in daemon.log, "the mailing is a strike")
    with daemon.asker() as asker:
        assert "Limit list-size" in asker.ask(**LIST, policy_context="mailman")
    assert "strike 2 of 2" not in daemon.log


def test_who_only_claims_to_be_a_list_strikes_nobody(start: Start, redis_server: RedisServer) -> None:
    """A neighbour's forged mailing is refused, and the list itself goes on as it was."""
    daemon = mailings(start, redis_server.url, "", count=1)
    with daemon.asker() as asker:
        bob = {"sasl_username": "bob@a.test", "sender": "bob@a.test", "recipient": "old@remote.test"}
        assert asker.ask(**bob) == "DUNNO"
        until(lambda: "trap: bob@a.test" in daemon.log, "what was noted is counted")
    assert "strike 1" not in daemon.log


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
