"""The roster of all lists, read from Mailman 3 by REST: page by page, one question at a time.

What a Mailman says is bounded: its lists, the bytes of one answer, and the time of one and of all.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp

from policyd.address import normal_form
from policyd.conf.software import MailmanSettings
from policyd.errors import RosterError, SecretError
from policyd.policy.roster import Roster, RosterList, Subscription
from policyd.secret import read_password

PAGE = 100
"""Lists in one answer."""

MOST_LISTS, MOST_BYTES = 50_000, 4 * 2**20
"""Of all lists, and of one answer; a Mailman that says more is not believed."""

_TRIES = 3
_CHUNK = 65_536
_LOGIN = "correct mailman.user and mailman.password_file: they are admin_user and admin_pass in mailman.cfg"
_URL = "mailman.url is hostname and port of [webservice] in mailman.cfg, with /3.1 at its end"


async def read_roster(settings: MailmanSettings) -> Roster:
    """Return all lists by their posting address. Raises RosterError."""
    password = await asyncio.to_thread(_password, settings.password_file)
    login = {"Authorization": f"Basic {b64encode(f'{settings.user}:{password}'.encode()).decode('ascii')}"}
    timeout = aiohttp.ClientTimeout(total=settings.timeout / 1000)
    try:
        async with (
            asyncio.timeout(settings.every / 1000),
            aiohttp.ClientSession(headers=login, timeout=timeout) as session,
        ):
            return await _Reading(session, settings).roster()
    except TimeoutError as error:
        raise RosterError(settings.url, "it takes too long to answer", "is it busy? raise mailman.timeout") from error
    except (aiohttp.ClientError, OSError) as error:
        raise RosterError(settings.url, f"it does not answer: {error}", f"is Mailman running? {_URL}") from error


class _Reading:
    """One reading of all rosters."""

    def __init__(self, session: aiohttp.ClientSession, settings: MailmanSettings) -> None:
        self._session, self._url = session, settings.url

    async def roster(self) -> Roster:
        """Return all lists; begins again when one came or went meanwhile, since a page may have skipped another."""
        for _ in range(_TRIES):
            sizes = await self._sizes()
            if sizes is not None:
                return {
                    normal_form(posting, ""): RosterList(members, await self._subscription(list_id))
                    for list_id, (posting, members) in sizes.items()
                }
        raise RosterError(self._url, "its lists change while they are read", "they are read again later")

    async def _sizes(self) -> dict[str, tuple[str, int]] | None:
        """Return posting address and members of each list by its list id, None when there are others meanwhile."""
        found: dict[str, tuple[str, int]] = {}
        totals = set[int]()
        page, total = 0, 1
        while page * PAGE < total:
            page += 1
            with self._believed():
                answer = await self._ask(f"lists?count={PAGE}&page={page}")
                total = int(answer["total_size"])
                for entry in answer.get("entries", []):
                    found[str(entry["list_id"])] = str(entry["fqdn_listname"]), int(entry["member_count"])
            if total > MOST_LISTS:
                raise RosterError(self._url, f"it has {total} lists", f"policyd reads up to {MOST_LISTS}")
            totals.add(total)
        return found if totals == {len(found)} else None

    async def _subscription(self, list_id: str) -> Subscription | None:
        """Return how somebody gets into a list, None in words that are not known or of a list that is gone."""
        with self._believed():
            answer = await self._ask(f"lists/{quote(list_id, safe='')}/config/subscription_policy", gone={})
            word = answer.get("subscription_policy")
        return Subscription(word) if word in set(Subscription) else None

    async def _ask(self, path: str, gone: dict[str, Any] | None = None) -> dict[str, Any]:
        async with self._session.get(f"{self._url}/{path}", allow_redirects=False) as answer:
            if answer.status == HTTPStatus.NOT_FOUND and gone is not None:
                return gone
            if answer.status == HTTPStatus.UNAUTHORIZED:
                raise RosterError(self._url, "user or password is wrong", _LOGIN)
            if answer.status != HTTPStatus.OK:
                raise RosterError(self._url, f"it answers {answer.status} about {path}", _URL)
            text = bytearray()
            async for chunk in answer.content.iter_chunked(_CHUNK):
                text += chunk
                if len(text) > MOST_BYTES:
                    raise RosterError(self._url, f"an answer has more than {MOST_BYTES} bytes", _URL)
        return dict(json.loads(text))

    @contextmanager
    def _believed(self) -> Iterator[None]:
        """Raise RosterError for an answer that Mailman would not give."""
        try:
            yield
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise RosterError(self._url, "its answer is not one of Mailman", _URL) from error


def _password(file: str) -> str:
    try:
        return read_password(file, "admin_pass of Mailman's REST")
    except SecretError as error:
        raise RosterError(file, error.why, error.cure) from error
