"""What all commands share: exit codes, options that come again and again, how errors look."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn

import typer

from policyd.cli.client import RefusedError
from policyd.conf.units import duration
from policyd.errors import ConfigError, DaemonError, PolicydError
from policyd.printable import printable

PROBLEM = 1
USAGE = 2
UNREACHABLE = 75
"""EX_TEMPFAIL of sysexits.h: the daemon or the store cannot be reached now."""

ConfigOption = Annotated[
    str, typer.Option("--config", "-c", envvar="POLICYD_CONFIG", help="The configuration file.", metavar="FILE")
]
AdminOption = Annotated[
    str, typer.Option("--admin", envvar="POLICYD_ADMIN", help="The admin socket of the daemon.", metavar="PATH")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

CONFIG = "/etc/policyd/policyd.yaml"
ADMIN = "/run/policyd/admin.sock"


@contextmanager
def reported() -> Iterator[None]:
    """Turn our errors into one line each on stderr and the exit code that belongs to them."""
    try:
        yield
    except ConfigError as error:
        for issue in error.issues:
            print(issue, file=sys.stderr)
        raise typer.Exit(PROBLEM) from error
    except RefusedError as error:
        print(f"policyd: {error}", file=sys.stderr)
        raise typer.Exit(UNREACHABLE if error.status == 503 else PROBLEM) from error  # noqa: PLR2004
    except DaemonError as error:
        print(f"policyd: {error}", file=sys.stderr)
        raise typer.Exit(UNREACHABLE) from error
    except PolicydError as error:
        print(f"policyd: {error}", file=sys.stderr)
        raise typer.Exit(PROBLEM) from error


def usage(problem: str, cure: str) -> NoReturn:
    """Say what was written wrongly and what to write instead, and end."""
    print(f"policyd: {problem} ({cure})", file=sys.stderr)
    raise typer.Exit(USAGE)


def warn(text: str) -> None:
    """Say something beside the output."""
    print(f"policyd: {text}", file=sys.stderr)


def warn_of_a_slip(name: str, answer: Mapping[str, Any], counters: Sequence[Mapping[str, Any]]) -> None:
    """Say what speaks for a mistyped name: an account that is nobody's, or an address whose counters are empty."""
    if not answer["hosted"]:
        warn(f"{printable(answer['account'])} is not hosted here: is {printable(name)} the right name?")
    elif "@" in name and counters and not any(one["used"] or one["resumes"] for one in counters):
        warn(f"nothing was counted lately for {printable(name)}: is that the right name?")


def print_json(value: Any) -> None:  # noqa: ANN401  # any JSON
    """Print a value as JSON, one document, keys in their order."""
    print(json.dumps(value, indent=2, ensure_ascii=True))


def local_time(moment: str) -> str:
    """Return a moment in the reader's own time zone: of today to the second, of another day with its date."""
    if moment in {"", "never"}:
        return moment
    local = datetime.fromisoformat(moment).astimezone()
    today = local.date() == datetime.now(local.tzinfo).date()
    return f"{local:%H:%M:%S}" if today else f"{local:%Y-%m-%d %H:%M}"


def suspended_line(one: Mapping[str, str]) -> str:
    """Return a suspension in one line: who, until when, since when, by whom and why."""
    end = f"until {local_time(one['until'])}" if one["until"] else "until it is resumed"
    return f"{one['subject']} is suspended {end}, since {local_time(one['at'])} by {one['who']} ({one['why']})"


def moment_written(written: str) -> int:
    """Return the moment that was written, in ms since the epoch: a duration from now, or a date in local time."""
    if not written:
        return 0
    now = datetime.now(UTC)  # by the clock that the admin reads; the daemon answers with the moment
    length = duration(written)
    if length is not None:
        return int(now.timestamp() * 1000) + length
    try:
        moment = datetime.fromisoformat(written).astimezone()
    except ValueError:
        usage(f"{written!r} is no moment", "write 6h, 3d, 2026-12-24 or 2026-12-24T18:00")
    if moment <= now:
        usage(f"{written} is past", "write a moment that comes, or 6h")
    return int(moment.timestamp() * 1000)
