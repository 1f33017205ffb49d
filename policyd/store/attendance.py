"""How many sentinels name the master; none for some time is news before they are needed.

Pure: it is told what was answered, and when (s).
"""

import logging

PATIENCE = 5.0
"""After how many seconds without a sentinel that names the master the log says so."""

_log = logging.getLogger("policyd.store")


class Attendance:
    """``up`` sentinels named the master ``name`` when they were asked last; they are asked from ``now`` on."""

    def __init__(self, name: str, now: float) -> None:
        self.up = 0
        self._name, self._named_at, self._told = name, now, False

    def heard(self, up: int, now: float, why: str) -> None:
        """Note how many named it, and ``why`` the others did not."""
        self.up = up
        if up:
            self._named_at = now
            if self._told:
                _log.info("a sentinel names the master %s again", self._name)
            self._told = False
        elif not self._told and now - self._named_at >= PATIENCE:
            lasts = "as long as the master and the connections to it last, mail is counted"
            _log.warning("no sentinel has named the master %s for %g s: %s; %s", self._name, PATIENCE, why, lasts)
            self._told = True
