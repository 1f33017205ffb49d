"""Runs the daemon as a process: from its start until a signal ends it."""

import asyncio
import gc
import logging
import signal
from pathlib import Path

from policyd.app import build
from policyd.conf.schema import Config, Listen

_log = logging.getLogger("policyd")


async def run(config: Config, path: Path, state_directory: str, listen: Listen) -> None:
    """Run the daemon until SIGTERM or SIGINT. SIGHUP reloads ``path``, also one that the caller has blocked.

    Raises ListenError, StateDirectoryError, StoreError when it cannot start.
    """
    app = build(config, path=path, state_directory=state_directory, listen=listen)
    loop, ending = asyncio.get_running_loop(), asyncio.Event()
    starting = loop.create_task(app.start())

    def end() -> None:
        if not ending.is_set():
            ending.set()
            starting.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, app.config.reload_soon)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    try:
        await starting
    except asyncio.CancelledError:
        _log.info("ended before it was ready")
        return
    # What is there now stays: looking through it in each full collection stalls the loop for 20 ms.
    gc.collect()
    gc.freeze()
    await ending.wait()
    _log.info("ending: what was asked is answered first")
    await app.stop()
    _log.info("ended")
