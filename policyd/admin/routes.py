"""Everything that the admin socket can be asked."""

from policyd.admin.asked import Parts
from policyd.admin.daemon import DaemonRoutes
from policyd.admin.events import EventRoutes
from policyd.admin.logins import LoginRoutes
from policyd.admin.mailboxes import MailboxRoutes
from policyd.server.admin import Route


def routes(parts: Parts) -> list[Route]:
    """Return all routes."""
    return [
        *DaemonRoutes(parts).routes(),
        *EventRoutes(parts).routes(),
        *LoginRoutes(parts).routes(),
        *MailboxRoutes(parts).routes(),
    ]
