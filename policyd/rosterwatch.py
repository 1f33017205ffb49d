"""The roster watch: asks Mailman again and again how many members its lists have.

Nobody waits for it. While Mailman does not answer, what was read before stands; that it does not is
logged once, and said by a metric and by ``policyd lists``.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from policyd.clock import Clock
from policyd.conf.schema import Config, SizeLimit
from policyd.conf.software import MailmanSettings
from policyd.errors import RosterError
from policyd.mailman.metrics import RosterMetrics
from policyd.mailman.rest import read_roster
from policyd.model import Per
from policyd.plural import plural
from policyd.policy.roster import NO_ROSTER, Roster
from policyd.reload import ConfigInForce

SOON = 60_000
"""When a Mailman that did not answer is asked again, in ms, unless that is its turn sooner."""

_log = logging.getLogger("policyd.roster")


class Reading(NamedTuple):
    """What was read, when (ms since the epoch, 0: never), and why not since then ("": it was)."""

    roster: Roster = NO_ROSTER
    at: int = 0
    failing: str = ""


class RosterWatch:
    """Reads the rosters that the Config in force names. ``told`` is called with each new one."""

    def __init__(
        self, config: ConfigInForce, told: Callable[[Roster], None], metrics: RosterMetrics, clock: Clock
    ) -> None:
        self._config, self._told, self._metrics, self._clock = config, told, metrics, clock
        self._settings = config.now.mailman
        self._due = asyncio.Event()
        self.last = Reading()
        config.on_change(lambda new: self._configure(new.mailman))

    async def run(self) -> None:
        """Read for ever. What a reload changes is read at once."""
        while True:
            self._due.clear()
            settings, timer = self._settings, None
            if settings is not None:
                await self.read(settings)
                pause = min(settings.every, SOON) if self.last.failing else settings.every
                timer = self._clock.call_later(pause, self._due.set)
            await self._due.wait()
            if timer is not None:
                timer.cancel()

    async def read(self, settings: MailmanSettings) -> None:
        """Read all rosters once, and put them into force unless the settings have changed meanwhile."""
        try:
            roster, failing = await read_roster(settings), ""
        except RosterError as error:
            roster, failing = NO_ROSTER, str(error)
        except Exception as error:  # noqa: BLE001  # a bug there must not end the watch
            roster, failing = NO_ROSTER, repr(error)
        if settings is not self._settings:
            return
        if failing:
            self._failed(failing)
        else:
            self._read(roster)

    def _read(self, roster: Roster) -> None:
        if self.last.failing or not self.last.at:
            _log.info("the rosters of %s are read", plural(len(roster), "list"))
        self.last = Reading(roster, self._clock.now())
        self._metrics.read(self.last.at / 1000, len(roster), too_large(self._config.now, roster))
        self._told(roster)

    def _failed(self, why: str) -> None:
        if not self.last.failing:
            stands = "what was read before stands" if self.last.at else "the sizes that mailings show stand"
            _log.error("the rosters cannot be read, and %s: %s", stands, why)
        self.last = self.last._replace(failing=why)
        self._metrics.failed()

    def _configure(self, settings: MailmanSettings | None) -> None:
        if settings == self._settings:
            return
        elsewhere = settings is None or self._settings is None or settings.url != self._settings.url
        self._settings = settings
        self._due.set()
        if elsewhere:
            self.last = Reading()
            self._metrics.forget()
            self._told(NO_ROSTER)


def too_large(config: Config, roster: Roster) -> int:
    """Return how many lists have more members than their plan allows, whatever the hours."""
    return sum(_is_too_large(config, posting, one.members) for posting, one in roster.items())


def _is_too_large(config: Config, posting: str, members: int) -> bool:
    domain = posting.rpartition("@")[2]
    limits = config.terms(config.accounts.aliases.get(domain, domain)).limits
    sizes = (one for one in limits if isinstance(one, SizeLimit) and one.per is Per.LIST and not one.lifted_by)
    return any(limit.max is not None and members > limit.max for limit in sizes)
