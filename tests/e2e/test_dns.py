"""The DNS watch and ``policyd dns check``, against a real name server."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from policyd.cli.client import AdminClient
from tests.support.asker import Asker
from tests.support.command import policyd
from tests.support.daemon import LocalDaemon, Yaml, rate
from tests.support.nameserver import NameServer
from tests.support.process import Process, configuration
from tests.support.redis import RedisServer
from tests.support.wait import until

HERE = """\
mx.host A 192.0.2.25
_spf.host TXT "v=spf1 ip4:192.0.2.7 -all"
2.0.0.127.bl A 127.0.0.2
shop MX 10 mx.host
shop TXT "v=spf1 include:_spf.host.test -all"
_dmarc.shop TXT "v=DMARC1; p=none"
"""
AWAY = HERE.replace("shop MX 10 mx.host", "shop MX 10 mx.elsewhere\nmx.elsewhere A 198.51.100.1")
LISTED = HERE + '7.2.0.192.bl A 127.0.0.4\n7.2.0.192.bl TXT "spam seen"\n'
SHOP = "shop.test"


@pytest.fixture(name="server")
def _server() -> Iterator[NameServer]:
    """Return a name server in whose zone everything is as it should be."""
    server = NameServer()
    try:
        server.serve(HERE)
        yield server
    finally:
        server.remove()


def dns(resolver: str, **keys: object) -> Yaml:
    """Return a section ``dns`` for that zone."""
    names = {"mx": ["mx.host.test"], "spf": "_spf.host.test", "dnsbl": ["bl.test"]}
    return {**names, "senders": ["192.0.2.7"], "resolver": [resolver], **keys}


def checked(directory: Path, section: Yaml | None, *arguments: str) -> tuple[int, list[str]]:
    """Return exit code and output of ``policyd dns check`` for one hosted domain."""
    made = configuration("embedded", [SHOP], {"hourly": rate(4)}, **({"dns": section} if section else {}))
    file = directory / "policyd.yaml"
    file.write_text(yaml.safe_dump(made))
    done = policyd("dns", "check", *arguments, "--config", str(file))
    return done.returncode, (done.stdout + done.stderr).replace(str(file), "policyd.yaml").splitlines()


def test_check_says_that_all_is_well(server: NameServer, tmp_path: Path) -> None:
    """One line for each check, one for each blocklist, and exit code 0."""
    assert checked(tmp_path, dns(server.address)) == (
        0,
        [
            "mx    of 1 domain: 1 ok",
            "spf   of 1 domain: 1 ok",
            "dmarc of 1 domain: 1 ok",
            "bl.test: 0 addresses listed, 1 not",
        ],
    )


def test_check_says_what_is_wrong(server: NameServer, tmp_path: Path) -> None:
    """With exit code 1: a domain that moved away, an address that is listed, a list that is gone."""
    server.serve(AWAY + LISTED.removeprefix(HERE))
    assert checked(tmp_path, dns(server.address, dnsbl=["bl.test", "gone.test"])) == (
        1,
        [
            "shop.test  mx     wrong    mail goes to mx.elsewhere.test",
            "mx    of 1 domain: 1 wrong",
            "spf   of 1 domain: 1 ok",
            "dmarc of 1 domain: 1 ok",
            "bl.test: 192.0.2.7 is listed (127.0.0.4) spam seen",
            "bl.test: 1 address listed, 0 not",
            "gone.test: dead: it does not have its own test entry 127.0.0.2; take it out of dns.dnsbl",
        ],
    )


def test_check_of_one_domain_shows_all_that_is_known_of_it(server: NameServer, tmp_path: Path) -> None:
    """Hosted here or not; in JSON too."""
    code, out = checked(tmp_path, dns(server.address), "Shop.TEST.", "--json")
    assert (code, [one["state"] for one in json.loads("".join(out))["domains"]]) == (0, ["ok"] * 3)
    assert checked(tmp_path, dns(server.address), "new.test") == (
        1,
        [
            "new.test  mx     missing  the domain does not exist",
            "new.test  spf    missing  it has no SPF record (publish v=spf1 include:_spf.host.test ~all)",
            "new.test  dmarc  missing  it has no DMARC record (publish v=DMARC1; p=none at _dmarc)",
        ],
    )


def test_a_name_outside_the_zone_is_unknown(server: NameServer, tmp_path: Path) -> None:
    """A server that refuses to answer says nothing about the domain."""
    code, out = checked(tmp_path, dns(server.address), "shop.example", "--json")
    assert (code, {one["state"] for one in json.loads("".join(out))["domains"]}) == (1, {"unknown"})


def test_check_says_what_to_write_where_nothing_is_said(tmp_path: Path) -> None:
    """Without the section there is nothing to hold the DNS against."""
    why = "policyd.yaml: dns: nothing says what the DNS should have"
    assert checked(tmp_path, None) == (1, [f"{why} (write dns: {{mx: [mx.example.net], senders: [192.0.2.7]}})"])


@pytest.fixture(name="watching")
def _watching(redis_server: RedisServer, server: NameServer) -> Iterator[LocalDaemon]:
    """Return a daemon that watches the domain, after its first round."""
    daemon = LocalDaemon(configuration(redis_server.url, [SHOP], {"hourly": rate(4)}, dns=dns(server.address)))
    with ExitStack() as running:
        running.callback(daemon.remove)
        daemon.start()
        wait_round(daemon)
        yield daemon


def wait_round(daemon: LocalDaemon) -> None:
    """Wait until everything was looked at once."""
    until(lambda: daemon.metric("policyd_dns_checked_timestamp_seconds"), "a round has ended")


def look_again(daemon: LocalDaemon) -> None:
    """Start the daemon again, which looks at once, and wait for the end of the round."""
    daemon.restart()
    wait_round(daemon)


def wait_mx(daemon: LocalDaemon, state: str) -> None:
    """Wait until the MX of the domain was found so."""
    until(lambda: daemon.metric("policyd_dns_domains", check="mx", state=state), f"the MX is {state}")


def reload(daemon: LocalDaemon) -> None:
    """Write the configuration and have it read again."""
    daemon.write()
    assert AdminClient(str(daemon.admin)).post("/v1/reload")["issues"] == []


def told(daemon: LocalDaemon) -> list[tuple[str, str]]:
    """Return subject and reason of the events of the watch."""
    events = daemon.ask("/v1/events")["events"]
    return [(one["subject"], one["why"]) for one in events if one["event"] == "dns"]


def test_the_watch_tells_each_change_once(watching: LocalDaemon, server: NameServer) -> None:
    """As a metric and an event, which outlives a restart; what was so from the beginning is no news."""
    assert watching.metric("policyd_dns_domains", check="mx", state="ok") == 1
    assert told(watching) == []
    server.serve(AWAY)
    look_again(watching)
    assert watching.metric("policyd_dns_domains", check="mx", state="wrong") == 1
    assert watching.metric("policyd_dns_domains", check="mx", state="ok") == 0
    away = (SHOP, "mx: ok -> wrong: mail goes to mx.elsewhere.test")
    assert told(watching) == [away]
    look_again(watching)
    assert told(watching) == [away]
    server.serve(HERE)
    look_again(watching)
    assert told(watching) == [away, (SHOP, "mx: wrong -> ok: mail goes to mx.host.test")]


def test_the_watch_tells_that_our_address_is_listed(watching: LocalDaemon, server: NameServer) -> None:
    """By list; the list that is gone later does not take it back."""
    listed = ("192.0.2.7 in bl.test", "192.0.2.7 in bl.test: free -> listed: 127.0.0.4 spam seen")
    server.serve(LISTED)
    look_again(watching)
    assert watching.metric("policyd_dnsbl_listed", list="bl.test") == 1
    assert watching.metric("policyd_dnsbl_up", list="bl.test") == 1
    assert told(watching) == [listed]
    server.serve(LISTED.replace("2.0.0.127.bl A 127.0.0.2\n", ""))
    look_again(watching)
    assert watching.metric("policyd_dnsbl_up", list="bl.test") == 0
    assert told(watching) == [listed, ("bl.test", "bl.test: works -> dead: its test entries")]


def test_a_reload_begins_ends_and_changes_the_watch(watching: LocalDaemon, server: NameServer) -> None:
    """What is new is looked at at once; what is no longer watched shows no number."""
    for section, state in ((dns(server.address, mx=["mx.other.test"]), "wrong"), (dns(server.address), "ok")):
        watching.configuration["dns"] = section
        reload(watching)
        wait_mx(watching, state)
    del watching.configuration["dns"]
    reload(watching)
    assert watching.metric("policyd_dns_checked_timestamp_seconds") == 0


def test_a_resolver_that_is_gone_changes_nothing(watching: LocalDaemon, server: NameServer) -> None:
    """What was found before stands, and no event says otherwise."""
    server.stop_serving()
    look_again(watching)
    assert watching.metric("policyd_dns_domains", check="mx", state="unknown") == 1
    assert told(watching) == []


def test_a_resolver_that_never_answers_delays_no_answer(redis_server: RedisServer) -> None:
    """Postfix is answered at once while the watch waits, and the daemon ends without waiting for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, ExitStack() as running:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(20)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        daemon = Process(configuration(redis_server.url, [SHOP], {"hourly": rate(4)}, dns=dns(address)))
        running.callback(daemon.remove)
        daemon.start()
        assert silent.recv(512), "the watch asks"
        asker = running.enter_context(Asker(daemon.policy))
        assert asker.ask(sender="", sasl_username=f"alice@{SHOP}") == "DUNNO"
        assert daemon.metric("policyd_dns_checked_timestamp_seconds") == 0, "the watch waits still"
        daemon.signal(signal.SIGTERM)
        assert daemon.ended() == 0
