"""Whether a Redis may forget counters to make room, which whoever runs it should hear."""

import logging

from policyd.store.link import Args

ASKED: Args = ("INFO", "memory")

_NEVER = "noeviction"

_log = logging.getLogger("policyd.store")


class Eviction:
    """What one Redis has said of it; ``place`` is where it is, for people."""

    def __init__(self, place: str) -> None:
        self._place, self._policy = place, _NEVER

    def heard(self, reply: object) -> None:
        """Warn when it is news. A user who may not ask, or a Redis that does not answer, says nothing."""
        if not isinstance(reply, bytes):
            return
        lines = (line.partition(":") for line in reply.decode("utf-8", "replace").splitlines())
        said = {name: value for name, _, value in lines}
        policy = said.get("maxmemory_policy", _NEVER) if said.get("maxmemory", "0") != "0" else _NEVER
        if policy not in {self._policy, _NEVER}:
            _log.warning(
                "Redis forgets counters when its memory is full, and limits are laxer then: maxmemory-policy is %s, "
                "and has to be %s (%s)",
                policy, _NEVER, self._place,
            )  # fmt: skip
        self._policy = policy
