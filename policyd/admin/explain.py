"""Why mail was refused, and what mail would hear that is not sent yet."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from policyd.admin.asked import Parts
from policyd.errors import RequestError
from policyd.model import PolicyRequest
from policyd.outlook import outlook
from policyd.policy.plan import MOST_BYTES, MOST_RECIPIENTS, Planner
from policyd.server.admin import AdminRequest, Route
from policyd.story import tell, tell_suspension

_REF = re.compile(r"[0-9A-HJKMNP-TV-Z]{10}")
_HERE = "127.0.0.1"
_DIGITS = len(str(MOST_BYTES))


class ExplainRoutes:
    """The handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Return what can be asked."""
        return [
            Route("GET", "/v1/explain/ref/{ref}", self.reference),
            Route("GET", "/v1/explain/mail", self.mail),
        ]

    async def reference(self, request: AdminRequest) -> dict[str, Any]:
        """Return the story of the reference ``ref``, of a refusal or of a suspension that is in force."""
        parts, ref = self._parts, request.path["ref"]
        if not _REF.fullmatch(ref):
            raise RequestError(HTTPStatus.BAD_REQUEST, "a reference has 10 letters and digits, as 7KQ2M0XW9A")
        suspended = next((one for one in parts.suspensions.all(parts.clock.now()) if one.ref == ref), None)
        if suspended is not None:
            return tell_suspension(suspended).as_json()
        story = await tell(parts.config.now, parts.store, parts.references, ref)
        if story is None:
            raise RequestError(HTTPStatus.NOT_FOUND, f"nothing is known of {ref} (references are kept for 30 days)")
        return story.as_json()

    async def mail(self, request: AdminRequest) -> dict[str, Any]:
        """Return what a mail would hear, by its attributes as Postfix sends them; ``unix_user`` is who sends it."""
        query, parts = dict(request.query), self._parts
        user = query.pop("unix_user", "")
        planner = Planner(parts.config.now, parts.status.roster())
        found = await outlook(planner, parts.store, _mail(query), user, parts.clock.now())
        return found.as_json()


def _mail(query: Mapping[str, str]) -> PolicyRequest:
    """Return the request that a query describes; what is not in it is as of a client on this host."""
    return PolicyRequest(
        protocol_state="RCPT",
        client_address=query.get("client_address", _HERE),
        client_port=0,
        server_address="",
        server_port=_number(query, "server_port", 65_535),
        sender=query.get("sender", ""),
        recipient=query.get("recipient", ""),
        recipient_count=_number(query, "recipient_count", MOST_RECIPIENTS),
        queue_id="",
        instance="",
        size=_number(query, "size", MOST_BYTES),
        sasl_username=query.get("sasl_username", ""),
        policy_context=query.get("policy_context", ""),
    )


def _number(query: Mapping[str, str], name: str, most: int) -> int:
    written = query.get(name, "0")
    if not (written.isascii() and written.isdecimal() and len(written) <= _DIGITS and int(written) <= most):
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{name}={written} is no number up to {most}")
    return int(written)
