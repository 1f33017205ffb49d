"""Which lists have mailed: known at once here, soon elsewhere, and for a month."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from policyd.clock import SystemClock
from policyd.errors import StoreUnavailable
from policyd.store import seen
from policyd.store.redis import RedisStore, Watch
from policyd.store.seen import SeenLists
from policyd.store.server import Server
from tests.store.opened import run
from tests.support.redis import RedisServer

NEWS, OTHER, NOW, DAY = "news@example.org", "other@example.net", 1_780_000_000_000, 86_400_000


class LateStore(RedisStore):
    """A store that does not answer while it is away."""

    away = True

    async def command(self, *args: str | bytes | int) -> Any:
        """Ask, unless it is away."""
        if self.away:
            raise StoreUnavailable("command", "away")
        return await super().command(*args)


Scenario = Callable[[SeenLists, SeenLists], Coroutine[Any, Any, None]]


def with_two(server: RedisServer, scenario: Scenario) -> None:
    """Run a scenario with what two daemons know."""

    async def whole() -> None:
        stores = [RedisStore(Server(server.url), 5000, SystemClock(), Watch(lambda _: None, lambda _: None))] * 2
        try:
            await scenario(SeenLists(stores[0]), SeenLists(stores[1]))
        finally:
            await stores[0].close()

    run(whole())


def test_another_daemon_learns_of_a_list_when_it_looks(redis_server: RedisServer) -> None:
    """Also one that is started later, and one whose clock is half a minute behind."""

    async def scenario(here: SeenLists, there: SeenLists) -> None:
        await there.refresh(NOW + 30_000)
        here.note(NEWS, NOW)
        assert NEWS in here
        await here.refresh(NOW)
        assert NEWS not in there
        await there.refresh(NOW + 31_000)
        assert NEWS in there
        assert list(there.of("example.org")) == [NEWS]
        assert list(there.of("example.net")) == []

    with_two(redis_server, scenario)


def test_a_list_that_mails_no_more_is_forgotten_after_a_month(redis_server: RedisServer) -> None:
    """By daemons that run on, too."""

    async def scenario(here: SeenLists, there: SeenLists) -> None:
        here.note(NEWS, NOW)
        here.note(OTHER, NOW)
        await here.refresh(NOW)
        here.note(OTHER, NOW + 20 * DAY)
        await here.refresh(NOW + 20 * DAY)
        for daemon in (here, there):
            await daemon.refresh(NOW + 32 * DAY)
            assert (NEWS in daemon, OTHER in daemon) == (False, True)
            assert list(daemon.of("example.org")) == []

    with_two(redis_server, scenario)


def test_no_domain_fills_it_alone(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes lists up has no more than his share, and all together have no more than there is room for."""
    monkeypatch.setattr(seen, "OF_A_DOMAIN", 3)
    monkeypatch.setattr(seen, "KEPT", 4)

    async def scenario(here: SeenLists, there: SeenLists) -> None:
        for number in range(5):
            here.note(f"news{number}@example.org", NOW)
        here.note(OTHER, NOW)
        here.note("more@example.com", NOW)
        await here.refresh(NOW)
        await there.refresh(NOW)
        for daemon in (here, there):
            assert len(daemon.of("example.org")) == 3
            assert OTHER in daemon
            assert "more@example.com" not in daemon

    with_two(redis_server, scenario)


def test_what_redis_did_not_take_is_written_later(redis_server: RedisServer) -> None:
    """And nothing is raised meanwhile."""

    async def whole() -> None:
        store = LateStore(Server(redis_server.url), 5000, SystemClock(), Watch(lambda _: None, lambda _: None))
        here, there = SeenLists(store), SeenLists(store)
        here.note(NEWS, NOW)
        await here.refresh(NOW)
        assert NEWS in here
        store.away = False
        await here.refresh(NOW + 1000)
        await there.refresh(NOW + 1000)
        assert NEWS in there
        await store.close()

    run(whole())
