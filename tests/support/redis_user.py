"""The user that the README makes in Redis for policyd."""

from tests.support.readme import blocks
from tests.support.redis import RedisServer

PASSWORD = "secret"


def grant(server: RedisServer) -> None:
    """Make the user, with PASSWORD in place of the README's."""
    words = blocks("redis user").replace("PASSWORD", PASSWORD).split()
    with server.client() as client:
        client.execute_command(*words)
