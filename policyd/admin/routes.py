"""Everything that the admin socket can be asked."""

from typing import Any

from policyd import __version__
from policyd.admin.asked import Parts
from policyd.admin.daemon import DaemonRoutes
from policyd.admin.events import EventRoutes
from policyd.admin.explain import ExplainRoutes
from policyd.admin.lists import ListRoutes
from policyd.admin.logins import LoginRoutes
from policyd.admin.mailboxes import MailboxRoutes
from policyd.admin.over import OverRoutes
from policyd.admin.raises import RaiseRoutes
from policyd.admin.suspend import SuspendRoutes
from policyd.server.admin import AdminRequest, Route
from policyd.server.openapi import openapi

_HANDLERS = (
    DaemonRoutes,
    EventRoutes,
    ExplainRoutes,
    ListRoutes,
    LoginRoutes,
    MailboxRoutes,
    OverRoutes,
    RaiseRoutes,
    SuspendRoutes,
)


def routes(parts: Parts) -> list[Route]:
    """Return all routes, the last of which describes them."""
    every = [route for handlers in _HANDLERS for route in handlers(parts).routes()]

    async def described(_: AdminRequest) -> dict[str, Any]:
        """Return this document."""
        return document

    every.append(Route("GET", "/v1/openapi.json", described))
    document = openapi(every, __version__)
    return every
