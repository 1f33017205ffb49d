"""A server with 50,000 domains in one map file."""

import sys
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from types import FrameType

from tests.app.conftest import Start
from tests.support.asker import Asker, Crowd
from tests.support.daemon import LocalDaemon, rate
from tests.support.process import configuration
from tests.support.redis import RedisServer

MANY = 50_000
FROM_MAP = {"hosted": ["file:domains.map"], "settle": "recipient"}


def write_map(directory: Path, plan: str) -> None:
    """Write the map file: every second domain on ``plan``."""
    lines = (f"d{number}.hosted.test {plan if number % 2 else 'shared'}\n" for number in range(MANY))
    partial = directory / "domains.map.new"
    partial.write_text("".join(lines))
    partial.replace(directory / "domains.map")


def login(number: int) -> dict[str, str]:
    """Return the attributes of a login of one of the domains."""
    return {"sasl_username": f"u@d{number}.hosted.test", "sender": f"u@d{number}.hosted.test"}


def test_start_and_reload(start: Start, redis_server: RedisServer) -> None:
    """The daemon starts with them, reloads them while it answers, and the log stays short."""
    daemon = start(redis_server.url, limits={"domain-hourly": rate(1)})
    daemon.configuration["accounts"].update(FROM_MAP)
    daemon.configuration["plans"]["big"] = {"extends": "shared", "change": {"domain-hourly": {"max": 2}}}
    write_map(daemon.base, "shared")
    daemon.stop()
    daemon.start()
    write_map(daemon.base, "big")

    def talk(number: int, enough: Event) -> list[str]:
        answers = list[str]()
        with daemon.asker() as asker:
            while not enough.is_set():
                answers.append(asker.ask(**login(2 * len(answers) + number * MANY // 4)))
        return answers

    with Crowd(2, talk) as crowd:
        daemon.hang_up("ok")

    with daemon.asker() as asker:
        last = [[asker.ask(**login(number))[:5] for _ in range(3)] for number in (MANY - 2, MANY - 1)]
    assert set(crowd.answers) == {"DUNNO"}
    assert last == [["DUNNO", "550 5", "550 5"], ["DUNNO", "DUNNO", "550 5"]]
    assert daemon.ask("/v1/daemon")["domains"] == MANY + 1
    assert len(daemon.lines(logger="policyd.config")) < 50
    assert daemon.said(f"changed: accounts.domains: {MANY // 2 - 20} more changes")


def test_the_loop_does_little(redis_server: RedisServer, ending: ExitStack) -> None:
    """A reload of many domains makes no call for each of them on the loop that answers."""
    daemon = LocalDaemon(configuration(redis_server.url, ["a.test"], {"domain-hourly": rate(1)}, accounts=FROM_MAP))
    daemon.configuration["plans"]["big"] = {"extends": "shared"}
    policy = daemon.base / "policy"
    daemon.configuration["listen"]["postfix"] = [f"unix:{policy}"]
    ending.callback(daemon.remove)
    write_map(daemon.base, "shared")
    daemon.start()
    write_map(daemon.base, "big")
    calls = run_counted(daemon)

    with Asker(policy) as asker:
        assert asker.ask(**login(MANY - 1)) == "DUNNO"
    assert daemon.metric("policyd_config_reloads_total", result="ok") == 1
    assert 100 < calls < MANY / 5


def run_counted(daemon: LocalDaemon) -> int:
    """Reload, and return how many Python functions the thread of the loop has called until it was done."""
    calls = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal calls
        calls += event == "call"

    async def reload() -> None:
        assert daemon._app is not None
        sys.setprofile(count)
        try:
            await daemon._app.config.reload("a test")
        finally:
            sys.setprofile(None)

    assert daemon._thread is not None
    daemon._thread.run(reload())
    return calls
