"""All keys of a decision stand on one slot of a cluster, for every limit that a configuration can express."""

import json
import re
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from policyd.conf.schema import Config
from policyd.model import Action, CounterType, Counts, Per
from policyd.store import keys
from policyd.suspension import Suspended
from tests.support.clock import START
from tests.support.configs import loaded, problems
from tests.support.deciding import World
from tests.support.loggingin import Dovecot
from tests.support.redis import RedisServer

Yaml = dict[str, Any]

KEY = re.compile(r"policyd:1:\{[^}]*\}:[^ ]*")
SOFTWARE = {"sasl_username": "", "client_address": "127.0.0.1", "policy_context": "mailman"}
LOCAL = {"sasl_username": "", "client_address": "127.0.0.1", "server_port": 25}
LISTS = "{contexts: [mailman], mailing_over: 2, known: {php@b.test: {posting: news@b.test, size: 5}}}"


def written() -> Iterator[Yaml]:
    """Yield limits of each kind with all values of the keys that choose a counter, those that cannot be among them."""
    for counts, per, most in product(Counts, Per, (3, 1000)):
        limit = {"kind": "rate", "counts": counts, "per": per, "max": most, "window": "1h"}
        yield limit
        yield {**limit, "protocols": ["pop3"], "lock": "1h"}
        yield {**limit, "max": "1MB"}
        yield {**limit, "traffic": ["relayed"]}
    for per in Per:
        yield {"kind": "size", "per": per, "max": 4}
        yield {"kind": "size", "per": per, "max": 4, "family": "account"}
        yield {"kind": "pace", "per": per, "every": "1s", "by": "answer", "delay_up_to": "1s", "over": "accept"}
        yield {"kind": "pace", "per": per, "every": "1s", "by": "transport", "transport": "slow:[127.0.2.0/24]:2526"}


def fits(directory: Path, limit: Yaml) -> bool:
    """Return whether a limit can be written so."""
    return not problems(directory, limits=json.dumps({"one": limit}), plans=plans({"one": limit}))


def plans(limits: dict[str, Yaml]) -> str:
    """Return the plan of all limits that need one."""
    planless = ("relayed" in one.get("traffic", []) or one.get("counts") == "failed-logins" for one in limits.values())
    return json.dumps({"shared": {"apply": [name for name, out in zip(limits, planless, strict=True) if not out]}})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Return a configuration with all limits that can be written."""
    directory = tmp_path_factory.mktemp("site")
    limits = {f"l{number}": one for number, one in enumerate(written()) if fits(directory, one)}
    accounts = "domains: {a.test: shared, b.test: shared}, local_clients: [127.0.0.1/32], settle: end-of-message"
    read = loaded(directory, accounts, limits=json.dumps(limits), plans=plans(limits), lists=LISTS)
    assert {limit["kind"] for limit in limits.values()} == {"rate", "size", "pace"}
    assert {limit.get("counts", "recipients") for limit in limits.values()} == set(Counts)
    assert {limit["per"] for limit in limits.values()} == set(Per)
    return read


def decisions(world: World, dovecot: Dovecot) -> None:
    """Ask for each kind of traffic: accepted and refused, settled, given up, and repeated."""
    connection = world.connection()
    for _ in range(2):
        for asked in (
            {"sasl_username": "alice@a.test", "sender": "alice@a.test"},
            {**LOCAL, "sender": "www@a.test"},
            {**LOCAL, "sender": "x@elsewhere.test"},
            {**SOFTWARE, "sender": "news-bounces@b.test"},
            {**SOFTWARE, "sender": "php@b.test"},
        ):
            message = connection.message(**asked)
            heard = message.many(5)
            message.to("news@b.test", "news@b.test")
            message.end(heard.count(Action.ACCEPT) + 1, size=1000)
            connection.message(**asked).rcpt()
    connection.message(sasl_username="").rcpt()
    for _ in range(5):
        dovecot.login(login="bob@a.test")
        dovecot.fail(login="bob@a.test")


def calls(server: RedisServer, work: Callable[[], object]) -> list[set[str]]:
    """Return the keys that each call of the script named or used while something was done."""
    found: list[set[str]] = []
    with server.client() as client, client.monitor() as monitor:
        work()
        server.client().echo("over")
        while (command := monitor.next_command())["command"] != "ECHO over":
            if command["command"].startswith("EVAL"):
                found.append(set())
            if command["client_type"] == "lua" or command["command"].startswith("EVAL"):
                found[-1] |= set(KEY.findall(command["command"]))
    return found


def test_all_keys_of_a_decision_share_a_slot(world: World, module_redis: RedisServer, site: Config) -> None:
    """Whoever is charged, for what and under how many limits: the script uses keys of one slot."""
    world.config = site
    dovecot = Dovecot(world.loop, module_redis.url, site)
    try:
        found = calls(module_redis, lambda: decisions(world, dovecot))
    finally:
        dovecot.close()

    types = {key.split(":")[3] for each in found for key in each}
    assert types >= {*CounterType, "state", "message", "episode", "events"}
    assert max(len(each) for each in found) > 40
    assert [each for each in found if len({key_slot(key.encode()) for key in each}) != 1] == []
    assert len({key_slot(key.encode()) for each in found for key in each}) > 3


def test_a_suspension_stands_there_too(world: World, module_redis: RedisServer, site: Config) -> None:
    """What is asked before anything is counted stands on the account's slot."""
    world.config = site
    suspended = Suspended("a.test", "domain", "a.test", START, 0, "me", "why", "0123456789")
    world.run(world.daemon.suspensions.put(suspended))
    found = calls(module_redis, world.connection().message(sasl_username="alice@a.test").rcpt)

    assert world.heard.verdicts[-1].suspended is not None
    assert {key_slot(key.encode()) for each in found for key in each} == {key_slot(keys.tag("a.test"))}
