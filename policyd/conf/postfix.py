"""What Postfix itself knows: parameters through postconf(1), tables through postmap(1)."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from policyd.conf.values import Unfit

_PATH = os.pathsep.join(["/usr/sbin", "/usr/local/sbin", "/sbin"])
_PATIENCE = 30.0
_CURE = "write the domains to a file, one a line, and name it with file:/path"


def parameter(name: str) -> str | Unfit:
    """Return the expanded value of a main.cf parameter, or why there is none."""
    said = _run("postconf", "-xh", name)
    if isinstance(said, Unfit):
        return said
    lines = said.splitlines()
    return lines[0].strip() if lines else Unfit(f"Postfix knows no parameter {name}", "name one that postconf prints")


def table_keys(table: str) -> list[str] | Unfit:
    """Return the keys of a ``type:name`` table, or why it cannot be listed."""
    said = _run("postmap", "-s", table)
    if isinstance(said, Unfit):
        return said
    keys = (line.split(maxsplit=1) for line in said.splitlines())
    return [words[0] for words in keys if words]


def local_names() -> frozenset[str]:
    """Return this host's own names as Postfix and the system know them, in lower case.

    Where there is no Postfix the resolver is asked; that may take a while, and never fails.
    """
    names = {socket.gethostname()}
    said = _run("postconf", "-xh", "myhostname", "myorigin")
    if isinstance(said, Unfit):
        names.add(socket.getfqdn())
    else:
        names |= {_own_origin(line.strip()) for line in said.splitlines()}
    return frozenset(name.lower() for name in names if name)


def _own_origin(value: str) -> str:
    """Return a name of this host; Debian's myorigin is a file that holds it (postconf(5), myorigin)."""
    try:
        return Path(value).read_text(encoding="utf-8", errors="replace").strip() if value.startswith("/") else value
    except OSError:
        return ""


def _run(command: str, *arguments: str) -> str | Unfit:
    program = shutil.which(command) or shutil.which(command, path=_PATH)
    if program is None:
        return Unfit(f"{command} is not installed", _CURE)
    try:
        done = subprocess.run([program, *arguments], capture_output=True, check=False, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Unfit(f"{command} did not run: {error}", _CURE)
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())
        return Unfit(said or f"{command} ended with {done.returncode}", _CURE)
    return done.stdout.decode(errors="surrogateescape")
