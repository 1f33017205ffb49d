"""Secrets in files: where they are, and which are taken."""

from pathlib import Path

import pytest

from policyd.errors import SecretError
from policyd.secret import read_certificate, read_key, read_password, read_token, secret_path
from tests.support.person import as_user
from tests.support.programs import require

SECRET = "a secret of more than 16 bytes"
NOBODY = 65_534


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file that only its owner and its group may read."""
    made = tmp_path / "secret"
    made.write_text(f"  {SECRET} \n")
    made.chmod(0o640)
    return made


def refused(file: Path, *, key: bool = False) -> str:
    """Return why a file is not taken."""
    with pytest.raises(SecretError) as caught:
        (read_key if key else read_password)(str(file))
    assert SECRET not in str(caught.value)
    return str(caught.value).removeprefix(f"{file}: ")


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
    with pytest.raises(SecretError) as caught:
        secret_path("credential:redis", {})

    cure = "LoadCredential=redis:FILE in policyd.service, and in policyd@.service"
    assert str(caught.value) == f"credential:redis: systemd passes no credentials ({cure})"


def test_a_password_is_the_first_line(file: Path) -> None:
    """White space around it is not part of it."""
    file.write_text(f"  {SECRET} \nnot this\n")
    assert read_password(str(file)) == SECRET


def test_a_key_is_the_whole_file(file: Path) -> None:
    """But for white space around it."""
    assert read_key(str(file)) == SECRET.encode()


@pytest.mark.parametrize("key", [True, False], ids=["key", "password"])
@pytest.mark.parametrize("mode", [0o644, 0o642, 0o641])
def test_what_everybody_may_read_is_no_secret(file: Path, mode: int, key: bool) -> None:
    """Nor what everybody may write."""
    file.chmod(mode)
    assert refused(file, key=key) == f"every user may read it (chgrp policyd {file} && chmod 0640 {file})"


def test_a_file_that_is_not_there(file: Path) -> None:
    """The cure is how it is made."""
    file.unlink()
    assert refused(file) == f"the file is not there (write the password into {file}, for policyd's user to read)"
    assert refused(file, key=True) == f"the file is not there (policyd init-key --file {file})"


def test_a_file_that_may_not_be_read(file: Path) -> None:
    """A directory would be harmed by the cure of a file."""
    require("true", root=True)
    cure = f"chgrp policyd {file} && chmod 0640 {file}"
    for directory in (file, *file.parents[:4]):
        directory.chmod(directory.stat().st_mode | 0o011)
    file.chmod(0o640)
    assert as_user(NOBODY, lambda: refused(file)) == f"it cannot be read: Permission denied ({cure})"
    file.unlink()
    file.mkdir(mode=0o700)
    assert refused(file) == "it is a directory (name the file in it)"


@pytest.mark.parametrize(
    ("held", "key", "why"),
    [
        (b"\n", False, "its first line is empty"),
        (b"\xff\xfe", False, "it is no text"),
        (b"fifteen bytes..", True, "it has fewer than 16 bytes"),
        (b"", True, "it has fewer than 16 bytes"),
    ],
)
def test_what_is_none(file: Path, held: bytes, key: bool, why: str) -> None:
    """An empty password would log in nobody, and a short key can be guessed."""
    file.write_bytes(held)
    assert refused(file, key=key).startswith(f"{why} (")


def test_a_token_is_made_by_the_command_that_prints_its_lines(file: Path) -> None:
    """Those of Dovecot would be of no use for it."""
    file.unlink()
    with pytest.raises(SecretError, match=rf"\(policyd init-key --metrics --file {file}\)"):
        read_token(str(file))


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (None, "the file is not there (write it there, or name another)"),
        ("0123", "it holds no certificate and no key (write it there as PEM)"),
    ],
)
def test_what_tls_cannot_use(file: Path, held: str | None, why: str) -> None:
    """The error names the file, which those of TLS do not."""
    file.unlink()
    if held is not None:
        file.write_text(held)
    with pytest.raises(SecretError) as caught:
        read_certificate(str(file))

    assert str(caught.value) == f"{file}: {why}"


@pytest.mark.parametrize("label", ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"])
def test_the_key_of_a_certificate_is_a_secret(file: Path, label: str) -> None:
    """Alone or behind its certificate; a certificate alone may be everybody's."""
    begins = "-----BEGIN {}-----\n{}\n"
    certificate, key = begins.format("CERTIFICATE", "MIIB"), begins.format(label, SECRET)
    for held in (key, certificate + key):
        file.write_text(held)
        file.chmod(0o640)
        read_certificate(str(file))
        file.chmod(0o644)
        with pytest.raises(SecretError) as caught:
            read_certificate(str(file))
        assert str(caught.value) == f"{file}: every user may read it (chgrp policyd {file} && chmod 0640 {file})"
    file.write_text(certificate)
    read_certificate(str(file))
