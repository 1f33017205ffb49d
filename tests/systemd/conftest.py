"""What tests of the units share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """Return a directory whose path leaves room for the name of a unix socket."""
    directory = Path(tempfile.mkdtemp(prefix="pd", dir="/tmp"))
    yield directory
    shutil.rmtree(directory)
