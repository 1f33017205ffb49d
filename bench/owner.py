"""What it costs to learn which Unix user has opened a connection.

    python -m bench.owner

Microseconds, the best of several passes. The kernel is asked once for each message of a local sender
without a login; the more connections it has, the longer a look through all of them would take.
"""

import resource
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from policyd.clock import SystemClock
from policyd.model import PolicyRequest
from policyd.owner import Kernel, Owners

PASSES, ROUNDS = 7, 5000
CONNECTIONS = (1, 100, 5000)


Step = Callable[[int], object]
HOST = "mx.host.test"


def best(made: Callable[[], Step]) -> float:
    """Return the microseconds of one call of a step, made anew for each of several passes, from the fastest."""
    fastest = float("inf")
    for _ in range(PASSES):
        step, begun = made(), time.perf_counter()
        for number in range(ROUNDS):
            step(number)
        fastest = min(fastest, time.perf_counter() - begun)
    return fastest / ROUNDS * 1e6


def asked(client: socket.socket, instance: str) -> PolicyRequest:
    """Return a recipient of a message that came over a connection."""
    here, there = client.getsockname(), client.getpeername()
    return PolicyRequest(
        "RCPT", here[0], here[1], there[0], there[1], "a@example.org", "x@remote.test", 0, "", instance, 0, "", ""
    )


def owner(kernel: Kernel) -> Callable[[PolicyRequest], str]:
    """Return what says who sends, with nothing remembered yet."""
    return partial(Owners(kernel.owning, SystemClock()).user, HOST)


def _nth(asking: Callable[[PolicyRequest], str], messages: list[PolicyRequest], number: int) -> str:
    return asking(messages[number])


def _same(asking: Callable[[PolicyRequest], str], message: PolicyRequest, _number: int) -> str:
    return asking(message)


def measure(family: socket.AddressFamily, address: str, connections: int) -> None:
    """Print what it costs while so many connections are open."""
    with ExitStack() as opened:
        server = opened.enter_context(socket.create_server((address, 0), family=family, backlog=4096))
        for _ in range(connections):
            client = opened.enter_context(socket.socket(family))
            client.connect(server.getsockname())
            opened.enter_context(server.accept()[0])
        kernel = Kernel()
        opened.callback(kernel.close)
        messages = [asked(client, f"43ac.6b025c8e.6a03a.{number}") for number in range(ROUNDS)]
        one, ends = messages[0], messages[0][1:5]
        assert owner(kernel)(one)
        question = best(lambda: lambda _: kernel.owning(*ends))
        first = best(lambda: partial(_nth, owner(kernel), messages))
        again = best(lambda: partial(_same, owner(kernel), one))
        print(f"{question:8.2f} {first:18.2f} {again:14.2f}   {family.name[3:]} with {connections} connections")


def main() -> None:
    """Measure both families."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    print("question   first recipient   another one   (us)")
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        for connections in CONNECTIONS:
            measure(family, address, connections)


if __name__ == "__main__":
    main()
