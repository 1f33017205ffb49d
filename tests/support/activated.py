"""A program that systemd starts for a socket: it accepts all mail until it gets SIGTERM, then drains."""

import asyncio
import os
import signal
import sys

import uvloop

from policyd.clock import SystemClock
from policyd.conf.schema import Endpoint
from policyd.server.activation import passed_sockets
from policyd.server.listen import Wanted, open_listeners
from policyd.server.postfix import PostfixServer
from tests.support.policyserver import ACCEPT, LOCAL_HOST, HeldDecider


async def main(path: str) -> None:
    """Serve the socket that was passed for ``path``."""
    (listener,) = open_listeners([Wanted(Endpoint(path=path))], passed_sockets(os.environ, os.getpid()))
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    server = PostfixServer(HeldDecider(lambda _: ACCEPT), SystemClock(), LOCAL_HOST)
    await server.serve(listener.sockets)
    await ending.wait()
    await server.drain(5_000)
    listener.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
