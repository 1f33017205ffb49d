"""``policyd serve`` and ``policyd reload``: run the daemon, and have it read its configuration again."""

import logging
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from policyd.cli.client import AdminClient
from policyd.cli.output import ADMIN, CONFIG, PROBLEM, AdminOption, ConfigOption, JsonOption, print_json, reported
from policyd.conf.listen import endpoint
from policyd.conf.load import load
from policyd.conf.schema import Endpoint
from policyd.conf.values import Unfit
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
    metrics: Annotated[
        str, typer.Option("--metrics", metavar="ADDRESS", help="Where metrics are served, instead of listen.metrics.")
    ] = "",
    admin: Annotated[
        str, typer.Option("--admin", metavar="ADDRESS", help="The admin socket, instead of listen.admin.")
    ] = "",
) -> None:
    """Run the daemon in the foreground. SIGHUP reloads the configuration, SIGTERM drains and ends.

    Sockets that systemd passes (LISTEN_FDS) are taken over where their address is one of listen. Several
    daemons may have one configuration and one socket of Postfix, each with metrics and an admin socket of its own.

    For example: policyd serve --config config/try.yaml
    """
    # Until the daemon can reload, a SIGHUP would end it; ``run`` takes the blocked one.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    # Only here, so that no other command waits half a second for the imports of a server.
    import uvloop  # noqa: PLC0415

    from policyd.running import run  # noqa: PLC0415

    setup_logging(sys.stderr)
    with reported():
        own_metrics, own_admin = _address("--metrics", metrics), _address("--admin", admin)
        loaded = load(config, state_directory or None)
        shared = loaded.listen
        listen = replace(shared, metrics=own_metrics or shared.metrics, admin=own_admin or shared.admin)
        try:
            uvloop.run(run(loaded, Path(config), state_directory or loaded.store.directory, listen))
        except StoreError as error:
            logging.getLogger("policyd").critical("%s", error)
            raise typer.Exit(PROBLEM) from error
    raise typer.Exit(os.EX_OK)


def _address(option: str, written: str) -> Endpoint | None:
    where = endpoint(written) if written else None
    if isinstance(where, Unfit):
        raise typer.BadParameter(f"{where.problem} ({where.cure})", param_hint=option)
    return where


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
