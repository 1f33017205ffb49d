"""Everything that the admin socket can be asked."""

from policyd.admin.asked import Parts
from policyd.admin.daemon import DaemonRoutes
from policyd.admin.events import EventRoutes
from policyd.admin.explain import ExplainRoutes
from policyd.admin.logins import LoginRoutes
from policyd.admin.mailboxes import MailboxRoutes
from policyd.admin.over import OverRoutes
from policyd.admin.raises import RaiseRoutes
from policyd.admin.suspend import SuspendRoutes
from policyd.server.admin import Route

_HANDLERS = (
    DaemonRoutes,
    EventRoutes,
    ExplainRoutes,
    LoginRoutes,
    MailboxRoutes,
    OverRoutes,
    RaiseRoutes,
    SuspendRoutes,
)


def routes(parts: Parts) -> list[Route]:
    """Return all routes."""
    return [route for handlers in _HANDLERS for route in handlers(parts).routes()]
