"""Everything that the admin socket can be asked."""

from policyd.admin.asked import Parts
from policyd.admin.daemon import DaemonRoutes
from policyd.admin.events import EventRoutes
from policyd.admin.logins import LoginRoutes
from policyd.admin.mailboxes import MailboxRoutes
from policyd.admin.raises import RaiseRoutes
from policyd.admin.suspend import SuspendRoutes
from policyd.server.admin import Route


def routes(parts: Parts) -> list[Route]:
    """Return all routes."""
    handlers = (
        DaemonRoutes(parts), EventRoutes(parts), LoginRoutes(parts), MailboxRoutes(parts), RaiseRoutes(parts),
        SuspendRoutes(parts),
    )  # fmt: skip
    return [route for handler in handlers for route in handler.routes()]
