"""SIGHUP: another configuration comes into force while mail flows."""

from collections import Counter
from threading import Event

from tests.app.conftest import Start
from tests.support.asker import Crowd
from tests.support.daemon import Yaml, rate
from tests.support.process import Process
from tests.support.redis import RedisServer

PAIRS = ("alpha", "beta")
ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}


def limits_of(pair: str) -> Yaml:
    """Return two limits that are only ever in force together."""
    return {f"{pair}-domain": rate(1_000_000), f"{pair}-user": rate(1_000_000, per="user", traffic=["user"])}


def put(daemon: Process, pair: str) -> None:
    """Write a pair of limits into the configuration."""
    daemon.configuration["limits"] = limits_of(pair)
    daemon.configuration["plans"] = {"shared": {"apply": list(limits_of(pair))}}


def spoil(daemon: Process) -> None:
    """Write a mistake into the configuration."""
    daemon.configuration["plans"] = {"shared": {"apply": ["no-such-limit"]}}


def test_requests_in_flight(start: Start, redis_server: RedisServer) -> None:
    """Of thousands of requests during reloads each gets one answer, under the whole of one configuration."""
    daemon = start(redis_server.url, limits=limits_of("alpha"), accounts={"settle": "recipient"})

    def talk(number: int, enough: Event) -> list[str]:
        answers = list[str]()
        with daemon.asker() as asker:
            while not enough.is_set() or len(answers) < 500:
                login = f"u{number}@a.test"
                answers.append(asker.ask(sasl_username=login, sender=login))
        return answers

    with Crowd(6, talk) as crowd:
        for pair in (*PAIRS, *PAIRS):
            spoil(daemon)
            daemon.hang_up("failed")
            put(daemon, pair)
            daemon.hang_up("ok")

    assert set(crowd.answers) == {"DUNNO"}
    assert len(crowd.answers) >= 3000
    assert (daemon.reloads("ok"), daemon.reloads("failed")) == (4, 4)
    alpha, beta = used_under(daemon, "alpha"), used_under(daemon, "beta")
    assert alpha["alpha-domain"] == alpha["alpha-user"] > 0
    assert beta["beta-domain"] == beta["beta-user"] > 0
    assert alpha["alpha-domain"] + beta["beta-domain"] == len(crowd.answers)


def used_under(daemon: Process, pair: str) -> Counter[str]:
    """Return how much is used of each limit of a pair, in all."""
    put(daemon, pair)
    daemon.hang_up("ok")
    gauges = {
        (gauge["limit"], gauge["subject"]): gauge["used"]
        for subject in ("a.test", *(f"u{number}@a.test" for number in range(6)))
        for gauge in daemon.ask("/v1/status", subject=subject)["gauges"]
    }
    used: Counter[str] = Counter()
    for (limit, _), count in gauges.items():
        used[limit] += count
    return used


def test_a_bad_file(start: Start, redis_server: RedisServer) -> None:
    """A bad file changes nothing; its mistakes are logged with what to write instead, and counted."""
    daemon = start(redis_server.url, limits={"domain-hourly": rate(1)})
    loaded = daemon.metric("policyd_config_loaded_timestamp_seconds")
    daemon.configuration["limits"] = {"domain-hourly": rate(500)}
    daemon.configuration["plans"] = {"shared": {"apply": ["domain-hurly"]}}
    daemon.hang_up("failed")

    with daemon.asker() as asker:
        assert [asker.ask(**ALICE)[:5] for _ in range(2)] == ["DUNNO", "550 5"]
    assert daemon.metric("policyd_config_loaded_timestamp_seconds") == loaded
    assert daemon.lines(level="error", logger="policyd.config")[-2]["msg"].endswith("(did you mean domain-hourly?)")
    assert daemon.said("the reload changed nothing: correct the file (policyd config check) and reload again")


def test_what_changed_is_logged(start: Start, redis_server: RedisServer) -> None:
    """The log says what changed, limit by limit, old -> new."""
    daemon = start(redis_server.url, limits={"domain-hourly": rate(1)})
    daemon.configuration["limits"]["domain-hourly"].update(max=2, window="2h")
    daemon.configuration["accounts"]["domains"]["b.test"] = "shared"
    daemon.hang_up("ok")

    changed = [line["msg"] for line in daemon.lines(logger="policyd.config") if line["msg"].startswith("changed: ")]
    assert changed == [
        "changed: limits.domain-hourly.max: 1 -> 2",
        "changed: limits.domain-hourly.window: 1h -> 2h",
        'changed: accounts.domains["b.test"]: added (shared)',
    ]


def test_counters_survive(start: Start, redis_server: RedisServer) -> None:
    """What was used before a reload is used after it, under the changed maximum."""
    daemon = start(redis_server.url, limits={"domain-hourly": rate(2)})
    with daemon.asker() as asker:
        assert [asker.ask(**ALICE)[:5] for _ in range(3)] == ["DUNNO", "DUNNO", "550 5"]
        daemon.configuration["limits"] = {"domain-hourly": rate(3)}
        daemon.hang_up("ok")
        assert [asker.ask(**ALICE)[:5] for _ in range(2)] == ["DUNNO", "550 5"]


def test_static_sections(start: Start, redis_server: RedisServer) -> None:
    """A changed listen or store stays as it was at start, with a warning; the rest comes into force."""
    daemon = start(redis_server.url, limits={"domain-hourly": rate(1)})
    daemon.configuration["listen"]["postfix"] = [f"unix:{daemon.base}/elsewhere"]
    daemon.configuration["store"]["when_down"] = "defer"
    daemon.configuration["limits"]["domain-hourly"]["max"] = 2
    daemon.hang_up("ok")

    with daemon.asker() as asker:
        assert [asker.ask(**ALICE)[:5] for _ in range(3)] == ["DUNNO", "DUNNO", "550 5"]
    assert not (daemon.base / "elsewhere").exists()
    assert [line["msg"] for line in daemon.lines(level="warn", logger="policyd.config")] == [
        "listen changes at a restart only; what was in force at start stays",
        "store changes at a restart only; what was in force at start stays",
    ]
    assert daemon.ask("/v1/daemon")["listen"]["postfix"] == [f"unix:{daemon.policy}"]


def test_a_bad_include(start: Start, redis_server: RedisServer) -> None:
    """A bad included file keeps its last good text, at a reload and at the next start."""
    limits = {"domain-hourly": rate(400), "one": rate(1)}
    daemon = start(redis_server.url, limits=limits, accounts={"include": ["more.d/*.yaml"]})
    more = daemon.base / "more.d" / "b.yaml"
    more.parent.mkdir()
    more.write_text("domains: {b.test: {plan: shared, change: {one: {max: 0}}}}\n")
    daemon.hang_up("ok")
    more.write_text("domains: {b.test: {plan: shored}}\n")
    daemon.hang_up("ok")
    after_reload = answer_to(daemon, "b.test")
    stale = daemon.metric("policyd_config_stale_files")
    daemon.stop()
    daemon.start()

    assert (after_reload, stale) == ("550 5.7.1 Limit one", 1)
    assert (answer_to(daemon, "b.test"), daemon.metric("policyd_config_stale_files")) == (after_reload, 1)
    assert len(daemon.lines(msg=f"{more} is bad: its last good text stays in force until it is corrected")) == 2
    assert daemon.ask("/v1/daemon")["stale"] == [str(more)]


def answer_to(daemon: Process, domain: str) -> str:
    """Return the beginning of what a login of a domain is told."""
    with daemon.asker() as asker:
        return asker.ask(sasl_username=f"u@{domain}", sender=f"u@{domain}").partition(":")[0]
