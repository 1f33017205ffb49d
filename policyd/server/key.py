"""What a client shows so that it is believed: the text of a file."""

import hmac
import logging
import stat

from policyd.errors import ListenError
from policyd.secret import CredentialError, secret_path

_LEAST_KEY = 16
_OTHERS = stat.S_IRWXO

_log = logging.getLogger(__name__)


class Key:
    """The key of a listener, as its file holds it; read again at a reload."""

    def __init__(self, file: str, named: str) -> None:
        """Read the key; ``named`` is where the configuration names it. Raises ListenError, which says what to do."""
        self._file, self._named = file, named
        self._key = read_key(file, named)

    def fits(self, shown: str) -> bool:
        """Return whether a text is the key, in a time that does not depend on where they differ."""
        return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), self._key)

    def reload(self) -> None:
        """Read the key again; one that cannot be used is logged, and the former one stays."""
        try:
            self._key = read_key(self._file, self._named)
        except ListenError as error:
            _log.error("%s; the former key stays in force", error)


def read_key(file: str, named: str) -> bytes:
    """Return the key that a file holds. Raises ListenError, with the command that cures it."""
    address, cure = f"{named} {file}", f"policyd init-key --file {file}"
    try:
        path = secret_path(file)
        with path.open("rb") as opened:
            mode = stat.S_IMODE(path.stat().st_mode)
            key = opened.read(1024).strip()
    except CredentialError as error:
        raise ListenError(address, error.why, error.cure) from error
    except FileNotFoundError as error:
        raise ListenError(address, "the file is not there", cure) from error
    except OSError as error:
        readable = f"chgrp policyd {file} && chmod 0640 {file}"
        raise ListenError(address, f"its key cannot be read: {error.strerror or error}", readable) from error
    if mode & _OTHERS:
        raise ListenError(address, "every user may read its key", f"chmod 0640 {file}")
    if len(key) < _LEAST_KEY:
        raise ListenError(address, f"its key has fewer than {_LEAST_KEY} bytes", f"{cure} --force")
    return key
