"""Which programs the tests with real programs need, and what happens where one is missing."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

_DIRECTORIES = os.pathsep.join(("/usr/sbin", "/usr/bin", "/sbin", "/bin"))


def find(program: str) -> str | None:
    """Return where the system's own copy of a program is; a virtual environment is not searched."""
    return shutil.which(program, path=_DIRECTORIES)


def require(program: str, *, root: bool = False) -> str:
    """Return a program's path; where it is missing (or needs ``root``), the test cannot run.

    It is then skipped with the reason, but fails for root and in CI, where nothing may be left out.
    """
    path = find(program)
    why = ""
    if path is None:
        why = f"{program} is missing; as root, `make test` installs {_packages()}"
    elif root and os.geteuid() != 0:
        why = f"only root can start {program}; run `sudo make test`"
    if path is None or why:
        cannot_run(why)
    return path


def cannot_run(why: str) -> NoReturn:
    """Skip the test, or fail it for root and in CI, where nothing may be left out."""
    if os.geteuid() == 0 or os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def _packages() -> str:
    text = (Path(__file__).parents[1] / "debian-packages.txt").read_text()
    return " ".join(line for line in text.splitlines() if line and not line.startswith("#"))
