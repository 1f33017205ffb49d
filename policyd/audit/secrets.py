"""Whether the files can be used that the configuration names for passwords, keys and tokens."""

from collections.abc import Iterator

from policyd.conf.schema import Config
from policyd.errors import Issue, SecretError
from policyd.secret import CREDENTIAL, read_key, read_password


def audit_secrets(config: Config) -> list[Issue]:
    """Return what is wrong with each of them, where it is named. Of credentials only the unit knows."""
    return sorted(_wrong(config))


def _wrong(config: Config) -> Iterator[Issue]:
    for named in config.secrets:
        if named.file.startswith(CREDENTIAL):
            continue
        try:
            (read_key if named.is_key else read_password)(named.file)
        except SecretError as error:
            yield Issue(*named.place, named.path, f"{named.file}: {error.why}", error.cure)
