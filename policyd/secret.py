"""Secrets are in files: at a path, or a credential that systemd passes (LoadCredential=, systemd.exec(5)).

A secret is never an argument, a value of the configuration or part of an error, so that no list of
processes, no log and no ``config show`` has it. One that every user may read is none, and is not taken.
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from policyd.errors import SecretError

CREDENTIAL = "credential:"
CREDENTIAL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\Z")

_MOST, _LEAST_KEY = 1024, 16
_MOST_PEM = 1_048_576


def read_password(named: str, what: str = "password") -> str:
    """Return the password in a file, its first line; ``what`` is its name. Raises SecretError."""
    cure = f"write the {what} into {named}, for policyd's user to read"
    try:
        password = _read(named, cure).decode("utf-8").partition("\n")[0].strip()
    except UnicodeError as error:
        raise SecretError(named, "it is no text", cure) from error
    if not password:
        raise SecretError(named, "its first line is empty", cure)
    return password


def read_key(named: str, made_by: str = "policyd init-key") -> bytes:
    """Return the key that a file holds, of 16 bytes or more. Raises SecretError."""
    cure = f"{made_by} --file {named}"
    key = _read(named, cure).strip()
    if len(key) < _LEAST_KEY:
        raise SecretError(named, f"it has fewer than {_LEAST_KEY} bytes", f"{cure} --force")
    return key


def read_token(named: str) -> bytes:
    """Return the token of whoever reads the metrics, a key like any other. Raises SecretError."""
    return read_key(named, "policyd init-key --metrics")


def read_certificate(named: str) -> None:
    """Look at a file that TLS needs: the certificate of an authority, one of ours, or its key, which is a secret.

    Raises SecretError.
    """
    path = Path(named)
    mode, held = _opened(named, path, "write it there, or name another", _MOST_PEM)
    if b"-----BEGIN " not in held:
        raise SecretError(named, "it holds no certificate and no key", "write it there as PEM")
    if b"PRIVATE KEY-----" in held:
        _refuse_if_public(named, path, mode)


def secret_path(named: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return where a secret is that the configuration names by its path or as ``credential:NAME``.

    Raises SecretError when systemd passed no credentials.
    """
    if not named.startswith(CREDENTIAL):
        return Path(named)
    directory, name = environ.get("CREDENTIALS_DIRECTORY"), named.removeprefix(CREDENTIAL)
    if not directory:
        cure = f"LoadCredential={name}:FILE in policyd.service, and in policyd@.service"
        raise SecretError(named, "systemd passes no credentials", cure)
    return Path(directory) / name


def _read(named: str, cure: str) -> bytes:
    path = secret_path(named)
    mode, held = _opened(named, path, cure, _MOST)
    _refuse_if_public(named, path, mode)
    return held


def _opened(named: str, path: Path, absent: str, most: int) -> tuple[int, bytes]:
    """Return the mode of a file and what it holds, up to ``most`` bytes; ``absent`` is the cure where there is none."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_mode, file.read(most)
    except OSError as error:
        raise SecretError(named, *_unreadable(error, path, absent)) from error


def _refuse_if_public(named: str, path: Path, mode: int) -> None:
    if mode & stat.S_IRWXO:
        raise SecretError(named, "every user may read it", _for_policyd_alone(path))


def _unreadable(error: OSError, path: Path, absent: str) -> tuple[str, str]:
    """Return why a file cannot be read and the cure, which is ``absent`` where there is none."""
    if isinstance(error, FileNotFoundError):
        return "the file is not there", absent
    if isinstance(error, IsADirectoryError):
        return "it is a directory", "name the file in it"
    return f"it cannot be read: {error.strerror or error}", _for_policyd_alone(path)


def _for_policyd_alone(path: Path) -> str:
    return f"chgrp policyd {path} && chmod 0640 {path}"
