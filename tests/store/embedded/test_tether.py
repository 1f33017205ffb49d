"""A program that does not outlive the process that started it."""

import subprocess
import sys
from pathlib import Path


def test_parent_that_is_gone_already(directory: Path) -> None:
    """A child whose daemon ended before the kernel was asked does not start at all."""
    tether = Path(sys.modules["policyd.store.child"].__file__ or "").with_name("tether.py")
    made = directory / "made"

    ended_so = subprocess.run([sys.executable, "-I", "-S", str(tether), "1", "/usr/bin/touch", str(made)], check=False)

    assert ended_so.returncode == 1
    assert not made.exists()
