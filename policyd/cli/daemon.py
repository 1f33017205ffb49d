"""``policyd serve`` and ``policyd reload``: run the daemon, and have it read its configuration again."""

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from policyd.cli.client import AdminClient
from policyd.cli.output import ADMIN, CONFIG, PROBLEM, AdminOption, ConfigOption, JsonOption, print_json, reported
from policyd.conf.load import load
from policyd.errors import StoreError
from policyd.log import setup_logging


def serve(
    config: ConfigOption = CONFIG,
    state_directory: Annotated[
        str,
        typer.Option(
            "--state-directory",
            envvar="STATE_DIRECTORY",
            metavar="DIR",
            help="The state directory, instead of store.directory.",
        ),
    ] = "",
) -> None:
    """Run the daemon in the foreground. SIGHUP reloads the configuration, SIGTERM drains and ends.

    Sockets that systemd passes (LISTEN_FDS) are taken over where their address is one of listen.

    For example: policyd serve --config config/try.yaml
    """
    # Until the daemon can reload, a SIGHUP would end it; ``run`` takes the blocked one.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    # Only here, so that no other command waits half a second for the imports of a server.
    import uvloop  # noqa: PLC0415

    from policyd.running import run  # noqa: PLC0415

    setup_logging(sys.stderr)
    with reported():
        loaded = load(config, state_directory or None)
        try:
            uvloop.run(run(loaded, Path(config), state_directory or loaded.store.directory))
        except StoreError as error:
            logging.getLogger("policyd").critical("%s", error)
            raise typer.Exit(PROBLEM) from error
    raise typer.Exit(os.EX_OK)


def reload(admin: AdminOption = ADMIN, json: JsonOption = False) -> None:
    """Have the daemon read its configuration again; print what changed, or what is wrong with it.

    The same as SIGHUP, with an answer. A mistake changes nothing, one in an included file only that
    file; the exit code is 1 then. What listen and store say changes at a restart only. Who uses more
    already than a lowered limit allows is shown, too.

    For example: policyd config check && policyd reload
    """
    with reported():
        answer = AdminClient(admin).post("/v1/reload")
    if json:
        print_json(answer)
    else:
        lines = [line for part in ("issues", "warnings", "changes", "over") for line in answer[part]]
        for line in lines or ["nothing changed"]:
            print(line)
    if answer["issues"]:
        raise typer.Exit(PROBLEM)
