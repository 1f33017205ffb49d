"""Files of a rotated log."""

import gzip
import os
from pathlib import Path

import pytest

from policyd.replay.files import LogFileError, in_order, read
from tests.replay.logged import START, Written


def written(path: Path, text: str) -> Path:
    """Write a file as of the log's day."""
    raw = text.encode()
    path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)
    os.utime(path, (START.timestamp(), START.timestamp() + 3600))
    return path


def test_rotation_order(tmp_path: Path) -> None:
    """The file with the earliest line comes first, whatever its name; one that is named twice is read once."""
    texts = {
        name: "\n".join(Written(name[-1], after=after).lines()) for name, after in (("a", 60), ("b", 0), ("c", 30))
    }
    plain, oldest, packed = tmp_path / "mail.log", tmp_path / "mail.log.2", tmp_path / "mail.log.1.gz"
    files = [written(plain, texts["a"]), written(oldest, texts["b"]), written(packed, texts["c"]), plain]
    empty = written(tmp_path / "mail.log.3", "")

    assert [file.path for file in in_order([empty, *files])] == [oldest, packed, plain, empty]


def test_everything_is_read(tmp_path: Path) -> None:
    """Plain and gzip files give all their lines, the last one without its newline too; progress is all bytes."""
    lines = Written("4A1").lines()
    files = in_order([written(tmp_path / "a", "\n".join(lines)), written(tmp_path / "b.gz", "\n".join(lines) + "\n")])
    told: list[int] = []
    parts = list(read(files, told.append))

    assert sum(part.total for part in parts) == 2 * len(lines)
    assert sum(len(part.events) for part in parts) == 8
    assert sum(told) == sum(file.size for file in files)


def test_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that is cut by the end of a block is whole, and one without an end is dropped as junk."""
    lines = Written("4A1").lines()
    monkeypatch.setattr("policyd.replay.files._BLOCK", 300)
    text = "\n".join([*lines[:2], "x" * 2000, *lines[2:]])
    parts = list(read(in_order([written(tmp_path / "a", text)]), lambda _: None))

    assert sum(len(part.events) for part in parts) == 4
    assert sum(part.junk for part in parts) >= 1


@pytest.mark.parametrize("name", ["nothing", "cut.gz"])
def test_what_cannot_be_read(tmp_path: Path, name: str) -> None:
    """A file that is not there, or is cut, is an error that names it."""
    if name == "cut.gz":
        (tmp_path / name).write_bytes(gzip.compress(b"x" * 1000)[:20])

    with pytest.raises(LogFileError, match=name):
        list(read(in_order([tmp_path / name]), lambda _: None))
