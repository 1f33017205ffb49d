"""Faults of Redis as an admin meets them: what a running daemon shows is what "When things break" says."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import pytest

from tests.app.conftest import Start
from tests.support.daemon import rate
from tests.support.embedded import small_disk
from tests.support.manual import Seen
from tests.support.process import Process, configuration
from tests.support.proxy import Proxy
from tests.support.redis import RedisServer, running
from tests.support.redis_user import PASSWORD as USER_PASSWORD
from tests.support.redis_user import grant
from tests.support.secretfile import write_secret
from tests.support.wait import until

ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}
BEGINS = "the store does not answer; store.when_down: accept decides until it does"
ENDS = "the store answers"
SLOWLY = ("--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024")


def up(daemon: Process) -> bool:
    """Whether the store answers."""
    return daemon.metric("policyd_store_up") == 1


class Site:
    """A daemon, and its Redis whose files are on a small disk."""

    def __init__(self, server: RedisServer, daemon: Process, disk: Path) -> None:
        self.server, self.daemon, self.disk = server, daemon, disk
        self.client = server.client()
        self.asker = daemon.asker()
        self._starting = Thread()

    def mail(self) -> None:
        """Ask about a recipient: mail flows, with the store and without."""
        assert self.asker.ask(**ALICE) == "DUNNO"

    def fill(self) -> None:
        """Fill the disk."""
        fill(self.disk)

    def load(self) -> None:
        """Have Redis start anew, with much to read and slowly."""
        self.client.mset({f"key{n}": "x" * 1000 for n in range(300)})
        self.client.bgrewriteaof()
        until(lambda: self.client.info("persistence")["aof_rewrites"], "all of it stands in one file")
        until(lambda: not self.client.info("persistence")["aof_rewrite_in_progress"], "the file is written")
        self.server.kill()
        self.server.options += SLOWLY
        self._starting = Thread(target=self.server.start)
        self._starting.start()

    def loaded(self) -> None:
        """Wait until it has."""
        self._starting.join()
        self.server.options = self.server.options[: -len(SLOWLY)]

    def shut_out(self) -> None:
        """Have Redis want a password that the daemon does not know."""
        self.client.config_set("requirepass", "another")
        self.client.client_kill_filter(_type="normal", skipme=True)

    def refuse(self, more: int) -> None:
        """Return when Redis has refused so many scripts, or commands of scripts, more."""

        def refused() -> int:
            stats = self.client.info("commandstats").values()
            return sum(one["rejected_calls"] + one["failed_calls"] for one in stats)

        before = refused()
        until(lambda: refused() >= before + more, "they are refused")

    def let_in(self) -> None:
        """Take the password away."""
        self.client.config_set("requirepass", "")


def fill(disk: Path) -> None:
    """Fill a disk."""
    status = os.statvfs(disk)
    (disk / "filler").write_bytes(b"x" * (status.f_bavail * status.f_frsize))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Run a daemon that lets mail flow when its Redis is away."""
    with ExitStack() as ending:
        disk = ending.enter_context(small_disk("3m"))
        server = ending.enter_context(running(options=("--dir", str(disk), "--appendonly", "yes")))
        made = configuration(server.url, ["a.test"], {"domain-hourly": rate(100_000)}, store={"timeout": "100ms"})
        daemon = Process(made)
        ending.callback(daemon.remove)
        daemon.start()
        found = Site(server, daemon, disk)
        ending.callback(found.asker.close)
        until(lambda: up(daemon), "the store answers")
        yield found


class Fault(NamedTuple):
    """The row of the README, the line of the log that says why, and what is done and undone."""

    row: str
    line: str
    begin: Callable[[Site], object]
    end: Callable[[Site], object]


FAULTS = {
    "killed": Fault(
        "Redis is down (killed, or its host is gone)", "cannot reach Redis: [Errno 111]",
        lambda site: site.server.kill(), lambda site: site.server.start(),
    ),
    "frozen": Fault(
        "Redis is frozen", "cannot reach Redis: no answer in time",
        lambda site: site.server.pause(), lambda site: site.server.resume(),
    ),
    "without memory": Fault(
        "Redis has no memory left (`maxmemory`)", "Redis refuses to count: OOM",
        lambda site: site.client.config_set("maxmemory", 1), lambda site: site.client.config_set("maxmemory", 0),
    ),
    "a replica": Fault(
        "Redis is a read-only replica", "Redis refuses to count: READONLY",
        lambda site: site.client.replicaof("127.0.0.1", "1"), lambda site: site.client.replicaof("NO", "ONE"),
    ),
    "a right that is lost": Fault(
        "the Redis user has lost a right", "Redis refuses to count: NOPERM",
        lambda site: site.client.acl_setuser("default", enabled=True, categories=["-@scripting"]),
        lambda site: site.client.acl_setuser("default", enabled=True, categories=["+@all"]),
    ),
    "a full disk": Fault(
        "the disk of the counters is full", "Redis refuses to count: MISCONF",
        Site.fill, lambda site: (site.disk / "filler").unlink(),
    ),
    "loading": Fault(
        "Redis loads its file after a start", "cannot reach Redis: LOADING", Site.load, Site.loaded
    ),
}  # fmt: skip


@pytest.mark.e2e
@pytest.mark.parametrize("name", FAULTS)
def test_redis_is_away(site: Site, name: str) -> None:
    """Mail flows, alerts and log say which fault it is, as the README has them, and when it is over."""
    fault, seen = FAULTS[name], Seen(site.daemon, site.mail)
    fault.begin(site)
    try:
        seen.row(fault.row)
        seen.line(fault.line)
        seen.line(BEGINS)
        assert f'msg="{ENDS}"' not in seen.log
    finally:
        fault.end(site)
    seen.line(ENDS)
    until(lambda: up(site.daemon), "it goes on by itself")


@pytest.mark.e2e
def test_rights_that_the_user_lacks(site: Site, start: Start, tmp_path: Path) -> None:
    """The store is down, without a break, until the user has them again."""
    grant(site.server)
    file, name = write_secret(tmp_path / "password", USER_PASSWORD), site.server.url.replace("://", "://policyd@")
    daemon = start(name, store={"password_file": file})
    until(lambda: up(daemon), "the store answers")
    with daemon.asker() as asker:
        for lost in ("-@scripting", "-@write"):
            seen = Seen(daemon, lambda: asker.ask(**ALICE))
            site.client.execute_command(*f"ACL SETUSER policyd {lost}".split())  # type: ignore[no-untyped-call]
            seen.line(BEGINS)
            site.refuse(4)
            assert f'msg="{ENDS}"' not in seen.log
            assert seen.log.count("the store does not answer") == seen.log.count("Redis refuses to count") == 1
            grant(site.server)
            seen.line(ENDS)


@pytest.mark.e2e
def test_another_password(site: Site, start: Start, tmp_path: Path) -> None:
    """A daemon without a password hears NOAUTH, one with a wrong password WRONGPASS until its file is corrected."""
    file, seen = tmp_path / "password", Seen(site.daemon, site.mail)
    write_secret(file, "wrong")
    site.shut_out()
    other = start(site.server.url, store={"password_file": str(file)})
    told = Seen(other)
    try:
        until(lambda: other.said("cannot reach Redis: WRONGPASS"), "the other one says why")
        seen.row("Redis wants another password", without="WRONGPASS")
        seen.line("cannot reach Redis: NOAUTH")
        write_secret(file, "another")
        told.line(ENDS)
    finally:
        site.let_in()
    seen.line(ENDS)


@pytest.mark.e2e
def test_redis_may_evict(site: Site) -> None:
    """It is said once, however often it is connected to, and not of a Redis whose memory has no bound."""
    seen = Seen(site.daemon)

    def connect_again() -> None:
        site.client.client_kill_filter(_type="normal", skipme=True)
        site.mail()

    site.client.config_set("maxmemory-policy", "allkeys-lru")
    connect_again()
    assert "forgets counters" not in seen.log
    site.client.config_set("maxmemory", "100mb")
    try:
        connect_again()
        seen.row("Redis may evict (`maxmemory` with another `maxmemory-policy` than `noeviction`)")
        seen.line("Redis forgets counters")
        connect_again()
    finally:
        site.client.config_set("maxmemory", 0)
        site.client.config_set("maxmemory-policy", "noeviction")
    assert seen.log.count("forgets counters") == 1


@pytest.fixture
def proxy(site: Site) -> Iterator[Proxy]:
    """Run what stands for the network between policyd and Redis."""
    made = Proxy(site.server.socket)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.e2e
def test_redis_is_slow(proxy: Proxy, start: Start) -> None:
    """What is slower than store.timeout is given up, what is faster is waited for; both show."""
    daemon = start(proxy.url, store={"timeout": "500ms"}, log={"accepted": True})
    until(lambda: up(daemon), "the store answers")
    with daemon.asker() as asker:
        slow = Seen(daemon, lambda: asker.ask(**ALICE))
        proxy.delay = 0.15
        slow.row("answers are slow")
        proxy.delay = 0.0
        until(lambda: up(daemon), "no answer was so slow that it was given up")
        away = Seen(daemon, lambda: asker.ask(**ALICE))
        proxy.delay = 1.0
        away.row("Redis is slow, or the network to it")
        proxy.delay = 0.0
        away.line(ENDS)


@pytest.mark.e2e
def test_the_embedded_redis(start: Start) -> None:
    """Its own last words are in the log, and that it runs again."""
    with small_disk("3m") as disk:
        daemon = start("embedded", store={"directory": str(disk)})
        with daemon.asker() as asker:
            ends, full = Seen(daemon), Seen(daemon, lambda: asker.ask(**ALICE))
            os.kill(int((disk / "redis.pid").read_text().split()[0]), signal.SIGKILL)
            ends.row("the embedded Redis ended")
            until(lambda: up(daemon), "it runs again")
            fill(disk)
            full.row("the disk of the counters is full")
            said = [line["msg"] for line in daemon.lines(level="warn") if "writing to the AOF file" in line["msg"]]
            assert said[0].startswith("redis-server: ")
            (disk / "filler").unlink()
            ends.line(ENDS)
            until(lambda: up(daemon), "it goes on by itself")
