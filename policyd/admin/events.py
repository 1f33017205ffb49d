"""The events: refusals, and what somebody did."""

import re
from http import HTTPStatus
from typing import Any

from policyd.admin.asked import Parts, number, subject
from policyd.errors import RequestError
from policyd.event import Event
from policyd.policy.decide import moment
from policyd.policy.subject import Subject
from policyd.policy.suspendable import SubjectKind
from policyd.server.admin import AdminRequest, Route
from policyd.store.trail import KEPT

_USUAL = 50
_AT_ONCE = 1_000
_PLACE = re.compile(r"[0-9]{1,20}-[0-9]{1,20}", re.ASCII)


class EventRoutes:
    """The handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Return what can be asked."""
        return [Route("GET", "/v1/events", self.events)]

    async def events(self, request: AdminRequest) -> dict[str, Any]:
        """Return the last ``count`` events, oldest first, of ``subject`` or of all.

        With ``after``, the ``next`` of an earlier answer, those that came since, and only the first so many.
        """
        trail, place = self._parts.trail, _place(request)
        named = request.query.get("subject", "")
        meant = subject(self._parts, named) if named else None
        count = number(request, "count", _USUAL, KEPT)
        if place:
            page = await trail.after(place, _AT_ONCE)
        elif meant:
            page = await trail.of(meant.account, KEPT)
        else:
            page = await trail.latest(count)
        events = [event for event in page.events if meant is None or _concerns(event, meant)]
        shown = events if place else events[-count:]
        return {"events": [{**event._asdict(), "at": moment(event.at)} for event in shown], "next": page.place}


def _place(request: AdminRequest) -> str:
    place = request.query.get("after", "")
    if place and not _PLACE.fullmatch(place):
        raise RequestError(HTTPStatus.BAD_REQUEST, "after is no place in the trail: give the next of an earlier answer")
    return place


def _concerns(event: Event, meant: Subject) -> bool:
    """Return whether an event is about an account; about an address, those of its whole account are too."""
    if event.account != meant.account or not meant.address:
        return event.account == meant.account
    kinds = {f"{kind}:{meant.address}" for kind in (SubjectKind.LIST, SubjectKind.MAILBOX)}
    return event.subject in {meant.address, meant.account, *kinds}
