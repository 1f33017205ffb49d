"""Tells people and programs of events, each once across all daemons.

    policyd:1:{<account>}:notice:<event>:<mark>      set by the daemon that tells of it, and expires

Whoever notes an event waits for nothing; what waits here is bounded, and lost when the daemon ends.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from typing import NamedTuple

from policyd.conf.notice import TO_CUSTOMERS, Mta, NotifySettings, Webhook
from policyd.conf.schema import Config
from policyd.errors import StoreError
from policyd.event import Event, EventKind, is_observed
from policyd.notices import deliver
from policyd.notices.letter import body, letter, template
from policyd.notices.metrics import NoticeMetrics, Way
from policyd.notices.outbox import PAUSES, WAITING, Outbox
from policyd.store import keys
from policyd.store.redis import RedisStore

_DAY = 86_400_000

_log = logging.getLogger("policyd.notices")


class _Mail(NamedTuple):
    message: EmailMessage
    mta: Mta


class _Post(NamedTuple):
    body: bytes
    hook: Webhook


class Notices:
    """Tells of events as the Config in force says."""

    def __init__(
        self,
        config: Callable[[], Config],
        store: RedisStore,
        metrics: NoticeMetrics,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._config, self._store = config, store
        self._noted: asyncio.Queue[tuple[Event, int]] = asyncio.Queue(WAITING)
        self._mails = Outbox[_Mail](Way.MAIL, lambda one: deliver.mail(*one), metrics, pauses)
        self._posts = Outbox[_Post](Way.WEBHOOK, lambda one: deliver.post(*one), metrics, pauses)

    def note(self, event: Event, episode: int = _DAY) -> None:
        """Have an event told, unless it was within the last ``episode`` ms. What mode observe let through is not."""
        settings = self._config().notify
        if settings is None or event.event not in settings.events or is_observed(event) or self._noted.full():
            return
        self._noted.put_nowait((event, episode))

    async def run(self) -> None:
        """Tell for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._mails.run())
            tasks.create_task(self._posts.run())
            tasks.create_task(self._spread())

    async def _spread(self) -> None:
        while True:
            event, episode = await self._noted.get()
            config = self._config()
            try:
                if config.notify is not None and await self._is_first(event, episode):
                    self._tell(event, config.notify, config.accounts.contacts.get(event.account, ""))
            except Exception:  # noqa: BLE001  # a bad template or address must not end the notices
                _log.exception("%s of %s could not be told", event.event, event.subject)

    async def _is_first(self, event: Event, episode: int) -> bool:
        """Return whether nobody has told of it. Without the store, what only this daemon knows is told."""
        near = event.event == EventKind.NEAR_LIMIT
        mark = event.ref or f"{event.limit}:{event.subject}{'' if near else event.at}"
        key = keys.tag(event.account) + b"notice:" + keys.short(f"{event.event}:{mark}")
        try:
            return await self._store.command("SET", key, 1, "NX", "PX", episode) is not None
        except StoreError:
            return not near

    def _tell(self, event: Event, settings: NotifySettings, contact: str) -> None:
        if contact and event.event in TO_CUSTOMERS:
            self._write(event, settings, event.event, contact)
        if settings.admin:
            self._write(event, settings, "admin", settings.admin)
        if settings.webhook is not None:
            self._posts.put(_Post(body(event), settings.webhook))

    def _write(self, event: Event, settings: NotifySettings, text: str, recipient: str) -> None:
        made = letter(template(settings.templates, text), event, settings.sender, recipient)
        self._mails.put(_Mail(made, settings.smtp))
