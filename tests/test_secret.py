"""Where a secret is that the configuration names."""

from pathlib import Path

import pytest

from policyd.secret import CredentialError, secret_path


def test_a_path_is_a_path() -> None:
    """Whatever systemd passes."""
    assert secret_path("/etc/policyd/redis.password", {"CREDENTIALS_DIRECTORY": "/run/c"}) == Path(
        "/etc/policyd/redis.password"
    )


def test_a_credential_is_where_systemd_puts_it() -> None:
    """Below the directory that it names to the service."""
    assert secret_path("credential:redis", {"CREDENTIALS_DIRECTORY": "/run/c"}) == Path("/run/c/redis")


def test_a_credential_that_nobody_passes() -> None:
    """The error says what to write into the unit."""
    with pytest.raises(CredentialError) as caught:
        secret_path("credential:redis", {})

    cure = "LoadCredential=redis:/etc/policyd/redis in the unit"
    assert str(caught.value) == f"systemd passes no credentials ({cure})"
