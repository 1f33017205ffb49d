"""Who would be over limits that are not in force yet."""

from http import HTTPStatus
from typing import Any

from policyd.admin.asked import Parts
from policyd.errors import RequestError
from policyd.over import over
from policyd.policy.lowered import Lowered
from policyd.server.admin import AdminRequest, Route

MOST = 1_000
"""Limits of accounts that may be asked about at once."""


class OverRoutes:
    """The handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Return what can be asked. It changes nothing, and is too long for a GET."""
        return [Route("POST", "/v1/over", self.over)]

    async def over(self, request: AdminRequest) -> dict[str, Any]:
        """Return who uses more now than ``limits`` would allow: a list of account, limit and new maximum."""
        parts = self._parts
        found = await over(parts.store, parts.references, parts.config.now, _limits(request))
        return {"over": [one._asdict() for one in found]}


def _limits(request: AdminRequest) -> list[Lowered]:
    limits = request.body.get("limits") if isinstance(request.body, dict) else None
    if not isinstance(limits, list) or len(limits) > MOST or not all(map(_is_lowered, limits)):
        why = f"limits is no list of up to {MOST} triples of account, limit and maximum"
        raise RequestError(HTTPStatus.BAD_REQUEST, why)
    return [Lowered(*one) for one in limits]


def _is_lowered(one: object) -> bool:
    return isinstance(one, list) and [type(value) for value in one] == [str, str, int] and one[2] >= 0
