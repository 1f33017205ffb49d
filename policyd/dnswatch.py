"""The DNS watch: looks at each hosted domain again and again, and tells what has changed.

It acts on nothing, and nobody waits for it: one domain at a time, spread over the time there is.
While the DNS does not answer, what was found before stands.
"""

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial

from policyd.clock import Clock
from policyd.conf.schema import DnsSettings
from policyd.dns import blocklist, domain
from policyd.dns.blocklist import BlocklistReport, ListState
from policyd.dns.domain import State
from policyd.dns.metrics import Counts, DnsMetrics
from policyd.dns.resolver import Resolver
from policyd.errors import StoreError
from policyd.event import Event, EventKind
from policyd.reload import ConfigInForce
from policyd.store.findings import LastFindings
from policyd.store.trail import Trail

LONGEST_PAUSE = 1.0
"""Seconds between two domains; with many of them less, so that all have their turn in time."""

WHO = "the DNS watch"

_LISTED, _FREE = "listed", "free"

_log = logging.getLogger("policyd.dns")


class DnsWatch:
    """Watches what the Config in force names; ``pause`` is the longest between two domains, in s."""

    def __init__(
        self, config: ConfigInForce, last: LastFindings, trail: Trail, metrics: DnsMetrics, clock: Clock
    ) -> None:
        self._config, self._last, self._trail, self._metrics, self._clock = config, last, trail, metrics, clock
        self._changed = asyncio.Event()
        self._settings = config.now.dns
        config.on_change(lambda new: self._configure(new.dns))

    async def run(self, pause: float = LONGEST_PAUSE) -> None:
        """Look for ever. What a reload changes is looked at at once."""
        while True:
            self._changed.clear()
            settings = self._settings
            try:
                if settings:
                    await self.round(settings, pause)
            except Exception:  # noqa: BLE001  # a bug there must not end the watch
                _log.exception("the DNS could not be looked at")
            try:
                async with asyncio.timeout(settings.every / 1000 if settings else None):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def round(self, settings: DnsSettings, pause: float = LONGEST_PAUSE) -> None:
        """Look at the blocklists and at all domains once, unless the settings change meanwhile."""
        resolver, counts = Resolver(settings.resolver), Counts()
        lists = [await self._list(resolver, name, settings) for name in settings.dnsbl]
        domains = list(self._config.now.accounts.plans)
        for name in domains:
            for finding in await resolver.judged(partial(domain.findings, name, settings)):
                counts[finding.check, finding.state] += 1
                if finding.state is not State.UNKNOWN:
                    before = self._last.of_domain(name, finding.check, finding.state)
                    await self._compare(before, name, finding.check, finding.state, finding.why)
            await asyncio.sleep(min(pause, settings.every / 1000 / len(domains)))
            if self._changed.is_set():
                break
        if not self._changed.is_set():
            self._metrics.looked(counts, lists, self._clock.now() / 1000)

    def _configure(self, settings: DnsSettings | None) -> None:
        if settings == self._settings:
            return
        self._settings = settings
        self._changed.set()
        self._metrics.forget()

    async def _list(self, resolver: Resolver, name: str, settings: DnsSettings) -> BlocklistReport:
        report = await resolver.judged(partial(blocklist.report, name, settings.senders))
        if report.state is not ListState.UNKNOWN:
            before = self._last.of_list(name, report.state)
            await self._compare(before, "", name, report.state, "its test entries", usual=ListState.WORKS)
        for address, code, why in report.listings:
            before = self._last.of_list(name, _LISTED, address)
            await self._compare(before, "", f"{address} in {name}", _LISTED, f"{code} {why}".strip(), usual=_FREE)
        for address in report.free:
            before = self._last.of_list(name, _FREE, address)
            await self._compare(before, "", f"{address} in {name}", _FREE, "it is not listed", usual=_FREE)
        return report

    async def _compare(
        self, before: Awaitable[str], account: str, what: str, now: str, why: str, *, usual: str = ""
    ) -> None:
        """Tell a change from what was found before; where that is not known, from what is ``usual``."""
        with suppress(StoreError):
            was = await before or usual or now
            if was != now:
                told = f"{what}: {was} -> {now}: {why}"
                _log.warning("%s", f"{account} {told}".strip())
                await self._trail.write(Event(self._clock.now(), EventKind.DNS, account, account or what, WHO, told))
