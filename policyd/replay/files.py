"""Reads the files of a rotated log: plain or gzip, in the order of time whatever their names are."""

import gzip
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import IO, NamedTuple, cast

from policyd.errors import PolicydError
from policyd.replay.lines import Lines, first_moment, parse
from policyd.replay.stamps import Stamps

Progress = Callable[[int], None]
"""Hears how many bytes of the files were read since the last time."""

_BLOCK = 1 << 20
_GZIP = b"\x1f\x8b"


class LogFileError(PolicydError):
    """Raised for a file that cannot be read."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")


class LogFile(NamedTuple):
    """One file, and how its stamps are read."""

    path: Path
    size: int
    stamps: Stamps


def in_order(paths: Sequence[Path]) -> list[LogFile]:
    """Return the files, the one with the earliest line first; files without any line of a log come last.

    Raises LogFileError.
    """
    files = [_file(path) for path in dict.fromkeys(paths)]
    return sorted(files, key=_begins)


def read(files: Sequence[LogFile], progress: Progress) -> Iterator[Lines]:
    """Yield what the lines of the files say, some at a time. Raises LogFileError."""
    for file in files:
        with _opened(file) as (stream, raw):
            rest, told = b"", 0
            while block := stream.read(_BLOCK):
                whole, _, rest = (rest + block).rpartition(b"\n")
                if len(rest) > _BLOCK:  # no line of a log is so long
                    whole, rest = rest, b""
                if whole:
                    yield _parsed(whole + b"\n", file)
                progress(raw.tell() - told)
                told = raw.tell()
            if rest:
                yield _parsed(rest, file)


def _file(path: Path) -> LogFile:
    try:
        status = path.stat()
    except OSError as error:
        raise LogFileError(path, error.strerror or str(error)) from error
    return LogFile(path, status.st_size, Stamps(datetime.fromtimestamp(status.st_mtime, UTC)))


def _begins(file: LogFile) -> float:
    with _opened(file) as (stream, _):
        first = first_moment(_text(stream.read(_BLOCK)), file.stamps)
    return float("inf") if first is None else first


@contextmanager
def _opened(file: LogFile) -> Iterator[tuple[IO[bytes], BufferedReader]]:
    """Open a file; the second stream is the one on the disk, whose place is the progress."""
    try:
        with file.path.open("rb") as raw:
            if os.fstat(raw.fileno()).st_size and raw.peek(2)[:2] == _GZIP:
                with gzip.open(raw) as unpacked:
                    yield cast("IO[bytes]", unpacked), raw
            else:
                yield raw, raw
    except (OSError, EOFError) as error:  # a gzip file that is cut raises EOFError
        raise LogFileError(file.path, str(error)) from error


def _parsed(raw: bytes, file: LogFile) -> Lines:
    return parse(_text(raw), file.stamps)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
