"""Whether the files can be used that the configuration names for passwords, keys, tokens and certificates."""

from collections.abc import Callable, Iterator

from policyd.conf.schema import Config
from policyd.conf.secret_file import Secret
from policyd.errors import Issue, SecretError
from policyd.secret import CREDENTIAL, read_certificate, read_key, read_password, read_token

_READ: dict[Secret, Callable[[str], object]] = {
    Secret.PASSWORD: read_password,
    Secret.KEY: read_key,
    Secret.TOKEN: read_token,
    Secret.CERTIFICATE: read_certificate,
}


def audit_secrets(config: Config) -> list[Issue]:
    """Return what is wrong with each of them, where it is named. Credentials are not looked at."""
    return sorted(_wrong(config))


def unseen_secrets(config: Config) -> list[str]:
    """Return a note on each credential: only systemd has it, for the unit."""
    seen_by = "is not looked at: only the unit has it (LoadCredential= in policyd.service)"
    return [f"{one.path}: {one.file} {seen_by}" for one in config.secrets if one.file.startswith(CREDENTIAL)]


def _wrong(config: Config) -> Iterator[Issue]:
    for named in config.secrets:
        if named.file.startswith(CREDENTIAL):
            continue
        try:
            _READ[named.kind](named.file)
        except SecretError as error:
            yield Issue(*named.place, named.path, f"{named.file}: {error.why}", error.cure)
