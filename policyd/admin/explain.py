"""Why mail was refused, and what mail would hear that is not sent yet."""

import re
from collections.abc import Mapping
from http import HTTPStatus

from policyd.admin.asked import Parts
from policyd.errors import RequestError
from policyd.model import PolicyRequest
from policyd.outlook import Outlook, outlook
from policyd.policy.plan import MOST_BYTES, MOST_RECIPIENTS, Planner
from policyd.server.admin import AdminRequest, Route
from policyd.server.taken import Number, Word
from policyd.story import Story, tell, tell_suspension

_REF = re.compile(r"[0-9A-HJKMNP-TV-Z]{10}")
_HERE = "127.0.0.1"

_NAME = Word("ref", "The 10 letters and digits after ref.", "7KQ2M0XW9A", needed=True, pattern=f"^{_REF.pattern}$")
_CLIENT = Word("client_address", "Where it comes from; without one, from this host.", "192.0.2.9")
_PORT = Number("server_port", "The port that it comes to.", 0, 65_535, usual=0)
_SENDER = Word("sender", "The envelope's sender.", "alice@example.org")
_RECIPIENT = Word("recipient", "The envelope's recipient.", "bob@example.net")
_RECIPIENTS = Number("recipient_count", "Of a whole message: its recipients.", 0, MOST_RECIPIENTS, usual=0)
_SIZE = Number("size", "Its bytes.", 0, MOST_BYTES, usual=0)
_LOGIN = Word("sasl_username", "The SASL login.", "alice@example.org")
_CONTEXT = Word("policy_context", "The policy_context of the entry in main.cf or master.cf.", "mailman")
_USER = Word("unix_user", "The Unix user who sends it, where it comes from this host.", "www-data")

_MAIL = (_CLIENT, _PORT, _SENDER, _RECIPIENT, _RECIPIENTS, _SIZE, _LOGIN, _CONTEXT, _USER)
"""Attributes as Postfix sends them, but the last."""


class ExplainRoutes:
    """The handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Return what can be asked."""
        return [
            Route("GET", "/v1/explain/ref/{ref}", self.reference, parts=(_NAME,)),
            Route("GET", "/v1/explain/mail", self.mail, query=_MAIL, lenient=True),
        ]

    async def reference(self, request: AdminRequest) -> Story:
        """Return the story of the reference ``ref``, of a refusal or of a suspension that is in force."""
        parts, ref = self._parts, _NAME.of(request.path)
        if not _REF.fullmatch(ref):
            raise RequestError(HTTPStatus.BAD_REQUEST, "a reference has 10 letters and digits, as 7KQ2M0XW9A")
        suspended = next((one for one in parts.suspensions.all(parts.clock.now()) if one.ref == ref), None)
        if suspended is not None:
            return tell_suspension(suspended)
        story = await tell(parts.config.now, parts.store, parts.references, ref)
        if story is None:
            raise RequestError(HTTPStatus.NOT_FOUND, f"nothing is known of {ref} (references are kept for 30 days)")
        return story

    async def mail(self, request: AdminRequest) -> Outlook:
        """Return what a mail would hear, by its attributes as Postfix sends them; ``unix_user`` is who sends it."""
        query, parts = request.query, self._parts
        planner = Planner(parts.config.now, parts.status.roster())
        user, now = _USER.of(query), parts.clock.now()
        return await outlook(planner, parts.store, _mail(query), user, now, seen=parts.seen)


def _mail(query: Mapping[str, str]) -> PolicyRequest:
    """Return the request that a query describes; what is not in it is as of a client on this host."""
    return PolicyRequest(
        protocol_state="RCPT",
        client_address=_CLIENT.of(query) if _CLIENT.name in query else _HERE,
        client_port=0,
        server_address="",
        server_port=_PORT.of(query),
        sender=_SENDER.of(query),
        recipient=_RECIPIENT.of(query),
        recipient_count=_RECIPIENTS.of(query),
        queue_id="",
        instance="",
        size=_SIZE.of(query),
        sasl_username=_LOGIN.of(query),
        policy_context=_CONTEXT.of(query),
    )
