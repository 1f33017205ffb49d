"""A daemon that does nothing but hold an EmbeddedRedis: python holder.py DIRECTORY BINARY LOOP.

It prints the pid of each child that answers, or the error that kept it from starting. SIGTERM ends it.
"""

import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from policyd.errors import PolicydError
from policyd.store.embedded import EmbeddedRedis


def _say(what: object) -> None:
    print(what, flush=True)


async def _hold(directory: str, binary: str) -> None:
    redis, ended = EmbeddedRedis(Path(directory), binary=binary, on_up=_say), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    try:
        await redis.start()
    except PolicydError as error:
        _say(error)
        return
    await ended.wait()
    await redis.stop()


if __name__ == "__main__":
    factory = uvloop.new_event_loop if sys.argv[3] == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_hold(sys.argv[1], sys.argv[2]))
