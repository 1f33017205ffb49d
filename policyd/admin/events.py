"""The events: refusals, and what somebody did."""

import re
from http import HTTPStatus

from policyd.admin.answers import EventsAnswer, shown_event
from policyd.admin.asked import SUBJECT, Parts, subject
from policyd.errors import RequestError
from policyd.event import Event
from policyd.policy.subject import Subject
from policyd.policy.suspendable import SubjectKind
from policyd.server.admin import AdminRequest, Route
from policyd.server.taken import Number, Word
from policyd.store.trail import KEPT

_AT_ONCE = 1_000
_PLACE = re.compile(r"[0-9]{1,20}-[0-9]{1,20}", re.ASCII)
_COUNT = Number("count", "How many of the last ones.", 1, KEPT, usual=50)
_AFTER = Word("after", "Those that came since an earlier answer: its next.", pattern=f"^({_PLACE.pattern})?$")


class EventRoutes:
    """The handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Return what can be asked."""
        return [Route("GET", "/v1/events", self.events, query=(SUBJECT, _COUNT, _AFTER))]

    async def events(self, request: AdminRequest) -> EventsAnswer:
        """Return the last ``count`` events, oldest first, of ``subject`` or of all.

        With ``after``, the ``next`` of an earlier answer, those that came since, and only the first so many.
        """
        trail, place = self._parts.trail, _place(request)
        named = SUBJECT.of(request.query)
        meant = subject(self._parts, named) if named else None
        count = _COUNT.of(request.query)
        if place:
            page = await trail.after(place, _AT_ONCE)
        elif meant:
            page = await trail.of(meant.account, KEPT)
        else:
            page = await trail.latest(count)
        events = [event for event in page.events if meant is None or _concerns(event, meant)]
        shown = events if place else events[-count:]
        return {"events": [shown_event(event) for event in shown], "next": page.place}


def _place(request: AdminRequest) -> str:
    place = _AFTER.of(request.query)
    if place and not _PLACE.fullmatch(place):
        raise RequestError(HTTPStatus.BAD_REQUEST, "after is no place in the trail: give the next of an earlier answer")
    return place


def _concerns(event: Event, meant: Subject) -> bool:
    """Return whether an event is about an account; about an address, those of its whole account are too."""
    if event.account != meant.account or not meant.address:
        return event.account == meant.account
    kinds = {f"{kind}:{meant.address}" for kind in (SubjectKind.LIST, SubjectKind.MAILBOX)}
    return event.subject in {meant.address, meant.account, *kinds}
