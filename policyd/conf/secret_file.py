"""A file that the configuration names for a password, a key or a token."""

from typing import NamedTuple

from policyd.conf.issues import Place


class SecretFile(NamedTuple):
    """Which ``file`` is named, under which ``path``, and at which ``place``. ``is_key``: it is no password."""

    path: str
    file: str
    place: Place
    is_key: bool
