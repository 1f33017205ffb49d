"""The token with which tests read names of customers in metrics over TCP."""

from pathlib import Path

TOKEN = "0123456789abcdef"


def token_file(directory: Path) -> str:
    """Write the token into a file of a directory, and return its path."""
    file = directory / "metrics.token"
    file.write_text(TOKEN)
    file.chmod(0o640)
    return str(file)
