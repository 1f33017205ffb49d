"""Reading the files that a configuration names, with their errors as issues."""

from pathlib import Path

from policyd.conf.issues import At, Place

_LARGEST = 256 * 2**20


def read_text(path: Path, shown: str, at: At, place: Place | None = None) -> str | None:
    """Return a file's text, or None after its mistake was reported.

    The mistake stands at ``place`` (where the file is named), else at the file itself.
    """
    raw = read_bytes(path, shown, at, place)
    return None if raw is None else decoded(raw, shown, at)


def read_bytes(path: Path, shown: str, at: At, place: Place | None = None) -> bytes | None:
    """Return a file's content, or None after its mistake was reported."""
    where = place or Place(shown)
    name = f"{shown} " if place else ""
    try:
        if path.exists() and not path.is_file():
            at.report(where, f"{name}is no regular file", "name a file")
            return None
        if path.stat().st_size > _LARGEST:
            at.report(where, f"{name}has more than {_LARGEST >> 20} MiB", "name a smaller file")
            return None
        return path.read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        at.report(where, f"{name}cannot be read: {why}", "create it, or let policyd's user read it")
        return None


def decoded(raw: bytes, shown: str, at: At) -> str | None:
    """Return the text of a UTF-8 file, or None after its mistake was reported."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        at.report(
            Place(shown, line, column), f"the byte 0x{raw[error.start]:02x} is no UTF-8", "save the file as UTF-8"
        )
        return None


def beside(config: str, name: str) -> str:
    """Return a file's name as seen from the directory of the configuration file."""
    return str(Path(config).parent / name)
