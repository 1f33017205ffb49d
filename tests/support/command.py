"""The installed command ``policyd``, run as a person or a script runs it."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = str(Path(sys.executable).parent / "policyd")

_UNSET = (
    *("POLICYD_ADMIN", "POLICYD_CONFIG", "STATE_DIRECTORY", "SUDO_USER"),
    *("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM"),
)


def policyd(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    kept = {name: value for name, value in os.environ.items() if name not in _UNSET}
    return subprocess.run(
        [PROGRAM, *arguments],
        env=kept | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
