"""Parsing in a child process, so that the event loop goes on meanwhile: yaml holds the GIL.

The child writes frames to its standard output: a length of 8 bytes, then a pickle. The last one is
the Config, or the issues; before it come the large maps in pieces, as ``{name of the map: part}``,
each of which the parent takes in within a millisecond or so.
"""

import asyncio
import contextlib
import os
import pickle
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import policyd
from policyd.conf.load import load
from policyd.conf.schema import Accounts, Config
from policyd.errors import ConfigError, Issue

_PIECE = 2000
_PATIENCE = 120.0
_LENGTH = 8
_MAPS = ("plans", "origins", "contacts", "aliases", "local_users", "changed")


@dataclass(slots=True)
class _Result:
    """What the child sent: the pieces so far, then the Config or the issues."""

    maps: dict[str, dict[str, object]] = field(default_factory=lambda: {name: {} for name in _MAPS})
    last: Config | tuple[Issue, ...] | None = None


async def load_in_child(path: str | Path, state_directory: str | None = None) -> Config:
    """Read a configuration as ``load`` does, in a child process.

    Raises:
        ConfigError: with all mistakes, or because the child gave no answer.

    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "policyd.conf.child", str(path), state_directory or "",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, env=_environment(),
    )  # fmt: skip
    try:
        async with asyncio.timeout(_PATIENCE):
            result = await _received(process)
            status = await process.wait()
    except TimeoutError:
        raise _failed(path, f"was not read within {_PATIENCE:g} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if isinstance(result.last, Config):
        return _joined(result.last, result.maps)
    if result.last is None:
        raise _failed(path, f"could not be read: the child process ended with {status}")
    raise ConfigError(result.last)


async def _received(process: asyncio.subprocess.Process) -> _Result:
    result = _Result()
    stream = cast("asyncio.StreamReader", process.stdout)
    while True:
        try:
            length = int.from_bytes(await stream.readexactly(_LENGTH))
            frame = pickle.loads(await stream.readexactly(length))  # noqa: S301 -- from our own child
        except asyncio.IncompleteReadError:
            return result
        if isinstance(frame, dict):
            for name, part in frame.items():
                result.maps[name].update(part)
        else:
            result.last = frame
        await asyncio.sleep(0)


def _joined(config: Config, maps: Mapping[str, dict[str, object]]) -> Config:
    return replace(config, accounts=replace(config.accounts, **maps))  # type: ignore[arg-type]  # as _frames took them


def _failed(path: str | Path, why: str) -> ConfigError:
    return ConfigError([Issue(str(path), 0, 0, "", why, "see the log of the daemon")])


def _environment() -> dict[str, str]:
    """Return the environment with this very package first on the path, whatever the current directory has."""
    package = str(Path(policyd.__file__).parent.parent)
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))}


def _frames(config: Config) -> Iterator[object]:
    for name in _MAPS:
        items = iter(getattr(config.accounts, name).items())
        while part := dict(islice(items, _PIECE)):
            yield {name: part}
    yield replace(config, accounts=_without_maps(config.accounts))


def _without_maps(accounts: Accounts) -> Accounts:
    return replace(accounts, plans={}, origins={}, contacts={}, aliases={}, local_users={}, changed={})


def _send(frame: object, pipe: BinaryIO) -> None:
    packed = pickle.dumps(frame, pickle.HIGHEST_PROTOCOL)
    pipe.write(len(packed).to_bytes(_LENGTH) + packed)


def main(arguments: list[str]) -> int:
    """Read the configuration that the arguments name, and write the frames."""
    path, state_directory = arguments
    pipe = sys.stdout.buffer
    try:
        for frame in _frames(load(path, state_directory or None)):
            _send(frame, pipe)
    except ConfigError as error:
        _send(error.issues, pipe)
    pipe.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
