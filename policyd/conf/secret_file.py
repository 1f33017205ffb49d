"""A file that the configuration names for a password, a key, a token or a certificate."""

from enum import Enum, auto
from typing import NamedTuple

from policyd.conf.issues import Place


class Secret(Enum):
    """What is in such a file. CERTIFICATE is all that TLS wants: it is read for ``store.url``."""

    PASSWORD = auto()
    KEY = auto()
    TOKEN = auto()
    CERTIFICATE = auto()


class SecretFile(NamedTuple):
    """Which ``file`` is named, for what, under which ``path``, and at which ``place``."""

    path: str
    file: str
    place: Place
    kind: Secret
