"""What policyd has seen of mailboxes: their last logins, and since when it knows of them."""

from policyd.admin.answers import MailboxesAnswer
from policyd.admin.asked import BY, Parts
from policyd.policy.logins import LoginPlanner
from policyd.server.admin import AdminRequest, Route
from policyd.server.taken import LONGEST, Items
from policyd.store.last import DAY

MOST = 1_000
"""Mailboxes that may be asked about at once."""


class MailboxRoutes:
    """The handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Return what can be asked. A question changes something: that its mailboxes were listed."""
        return [Route("POST", "/v1/mailboxes", self.mailboxes, body=(_MAILBOXES, BY))]

    async def mailboxes(self, request: AdminRequest) -> MailboxesAnswer:
        """Return what was seen of each of ``mailboxes``, in their order, and on which days anything was."""
        planner, today = LoginPlanner(self._parts.config.now), self._parts.clock.now() // DAY
        names = [planner.traffic(name).user for name in _MAILBOXES.of(request.body)]
        seen = await self._parts.last_logins.seen(names, today)
        watched = await self._parts.last_logins.watched()
        return {"today": today, "watched": watched, "seen": seen}


def _is_name(name: object) -> bool:
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST:
        return False
    try:
        name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


_MAILBOXES = Items(
    "mailboxes", "Names of mailboxes.", f"names of up to {LONGEST} characters", MOST,
    {"type": "string", "minLength": 1, "maxLength": LONGEST, "examples": ["bob@example.org"]}, _is_name,
)  # fmt: skip
