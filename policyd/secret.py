"""Secrets are in files: at a path, or a credential that systemd passes (LoadCredential=, systemd.exec(5)).

A secret is never an argument, a value of the configuration or part of an error, so that no list of
processes, no log and no ``config show`` has it.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

CREDENTIAL = "credential:"
CREDENTIAL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\Z")


class CredentialError(FileNotFoundError):
    """Raised where systemd passed no such credential."""

    def __init__(self, name: str) -> None:
        self.why, self.cure = "systemd passes no credentials", f"LoadCredential={name}:/etc/policyd/{name} in the unit"
        super().__init__(f"{self.why} ({self.cure})")


def secret_path(named: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return where a secret is that the configuration names by its path or as ``credential:NAME``.

    Raises CredentialError when systemd passed none.
    """
    if not named.startswith(CREDENTIAL):
        return Path(named)
    directory, name = environ.get("CREDENTIALS_DIRECTORY"), named.removeprefix(CREDENTIAL)
    if not directory:
        raise CredentialError(name)
    return Path(directory) / name
