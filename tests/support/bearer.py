"""The token with which tests read names of customers in metrics over TCP."""

from pathlib import Path

from tests.support.secretfile import write_secret

TOKEN = "0123456789abcdef"


def token_file(directory: Path) -> str:
    """Write the token into a file of a directory, and return its path."""
    return write_secret(directory / "metrics.token", TOKEN)
