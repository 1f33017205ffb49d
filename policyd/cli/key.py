"""``policyd init-key``: make the key that Dovecot shows, or the token of whoever reads the metrics."""

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Annotated

import typer

from policyd.cli.output import PROBLEM

_DEFAULT, _TOKEN = "/etc/policyd/dovecot.key", "/etc/policyd/metrics.token"
_DAEMON = "policyd"
_MODE = 0o640

_DOVECOT_LINES = """\
# into policyd.yaml
listen:
  dovecot: "127.0.0.1:10032"
  dovecot_key_file: {file}

# into a file of /etc/dovecot/conf.d
auth_policy_server_url = http://127.0.0.1:10032/dovecot
auth_policy_server_api_header = <{file}
auth_policy_hash_nonce = any-text-of-your-own
auth_policy_check_before_auth = no
"""

_METRICS_LINES = """\
# into policyd.yaml
listen:
  metrics_token_file: {file}

# a copy that Prometheus may read, as credentials_file of its job names it
install -m 0640 -g prometheus {file} /etc/prometheus/policyd.token
"""


def init_key(
    file: Annotated[
        str, typer.Option("--file", metavar="FILE", help=f"Where it goes, instead of {_DEFAULT} or {_TOKEN}.")
    ] = "",
    metrics: Annotated[bool, typer.Option("--metrics", help="Make the token of metrics_token_file.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a key that is there.")] = False,
) -> None:
    """Make a key for Dovecot, which policyd's user and root may read, and print the lines to write.

    Without it every script of this host could ask as Dovecot does, and lock any mailbox. After a
    key was replaced: systemctl reload policyd dovecot. With --metrics it is the token of Prometheus.

    For example:

    policyd init-key

    policyd init-key --metrics
    """
    usual, lines = (_TOKEN, _METRICS_LINES) if metrics else (_DEFAULT, _DOVECOT_LINES)
    path = Path(file or usual).absolute()
    try:
        _write(path, force=force)
    except FileExistsError as error:
        print(f"policyd: {path} is there already (write --force to replace it)", file=sys.stderr)
        raise typer.Exit(PROBLEM) from error
    except OSError as error:
        print(f"policyd: {path}: {error.strerror or error}", file=sys.stderr)
        raise typer.Exit(PROBLEM) from error
    print(f"made {path}\n")
    print(lines.format(file=path), end="")


def _write(path: Path, *, force: bool) -> None:
    """Write a new key. It ends without a newline, which Dovecot would take for a part of it."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    number = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(number, token_hex(32).encode())
        if os.geteuid() == 0:
            with suppress(LookupError):
                shutil.chown(made, group=_DAEMON)
        os.fchmod(number, _MODE)
        os.close(number)
        if force:
            made.replace(path)
        else:
            path.hardlink_to(made)  # which fails where there is one
    finally:
        made.unlink(missing_ok=True)
