"""What the tests of the audit share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postfix_lab import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Return a Postfix configuration of the test's own."""
    directory = Path(tempfile.mkdtemp(prefix="pd", dir="/tmp"))
    yield Lab(directory)
    shutil.rmtree(directory)
