"""A RedisStore on a loop, what it says of itself, and what its calls were answered."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import uvloop

from policyd.clock import SystemClock
from policyd.errors import StoreError, StoreTimeout, StoreUnavailable
from policyd.model import Charge, Outcome
from policyd.store.base import Call, Op, Record
from policyd.store.redis import RedisStore, Watch
from policyd.store.server import Server
from tests.store.scripted import account, charge, record
from tests.support.clock import ManualClock
from tests.support.secretfile import write_secret
from tests.support.wait import DEADLINE, until

T = TypeVar("T")

TIMEOUT = 5000
"""Longer than any noise of the machine, in ms: what times out here waits in vain."""

SHORT = 50
"""For calls that shall time out, in ms."""

LIMIT = charge(400)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a test on a loop as the daemon's, with a deadline."""

    async def bounded() -> T:
        async with asyncio.timeout(3 * DEADLINE):
            return await work

    return uvloop.run(bounded())


async def eventually(condition: Callable[[], object], what: str) -> None:
    """Return when a condition that can be looked at from another thread is true; the loop goes on."""
    await asyncio.to_thread(until, condition, what)


@dataclass
class Opened:
    """A store, its states (whether it is up) and the seconds of its answers, in order.

    Its passwords are in the files ``password`` and ``sentinel_password`` of a directory.
    """

    store: RedisStore
    account: str
    directory: Path
    states: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    instances: count = field(default_factory=count)  # type: ignore[type-arg]

    async def until(self, up: bool) -> None:
        """Return when the store is up, or down."""
        while self.store.up is not up:
            self.changed.clear()
            await self.changed.wait()

    async def changes(self, at_most: float = 0.02) -> None:
        """Return when the store comes up or goes down, after at most so many seconds."""
        self.changed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.changed.wait(), at_most)

    def submit(self, *charges: Charge, of: Record | None = None, op: Op = Op.CHARGE) -> asyncio.Future[Outcome]:
        """Send a call; each is a message of its own unless ``of`` says otherwise."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome | StoreError) -> None:
            if future.done():  # who waited was cancelled
                return
            if isinstance(outcome, StoreError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        of = of or record(f"m{next(self.instances)}")
        self.store.submit(Call(op, self.account, None if op is Op.PEEK else of, charges or (LIMIT,)), done)
        return future

    async def answered(self, of: Record) -> Outcome:
        """Return the first answer to a message's call: on a busy machine a short timeout may pass with Redis well."""
        while True:
            await self.until(up=True)
            with suppress(StoreError):
                return await self.submit(of=of)

    async def used(self) -> int:
        """Return what the counter of LIMIT holds."""
        return (await self.submit(op=Op.PEEK)).usages[0].used


@asynccontextmanager
async def opened(
    url: str,
    within: int = TIMEOUT,
    password: str = "",
    *,
    sentinel_password: str = "",
    name: str = "",
    clock: ManualClock | SystemClock | None = None,
) -> AsyncIterator[Opened]:
    """Yield a store on the Redis at ``url``; it may not be up yet. Calls time out ``within`` ms."""

    def up(state: bool) -> None:
        box.states.append(state)
        box.changed.set()

    def answered(seconds: float) -> None:
        box.seconds.append(seconds)

    with TemporaryDirectory() as directory:
        secrets = {"password": password, "sentinel_password": sentinel_password}
        files = [write_secret(Path(directory) / name, secret) if secret else "" for name, secret in secrets.items()]
        store = RedisStore(Server(url, *files), within, clock or SystemClock(), Watch(answered, up))
        box = Opened(store, name or account(), Path(directory))
        try:
            yield box
        finally:
            await store.close()


async def timed_out(calls: "list[asyncio.Future[Outcome]]") -> bool:
    """Return whether all calls were given up because no answer came in time."""
    return all(isinstance(error, StoreTimeout) for error in await asyncio.gather(*calls, return_exceptions=True))


async def refused(call: Awaitable[Outcome]) -> str:
    """Return why a call was not answered."""
    try:
        outcome = await call
    except StoreUnavailable as error:
        return str(error)
    raise AssertionError(outcome)
