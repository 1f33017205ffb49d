"""How many connections a service takes. What is closed because they are too many is counted, and told now and then."""

import logging
from collections.abc import Callable

from policyd.clock import Clock
from policyd.server.base import Throttle

_logger = logging.getLogger(__name__)


class Crowd:
    """The bound of one service: ``most`` connections, named ``listen.SERVICE`` in the log."""

    def __init__(self, service: str, most: int, clock: Clock, closed: Callable[[str], None] = lambda _: None) -> None:
        """Bound a service; ``closed`` is called with its name for each connection that is one too many."""
        self.service, self.most = service, most
        self._closed, self._throttle = closed, Throttle(clock)

    def too_many(self, which: str, peer: str) -> None:
        """Count one that is closed, ``peer``'s, and warn once in a while; ``which`` says how it was chosen."""
        self._closed(self.service)
        held = self._throttle.passes(which)
        if held is not None:
            more = f" ({held} more since the last line)" if held else ""
            _logger.warning(
                "listen.%s has %d connections, the most that it takes: closed %s, from %s%s",
                self.service, self.most, which, peer, more,
            )  # fmt: skip
