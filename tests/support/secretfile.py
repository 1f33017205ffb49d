"""A file with a secret, as an administrator makes it."""

from pathlib import Path


def write_secret(file: Path, secret: str) -> str:
    """Write a secret that its owner and its group may read, and return its path."""
    file.touch()
    file.chmod(0o640)
    file.write_text(secret)
    return str(file)
