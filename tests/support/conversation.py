"""What a connection of Postfix makes of bytes."""

from policyd.errors import ProtocolError
from policyd.model import PolicyRequest
from policyd.wire.postfix import MAX_BUFFERED, PolicyConnection


def conversation(pieces: list[bytes]) -> list[PolicyRequest | str]:
    """Return what a connection makes of pieces: its requests, and the error that ends it."""
    connection = PolicyConnection()
    found: list[PolicyRequest | str] = []
    try:
        for piece in pieces:
            connection.receive(piece)
            while (one := connection.next_request()) is not None:
                found.append(one)
            assert connection.buffered <= MAX_BUFFERED
    except ProtocolError as error:
        found.append(str(error))
    return found
