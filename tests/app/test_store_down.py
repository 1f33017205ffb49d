"""Redis is slow, down or not there yet: mail flows or waits as the admin chose, and it shows."""

import json
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.app.conftest import Start
from tests.support.command import policyd
from tests.support.daemon import rate
from tests.support.process import Process, configuration
from tests.support.redis import RedisServer, running
from tests.support.secretfile import write_secret
from tests.support.wait import until

ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}
BOB = {"sasl_username": "bob@a.test", "sender": "bob@a.test"}
INBOUND = {"client_address": "192.0.2.9", "sasl_username": "", "sender": "x@remote.test", "recipient": "alice@a.test"}
WAIT = "450 4.7.1 The mail policy service cannot count just now; please try again later"
PAID = "what was let through without the store is paid back: 3 charges"
SHORT = "100ms"


@pytest.fixture(params=["accept", "defer"])
def when_down(request: pytest.FixtureRequest) -> str:
    """Return each choice of an admin."""
    return str(request.param)


@pytest.fixture
def paused(start: Start, redis_server: RedisServer, when_down: str) -> Iterator[Process]:
    """Run a daemon whose Redis hangs since its last answer."""
    store = {"timeout": SHORT, "when_down": when_down}
    daemon = start(redis_server.url, limits={"domain-hourly": rate(3)}, store=store)
    with daemon.asker() as asker:
        assert asker.ask(**ALICE) == "DUNNO"
    redis_server.pause()
    yield daemon
    redis_server.resume()


def ready(daemon: Process) -> bool:
    """Whether /readyz says so."""
    return daemon.page("/readyz")[0] == 200


def test_what_is_answered(paused: Process, when_down: str) -> None:
    """Without the store the answer is what the admin chose, within its timeout, in metrics and in the log."""
    with paused.asker() as asker:
        answers = [asker.ask(**ALICE) for _ in range(5)]

    assert answers == [{"accept": "DUNNO", "defer": WAIT}[when_down]] * 5
    assert paused.metric("policyd_answers_without_store_total", action=when_down) == 5
    assert paused.metric("policyd_store_errors_total", op="charge") == 5
    assert paused.metric("policyd_store_breaker_open") == 1
    lines = paused.lines(action=when_down, account="a.test", sasl="alice@a.test")
    assert len(lines) == 5
    why = "store charge: (no answer within 100 ms|Redis gave no answer in time|the link)"
    assert all(re.match(why, line["store"]) for line in lines)


def test_a_redis_that_refuses_to_write(start: Start, redis_server: RedisServer) -> None:
    """A Redis that answers and cannot write (full disk or memory, read-only) is down, until it writes again."""
    daemon = start(redis_server.url, limits={"domain-hourly": rate(3)})
    redis_server.client().config_set("maxmemory", "1")
    until(lambda: daemon.said("Redis refuses to count: OOM"), "the log says why, without any mail")
    until(lambda: daemon.metric("policyd_store_up") == 0, "the metric says so, too")
    redis_server.client().config_set("maxmemory", "0")
    until(lambda: daemon.metric("policyd_store_up") == 1, "it goes on by itself")

    assert daemon.said("the store does not answer")


def test_readiness(paused: Process, redis_server: RedisServer, when_down: str) -> None:
    """/readyz and store_up tell of an outage that no mail has met, and of its end; when_down accept is ready."""
    until(lambda: paused.said("cannot reach Redis"), "the link has given up")
    during = paused.page("/readyz")
    redis_server.resume()
    until(lambda: paused.metric("policyd_store_up") == 1, "its end shows")

    assert (
        during
        == {
            "accept": (200, "ready\n"),
            "defer": (503, "not ready: the store does not answer, and store.when_down is defer\n"),
        }[when_down]
    )
    assert ready(paused)
    assert paused.metric("policyd_store_breaker_open") == 0
    assert paused.page("/livez") == (200, "ok\n")
    said = [line["msg"] for line in paused.lines(logger="policyd") if line["msg"].startswith("the store")]
    outage = f"the store does not answer; store.when_down: {when_down} decides until it does"
    assert said == ["the store answers", outage, "the store answers"]


def test_nothing_is_charged_late(paused: Process, redis_server: RedisServer) -> None:
    """What was answered without the store is not charged when Redis goes on, and counting continues."""
    with paused.asker() as asker:
        for _ in range(20):
            asker.ask(**ALICE)
        redis_server.resume()
        until(lambda: paused.metric("policyd_store_up") == 1, "Redis answers again")

        assert [asker.ask(**ALICE)[:5] for _ in range(3)] == ["DUNNO", "DUNNO", "550 5"]


def test_inbound_mail(paused: Process, redis_server: RedisServer, when_down: str) -> None:
    """Mail from outside needs no store: it flows at once whatever Redis does, and is no answer without it."""
    assert when_down
    with paused.asker() as asker:
        answers = {asker.ask(**INBOUND, protocol_state=state) for state in ("RCPT", "DATA", "END-OF-MESSAGE")}

    assert answers == {"DUNNO"}
    assert paused.metric("policyd_requests_total", service="postfix", traffic="inbound", action="accept") == 2
    assert [paused.metric("policyd_answers_without_store_total", action=a) for a in ("accept", "defer")] == [0, 0]
    redis_server.resume()


def test_inbound_mail_makes_no_call(start: Start, redis_server: RedisServer) -> None:
    """Mail from outside runs no script in Redis, from RCPT to END-OF-MESSAGE."""
    daemon = start(redis_server.url)
    with daemon.asker() as asker:
        asker.ask(**ALICE)
        before = scripts_run(redis_server)
        for state in ("RCPT", "DATA", "END-OF-MESSAGE") * 20:
            assert asker.ask(**INBOUND, protocol_state=state) == "DUNNO"
        assert scripts_run(redis_server) == before > 0
        asker.ask(**ALICE)
        assert scripts_run(redis_server) == before + 1


def scripts_run(server: RedisServer) -> int:
    """Return how many times Redis was asked to run the script: what is asked each second is another one."""
    with server.client() as client:
        return int(client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))


def test_not_there_at_start(start: Start, redis_server: RedisServer, when_down: str) -> None:
    """A daemon starts without its Redis, answers as the admin chose, and counts as soon as Redis is there."""
    redis_server.stop()
    store = {"timeout": SHORT, "when_down": when_down}
    daemon = start(redis_server.url, limits={"domain-hourly": rate(2)}, store=store)
    with daemon.asker() as asker:
        before = [asker.ask(**ALICE) for _ in range(3)]
        was_ready = ready(daemon)
        redis_server.start()
        until(lambda: daemon.metric("policyd_store_up") == 1, "the daemon finds Redis")
        after = [asker.ask(**ALICE)[:5] for _ in range(3)]

    assert before == [{"accept": "DUNNO", "defer": WAIT}[when_down]] * 3
    assert (was_ready, ready(daemon)) == (when_down == "accept", True)
    assert after == ["DUNNO", "DUNNO", "550 5"]
    assert daemon.said("cannot reach Redis")


@pytest.mark.parametrize(
    ("url", "file", "why"),
    [
        ("unix:///tmp/nowhere/redis.sock", "/nowhere/redis.password", "the file is not there (write"),
        ("rediss://127.0.0.1:1?ssl_ca_certs=/nowhere/ca.pem", None, "/nowhere/ca.pem: the file is not there (write"),
    ],
    ids=["password", "certificate"],
)
def test_files_that_are_missing(ending: ExitStack, url: str, file: str | None, why: str) -> None:
    """A daemon whose store names a file that cannot be read does not start, and says what to correct."""
    store = {} if file is None else {"password_file": file}
    daemon = Process(configuration(url, ["a.test"], {"domain-hourly": rate(1)}, store=store))
    ending.callback(daemon.remove)
    daemon.write()
    daemon.launch()

    assert daemon.ended() == 1
    (line,) = daemon.lines(level="critical")
    assert why in line["msg"]


def test_the_status_says_it(start: Start, redis_server: RedisServer) -> None:
    """On top of what Redis can still tell; where it tells nothing the exit code is 75, and what is known is shown."""
    daemon = start(redis_server.url, limits={"domain-hourly": rate(3)})
    admin = ("--admin", str(daemon.admin))
    with daemon.asker() as asker:
        asker.ask(**ALICE)
        until(lambda: fullest(daemon) == [("a.test", 1)], "it is counted, and the index knows it")
        assert daemon.ask("/v1/status")["outage"] is None
        redis_server.client().config_set("maxmemory", "1")
        until(lambda: daemon.metric("policyd_store_up") == 0, "the daemon notices")
        asker.ask(**ALICE)
        refusing = policyd("status", *admin)
        redis_server.kill()
        until(lambda: daemon.said("cannot reach Redis"), "the daemon notices")
        asker.ask(**ALICE)
        gone = policyd("status", *admin)

    when, what, *table = refusing.stdout.splitlines()
    assert refusing.returncode == 0
    assert re.fullmatch(r"the store does not count since [0-9:]{8}: Redis refuses to count: OOM .*", when)
    assert what == "when_down: accept: mail flows without limits; 1 answer so far (README: When things break)"
    assert table[1].split()[:2] == ["a.test", "domain-hourly"]
    when, what, unread = gone.stdout.splitlines()
    assert (gone.returncode, gone.stderr) == (75, "")
    assert re.fullmatch(r"the store does not count since [0-9:]{8}: cannot reach Redis.*", when)
    assert "; 2 answers so far (" in what
    assert unread == "what is used of the limits cannot be read"
    told = policyd("status", *admin, "--json")
    assert (told.returncode, json.loads(told.stdout)["outage"]["when_down"]) == (75, "accept")


@pytest.mark.parametrize("away", ["frozen", "killed"])
def test_counting_on_without_it(start: Start, ending: ExitStack, away: str) -> None:
    """With when_down local the rest of a limit is let through, more is deferred, and Redis is told when it is back."""
    server = ending.enter_context(running(append=True))
    limits = {"domain-hourly": rate(4), "user-hourly": rate(4, per="user")}
    daemon = start(server.url, limits=limits, store={"timeout": "1s", "when_down": "local"}, nodes="1")
    with daemon.asker() as asker:
        assert asker.ask(**ALICE) == "DUNNO"
        (server.pause if away == "frozen" else server.kill)()
        assert [asker.ask(**BOB) for _ in range(5)] == ["DUNNO"] * 3 + [WAIT] * 2
        assert daemon.metric("policyd_unpaid_charges") == 3
        assert daemon.ask("/v1/status")["outage"]["unpaid"] == 3
        assert daemon.page("/readyz")[0] == 200
        (server.resume if away == "frozen" else server.start)()
        until(lambda: daemon.said(PAID), "what was let through is paid back")
        assert daemon.metric("policyd_unpaid_charges") == 0
        until(lambda: ("bob@a.test", 3) in fullest(daemon), "status knows who was paid back, without more mail of his")
        assert asker.ask(**ALICE).startswith("550 5")

    lines = daemon.lines(action="accept", account="a.test")
    assert [line["store"].endswith("; counted by this daemon") for line in lines] == [True] * 3
    assert daemon.said("store.when_down: local decides until it does")


def test_why_mail_is_counted_without_it(start: Start, redis_server: RedisServer) -> None:
    """The line of each mail says why Redis does not count, however much the account owes already."""
    store = {"timeout": "1s", "when_down": "local"}
    daemon = start(redis_server.url, limits={"domain-hourly": rate(2)}, store=store, nodes="1")
    until(lambda: daemon.metric("policyd_store_up") == 1, "the script is loaded")
    with daemon.asker() as asker, redis_server.client() as client:
        client.config_set("maxmemory", 1)
        assert [asker.ask(**ALICE) for _ in range(3)] == ["DUNNO", "DUNNO", WAIT]
        client.config_set("maxmemory", 0)
    until(lambda: daemon.lines(action="defer", account="a.test"), "the last line is written")

    lines = [*daemon.lines(action="accept", account="a.test"), *daemon.lines(action="defer", account="a.test")]
    oom = "OOM command not allowed when used memory > 'maxmemory'"
    why = [line["store"].replace("Redis refuses to count: ", "") for line in lines]  # it may be known already
    assert why == [
        f"store charge: {oom}; counted by this daemon",
        f"store charge: {oom}; counted by this daemon",
        f"store charge: {oom}, and this daemon's share of domain-hourly is used up",
    ]


def test_a_password_that_is_changed(start: Start, ending: ExitStack, tmp_path: Path) -> None:
    """With when_down local mail is counted until the file has the new password, and paid back without a restart."""
    server = ending.enter_context(running(password="old"))
    store = {"password_file": write_secret(tmp_path / "password", "old"), "when_down": "local"}
    daemon = start(server.url, limits={"domain-hourly": rate(9)}, store=store, nodes="1")
    with daemon.asker() as asker:
        assert asker.ask(**ALICE) == "DUNNO"
        with server.client() as client:
            client.config_set("requirepass", "new")
            client.client_kill_filter(_type="normal", skipme=True)
        until(lambda: daemon.said("WRONGPASS"), "the old one is not taken any more")
        assert [asker.ask(**ALICE) for _ in range(3)] == ["DUNNO"] * 3
        write_secret(tmp_path / "password", "new")
        until(lambda: daemon.said(PAID), "what was let through is paid back")

    assert daemon.used("a.test", "domain-hourly") == 4


def fullest(daemon: Process) -> list[tuple[str, int]]:
    """Return the subjects of the fullest counters, and how much they have used."""
    return [(gauge["subject"], gauge["used"]) for gauge in daemon.ask("/v1/status")["gauges"]]


@pytest.mark.parametrize("back", [True, False], ids=["back in time", "away"])
def test_a_daemon_that_is_stopped_while_it_owes(start: Start, ending: ExitStack, back: bool) -> None:
    """It goes on paying for some seconds; of what is lost the log says whose it is."""
    server = ending.enter_context(running(append=True))
    local = {"timeout": "1s", "when_down": "local"}
    daemon = start(server.url, limits={"domain-hourly": rate(9)}, store=local, nodes="1")
    server.kill()
    with daemon.asker() as asker:
        until(lambda: asker.ask(**ALICE) == "DUNNO" and daemon.metric("policyd_unpaid_charges") >= 3, "it owes")
        owed = int(daemon.metric("policyd_unpaid_charges"))
    daemon.signal(signal.SIGTERM)
    if back:
        until(lambda: daemon.said("ending"), "it ends")
        server.start()
    assert daemon.ended() == 0
    if not back:
        server.start()

    lost = f"{owed} charges of this daemon not paid back, and lost: a.test {owed}"
    assert (daemon.said(lost), daemon.said("is paid back")) == (not back, back)
    assert start(server.url, limits={"domain-hourly": rate(9)}).used("a.test", "domain-hourly") == owed * back
