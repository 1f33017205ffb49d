"""Postfix's configuration as its own postconf(1) tells it. Reads no configuration file itself.

``postconf -x`` expands $parameters; with ``-o`` it does so as a service with these overrides sees
them, nested ones too. ``postconf -M`` and ``-P`` tell what master.cf has (postconf(1)).
"""

import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from stat import S_IMODE

from policyd.audit.lists import ALL_LISTS, asks, socket_path
from policyd.tool import run

_CHROOT, _COMMAND = 4, 7


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """One service of master.cf.

    ``host`` and ``port`` are set for type inet; port is 0 when its name is unknown here.
    ``written`` are its ``-o`` overrides as they stand there, ``settings`` all parameters that are
    in force for it, expanded.
    """

    name: str
    type: str
    program: str
    host: str
    port: int
    chroot: bool
    written: Mapping[str, str]
    settings: Mapping[str, str]

    @property
    def label(self) -> str:
        """The service as an admin knows it: ``submission (587)``, ``127.0.0.1:10027``."""
        if self.type != "inet":
            return f"{self.name}/{self.type}"
        number = str(self.port)
        return self.name if not self.port or self.name.endswith(number) else f"{self.name} ({number})"

    @property
    def loopback(self) -> bool:
        """Whether it listens on a loopback address only."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class PostfixView:
    """One Postfix configuration.

    ``main`` are all parameters of main.cf, defaults included, expanded; ``written`` those that
    main.cf sets, as they stand there. ``sockets`` has the mode of every unix socket that exists and
    that a check_policy_service names.
    """

    main: Mapping[str, str]
    written: Mapping[str, str]
    services: tuple[Service, ...]
    sockets: Mapping[str, int]

    def of_program(self, program: str) -> tuple[Service, ...]:
        """Return the services that run a program, in the order of master.cf."""
        return tuple(service for service in self.services if service.program == program)


def read_postfix(config_directory: str | None = None) -> PostfixView:
    """Return the configuration of a Postfix instance, by default the system's own.

    Raises:
        ToolError: postconf cannot be run, or finds no usable main.cf or master.cf.
    """
    ask = _Postconf(config_directory)
    main = _settings(ask("-x"))
    overrides, expanded = _overrides(ask("-P")), _overrides(ask("-P", "-x"))
    services = tuple(
        _service(ask, main, line, overrides, expanded)
        for line in ask("-M").splitlines()
        if len(line.split()) > _COMMAND
    )
    queue = main.get("queue_directory", "")
    return PostfixView(main, _settings(ask("-n")), services, dict(_modes(services, queue)))


class _Postconf:
    """Runs postconf; called with its options it returns what it prints."""

    def __init__(self, config_directory: str | None) -> None:
        self._where = ["-c", config_directory] if config_directory else []

    def __call__(self, *options: str) -> str:
        return run("postconf", *self._where, *options, where="Postfix")


def _service(
    ask: _Postconf,
    main: Mapping[str, str],
    line: str,
    overrides: Mapping[tuple[str, str], Mapping[str, str]],
    expanded: Mapping[tuple[str, str], Mapping[str, str]],
) -> Service:
    fields = line.split()
    name, type_ = fields[0], fields[1]
    written = overrides.get((name, type_), {})
    settings = main
    if written:
        options = [word for item in written.items() for word in ("-o", "=".join(item))]
        # $service_name is known to -P only, nested overrides to -o only.
        settings = {**_settings(ask("-x", *options)), **expanded.get((name, type_), {})}
    host, port = _address(name) if type_ == "inet" else ("", 0)
    program = PurePosixPath(fields[_COMMAND]).name
    return Service(name, type_, program, host, port, _chroot(fields[_CHROOT], main), written, settings)


def _address(name: str) -> tuple[str, int]:
    host, _, port = name.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if port.isascii() and port.isdigit():
        return host, int(port)
    try:
        return host, socket.getservbyname(port, "tcp")
    except OSError:
        return host, 0


def _chroot(field: str, main: Mapping[str, str]) -> bool:
    if field != "-":
        return field == "y"
    level = re.match(r"\d+", main.get("compatibility_level", "0"))
    return level is None or int(level[0]) < 1


def _settings(text: str) -> dict[str, str]:
    return dict(_pair(line) for line in text.splitlines())


def _overrides(text: str) -> dict[tuple[str, str], dict[str, str]]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for line in text.splitlines():
        place, value = _pair(line)
        name, type_, parameter = place.rsplit("/", 2)
        found.setdefault((name, type_), {})[parameter] = value
    return found


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(" =")
    return name, value.strip()


def _modes(services: tuple[Service, ...], queue: str) -> Iterator[tuple[str, int]]:
    for service in services:
        for ask in (found for name in ALL_LISTS for found in asks(service.settings, name)):
            path = socket_path(ask.entry.endpoint, queue, chroot=service.chroot)
            if service.program == "smtpd" and path:
                try:
                    yield path, S_IMODE(Path(path).stat().st_mode)
                except OSError:
                    continue
