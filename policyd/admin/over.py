"""Who would be over limits that are not in force yet."""

from policyd.admin.answers import OverAnswer
from policyd.admin.asked import BY, Parts
from policyd.over import over
from policyd.policy.lowered import Lowered
from policyd.server.admin import AdminRequest, Route
from policyd.server.taken import Items

MOST = 1_000
"""Limits of accounts that may be asked about at once."""


class OverRoutes:
    """The handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Return what can be asked. It changes nothing, and is too long for a GET."""
        return [Route("POST", "/v1/over", self.over, body=(_LIMITS, BY))]

    async def over(self, request: AdminRequest) -> OverAnswer:
        """Return who uses more now than ``limits`` would allow: a list of account, limit and new maximum."""
        parts = self._parts
        lowered = [Lowered(*one) for one in _LIMITS.of(request.body)]
        return {"over": await over(parts.store, parts.references, parts.config.now, lowered)}


def _is_lowered(one: object) -> bool:
    return isinstance(one, list) and [type(value) for value in one] == [str, str, int] and one[2] >= 0


_TRIPLE = {
    "type": "array", "minItems": 3, "maxItems": 3, "items": False,
    "prefixItems": [{"type": "string"}, {"type": "string"}, {"type": "integer", "minimum": 0}],
    "examples": [["example.org", "domain-hourly", 300]],
}  # fmt: skip
_LIMITS = Items(
    "limits", "What may become their maximum.", "triples of account, limit and maximum", MOST, _TRIPLE, _is_lowered
)
