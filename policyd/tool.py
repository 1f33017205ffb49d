"""Other programs that policyd asks, such as postconf(1) and doveconf(1): run once, for what they print or do."""

import os
import shutil
import subprocess

from policyd.errors import ToolError

_SYSTEM_DIRECTORIES = ("/usr/sbin", "/sbin", "/usr/local/sbin")
_PATIENCE = 30.0


def run(program: str, *arguments: str, where: str, text: str = "") -> str:
    """Return what a program prints that is given ``text``. ``where`` is what it comes with.

    Raises:
        ToolError: the program is missing, fails, or does not end.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM_DIRECTORIES])
    found = shutil.which(program, path=path)
    if found is None:
        raise ToolError(program, f"not found; run this where {where} is installed")
    command = [found, *arguments]
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        given = text.encode("utf-8", "surrogateescape")
        done = subprocess.run(
            command, input=given, capture_output=True, timeout=_PATIENCE, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(" ".join(command), str(error)) from error
    printed = done.stdout.decode("utf-8", "surrogateescape")
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        said = [line for line in lines if "backtrace" not in line]  # Dovecot's tools end with one where it is down
        raise ToolError(" ".join(command), said[-1] if said else "failed without a message", printed)
    return printed
