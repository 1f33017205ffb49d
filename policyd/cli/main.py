"""The command ``policyd``: its commands by name, nothing else."""

from typing import Annotated

import typer

from policyd import __version__
from policyd.cli import (
    config,
    daemon,
    dns,
    events,
    explain,
    key,
    lists,
    mailboxes,
    query,
    raises,
    replay,
    reset,
    status,
    suspend,
    version,
)

app = typer.Typer(
    name="policyd",
    help="Enforces a mail provider's published terms for Postfix and Dovecot.",
    epilog="Exit codes: 0 fine, 1 a problem was found, 2 usage, 75 the daemon or the store cannot be reached.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(daemon.serve)
app.command()(daemon.reload)
app.command()(query.query)
app.command()(status.status)
app.command()(events.events)
app.command()(explain.explain)
app.command()(reset.reset)
app.command("init-key")(key.init_key)
app.command()(lists.lists)
app.command()(mailboxes.mailboxes)
app.command("raise")(raises.raise_)
app.command()(suspend.suspend)
app.command()(suspend.resume)
app.command("replay")(replay.replay_)
app.command()(version.version)
app.add_typer(config.app, name="config")
app.add_typer(dns.app, name="dns")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"policyd {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Enforces a mail provider's published terms for Postfix and Dovecot."""


def main() -> None:
    """Run the command line."""
    app()
