"""What is done once a second, off the answer's path.

The clock follows the store's, the mirror is refreshed, the index and the trails are written.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from policyd.clock import Clock
from policyd.errors import StoreError
from policyd.event import Event, EventKind
from policyd.store.index import Index
from policyd.store.last import LastLogins
from policyd.store.redis import RedisStore
from policyd.store.seen import SeenLists
from policyd.store.trail import Trail
from policyd.striker import Striker
from policyd.suspendedfile import SuspendedFile
from policyd.suspension import Suspensions
from policyd.verdicts import Usages

EVERY = 1.0

_log = logging.getLogger("policyd")


@dataclass(frozen=True, slots=True)
class Upkeep:
    """The parts of a daemon that need it."""

    clock: Clock
    store: RedisStore
    usages: Usages
    index: Index
    trail: Trail
    last_logins: LastLogins
    suspensions: Suspensions
    suspended_file: SuspendedFile
    seen: SeenLists
    striker: Striker

    async def run(self) -> None:
        """Do it for ever, and ask the store whether it is there: nobody else might, with inbound mail only."""
        while True:
            try:
                with suppress(StoreError):
                    self.clock.follow(await self.store.time())
                await self._refresh(self.clock.now())
                with suppress(StoreError):
                    await self.store.probe()
                await self.keep_suspended()
                await self._write()
            except Exception:  # noqa: BLE001  # a bug there must not end the upkeep
                _log.exception("the index could not be written")
            await asyncio.sleep(EVERY)

    async def end(self, running: asyncio.Task[None]) -> None:
        """End ``running``, and write what is left."""
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await self._write()
        await self.keep_suspended()

    async def keep_suspended(self) -> None:
        """Have the file say who is suspended, for a start while the store is away."""
        await self.suspended_file.keep(self.suspensions.told(self.clock.now()))

    async def _refresh(self, now: int) -> None:
        """Renew the mirror, and which lists there are; that a suspension has ended by itself is an event, too."""
        await self.seen.refresh(now)
        with suppress(StoreError):
            for one in await self.suspensions.refresh(now):
                event = Event(now, EventKind.RESUME, one.account, one.subject, "policyd", "its time is over")
                await self.trail.write(event._replace(ref=one.ref))

    async def _write(self) -> None:
        await self.usages.spread()
        await self.index.flush()
        await self.striker.flush()
        await self.trail.flush()
        await self.last_logins.flush()


async def ended(task: asyncio.Task[None]) -> None:
    """End a task that runs for ever."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
