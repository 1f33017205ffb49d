"""How large lists are, who says so, and whether they may mail now."""

from policyd.admin.answers import ListsAnswer, RosterState
from policyd.admin.asked import SUBJECT, Parts, subject
from policyd.listing import Listing
from policyd.policy.decide import moment
from policyd.policy.suspendable import SubjectKind
from policyd.server.admin import AdminRequest, Route

MOST = 500
"""Lists of one answer."""


class ListRoutes:
    """The handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Return what can be asked."""
        return [Route("GET", "/v1/lists", self.lists, query=(SUBJECT,))]

    async def lists(self, request: AdminRequest) -> ListsAnswer:
        """Return the lists of the account of ``subject``, that list alone, or all."""
        parts, named = self._parts, SUBJECT.of(request.query)
        meant, now = subject(parts, named) if named else None, parts.clock.now()
        listing = Listing(parts.store, parts.references, parts.config.now, parts.status.roster())
        names = await listing.names(meant.account if meant else "")
        if meant is not None and meant.address:
            names = [one for one in names if one[1] == meant.address]
        shown = []
        for account, posting in names[:MOST]:
            subjects = (SubjectKind.DOMAIN.value, f"{SubjectKind.LIST}:{posting}")
            suspended = parts.suspensions.find(account, subjects, now) is not None
            shown.append(await listing.of(account, posting, now, suspended=suspended))
        last, settings = parts.rosters.last, parts.config.now.mailman
        read = moment(last.at) if last.at else ""
        roster: RosterState = {"url": settings.url if settings else "", "read": read, "failing": last.failing}
        return {"roster": roster, "lists": shown, "more": max(0, len(names) - MOST)}
