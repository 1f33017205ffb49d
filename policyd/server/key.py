"""What a client shows so that it is believed: the text of a file."""

import hmac
import logging
from collections.abc import Callable

from policyd.errors import ListenError, SecretError
from policyd.secret import read_key

_log = logging.getLogger(__name__)


class Key:
    """The key of a listener, as its file holds it; read again at a reload."""

    def __init__(self, file: str, named: str, read: Callable[[str], bytes] = read_key) -> None:
        """Read the key; ``named`` is where the configuration names it. Raises ListenError, which says what to do."""
        self._file, self._named, self._how = file, named, read
        self._key = self._read()

    def fits(self, shown: str) -> bool:
        """Return whether a text is the key, in a time that does not depend on where they differ."""
        return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), self._key)

    def reload(self) -> None:
        """Read the key again; one that cannot be used is logged, and the former one stays."""
        try:
            self._key = self._read()
        except ListenError as error:
            _log.error("%s; the former key stays in force", error)

    def _read(self) -> bytes:
        try:
            return self._how(self._file)
        except SecretError as error:
            raise ListenError(f"{self._named} {self._file}", error.why, error.cure) from error
