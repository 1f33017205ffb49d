"""What policyd has seen of mailboxes: their last logins, and since when it knows of them."""

from http import HTTPStatus
from typing import Any

from policyd.admin.asked import LONGEST, Parts
from policyd.errors import RequestError
from policyd.policy.logins import LoginPlanner
from policyd.server.admin import AdminRequest, Route
from policyd.store.last import DAY

MOST = 1_000
"""Mailboxes that may be asked about at once."""


class MailboxRoutes:
    """The handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Return what can be asked. A question changes something: that its mailboxes were listed."""
        return [Route("POST", "/v1/mailboxes", self.mailboxes)]

    async def mailboxes(self, request: AdminRequest) -> dict[str, Any]:
        """Return what was seen of each of ``mailboxes``, in their order, and on which days anything was."""
        planner, today = LoginPlanner(self._parts.config.now), self._parts.clock.now() // DAY
        names = [planner.traffic(name).user for name in _names(request)]
        seen = await self._parts.last_logins.seen(names, today)
        watched = await self._parts.last_logins.watched()
        return {"today": today, "watched": watched, "seen": [one._asdict() for one in seen]}


def _names(request: AdminRequest) -> list[str]:
    names = request.body.get("mailboxes") if isinstance(request.body, dict) else None
    if not isinstance(names, list) or len(names) > MOST or not all(_is_name(name) for name in names):
        why = f"mailboxes is no list of up to {MOST} names of up to {LONGEST} characters"
        raise RequestError(HTTPStatus.BAD_REQUEST, why)
    return names


def _is_name(name: object) -> bool:
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST:
        return False
    try:
        name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
