"""Faults of Sentinel and Cluster as an admin meets them, with when_down local: what flowed is counted in the end."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from policyd.store import keys
from tests.support.cluster import Move, Nodes, cluster
from tests.support.daemon import rate
from tests.support.manual import Seen
from tests.support.process import Process, configuration
from tests.support.redis import RedisServer
from tests.support.sentinels import NAME, Watched, watched
from tests.support.wait import until

ACCOUNT = "a.test"
ALICE = {"sasl_username": f"alice@{ACCOUNT}", "sender": f"alice@{ACCOUNT}"}
AWAY = "the store does not answer; store.when_down: local decides until it does"
PAID = "what was let through without the store is paid back"


class Site:
    """A daemon that counts on without its store, and how many recipients it has let through."""

    def __init__(self, url: str) -> None:
        store = {"timeout": "250ms", "when_down": "local"}
        self.daemon = Process(configuration(url, [ACCOUNT], {"domain-hourly": rate(100_000)}, store=store, nodes="1"))
        self.daemon.start()
        self.asker, self.sent = self.daemon.asker(), 0

    def mail(self) -> None:
        """Ask about a recipient: mail flows, with the store and without."""
        assert self.asker.ask(**ALICE) == "DUNNO"
        self.sent += 1

    def through(self, what: str, begin: Callable[[], object], end: Callable[[], object] = lambda: None) -> str:
        """Begin a fault, wait for what the README's row names, end it, and return the log when all is paid back."""
        seen = Seen(self.daemon, self.mail)
        begin()
        seen.row(what)
        end()
        until(lambda: PAID in seen.log and self.daemon.metric("policyd_unpaid_charges") == 0, "all is paid back")
        self.mail()
        assert self.daemon.used(ACCOUNT, "domain-hourly") == self.sent
        return seen.log

    def close(self) -> None:
        """End it."""
        self.asker.close()
        self.daemon.remove()


@pytest.fixture
def ending() -> Iterator[ExitStack]:
    """End what a test has started, last first."""
    with ExitStack() as stack:
        yield stack


def begun(ending: ExitStack, servers: Watched | Nodes) -> Site:
    """Return a daemon on servers that has counted already."""
    site = Site(servers.url)
    ending.callback(site.close)
    ending.callback(lambda: print(site.daemon.log))
    until(lambda: site.daemon.metric("policyd_store_up") == 1, "the store answers")
    site.mail()
    return site


def heard_of(server: RedisServer) -> None:
    """Return when a replica has what a master has."""
    with server.client() as client:
        assert client.wait(1, 5000) == 1


@pytest.mark.e2e
def test_sentinel(ending: ExitStack) -> None:
    """The replicas are lost, the master dies, and the sentinels forget it."""
    servers = ending.enter_context(watched())
    site, master, replica = begun(ending, servers), servers.master(), servers.other()
    with master.client() as client:
        client.config_set("min-replicas-max-lag", 1)
        client.config_set("min-replicas-to-write", 1)
        what = "Sentinel: the master has lost its replicas (`min-replicas-to-write`)"
        assert AWAY in site.through(what, replica.pause, replica.resume)
    until(servers.ready, "the replica can take over")
    heard_of(master)
    assert AWAY in site.through("Sentinel: the master died or froze", master.kill)

    without, sentinels = Seen(site.daemon, site.mail), [servers.sentinel(at) for at in range(len(servers.ports))]
    for sentinel in sentinels:
        sentinel.sentinel_remove(NAME)
    without.line("no sentinel has named the master")
    for sentinel in sentinels:
        sentinel.sentinel_monitor(NAME, "127.0.0.1", replica.port, 2)
    without.line("a sentinel names the master")
    without = Seen(site.daemon, site.mail)
    for sentinel in sentinels:
        sentinel.shutdown(nosave=True)
    until(lambda: site.daemon.metric("policyd_sentinels_up") == 0, "the sentinels are gone")
    site.mail()
    assert site.daemon.used(ACCOUNT, "domain-hourly") == site.sent
    with replica.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)
    without.row("Sentinel: no sentinel answers, or none knows the name")
    site.mail()
    site.daemon.stop()
    assert "charges of this daemon not paid back, and lost" in without.log


@pytest.mark.e2e
def test_cluster(ending: ExitStack) -> None:
    """A slot stays half moved, and a master dies."""
    nodes = ending.enter_context(cluster())
    site, tag = begun(ending, nodes), keys.tag(ACCOUNT)
    move = Move(nodes, tag)

    def moved() -> None:
        move.keys()
        move.end()

    log = site.through("Cluster: a slot stays half moved", move.begin, moved)
    assert "the store does not answer" not in log
    owner = nodes.owner(tag)
    heard_of(owner)
    assert AWAY in site.through("Cluster: a master died", owner.kill)
