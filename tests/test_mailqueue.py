"""What is remembered of messages that were put on hold. Postfix's own part is in tests/e2e."""

import os
from pathlib import Path

import pytest

from policyd.errors import ToolError
from policyd.mailqueue import Held, Queued


def queued(queue_id: str, arrived: int = 1_780_000_000) -> Queued:
    """Return a message in the queue."""
    return Queued(queue_id, "deferred", arrived, "alice@example.org")


def test_what_is_added_is_remembered_until_it_is_forgotten(tmp_path: Path) -> None:
    """By another process too; each subject has its own."""
    Held(tmp_path, "example.org domain").add([queued("9723D20C994"), queued("4AB", 5)])
    Held(tmp_path, "example.org domain").add([queued("4CD", 6), queued("4AB", 7)])

    held = Held(tmp_path, "example.org domain")
    assert held.messages() == {"9723D20C994": 1_780_000_000, "4AB": 7, "4CD": 6}
    assert Held(tmp_path, "example.net domain").messages() == {}
    held.forget()
    assert held.messages() == {}


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """It is for the user who suspends: root."""
    Held(tmp_path, "example.org domain").add([queued("4AB")])

    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "held", *(tmp_path / "held").iterdir())]
    assert modes == [0o700, 0o600]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"messages": 7}', "\xff"])
def test_a_damaged_file_says_so(tmp_path: Path, text: str) -> None:
    """Nothing is released by guess."""
    held = Held(tmp_path, "example.org domain")
    held.add([queued("4AB")])
    (file,) = (tmp_path / "held").iterdir()
    file.write_text(text, "latin-1")

    with pytest.raises(ToolError, match=file.name):
        held.messages()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """The daemon's user owns the directory, and must not lead root anywhere."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "held").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ToolError, match="held"):
        Held(tmp_path, "example.org domain").add([queued("4AB")])
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_somebody_elses_directory_is_not_used(tmp_path: Path) -> None:
    """Nor is what stands in it believed."""
    held = Held(tmp_path, "example.org domain")
    held.add([queued("4AB")])
    os.chown(tmp_path / "held", 65534, 65534)

    with pytest.raises(ToolError, match="it belongs to somebody else"):
        held.messages()
