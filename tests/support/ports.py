"""Loopback ports for programs that cannot be told to choose one by themselves."""

import random
import socket

_LOWEST, _HIGHEST = 20_000, 32_000  # below the kernel's own range, so that no client's end is met


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port on which nothing listens.

    The trial bind has no SO_REUSEPORT, which Postfix sets: two instances on one port would share
    its connections without any error.
    """
    while True:
        port = random.randint(_LOWEST, _HIGHEST)
        with socket.socket() as trial:
            try:
                trial.bind((address, port))
            except OSError:
                continue
            return port
