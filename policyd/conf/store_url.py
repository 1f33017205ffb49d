"""What ``store.url`` may be.

    embedded
    redis://[USER@]HOST[:PORT][/DATABASE]     rediss:// by TLS, unix:///PATH by a socket
    sentinel://[USER@]HOST[:PORT],HOST[:PORT]/NAME[/DATABASE]     the master that sentinels know as NAME
    cluster://[USER@]HOST[:PORT],HOST[:PORT]                      some nodes of a cluster; the others are found

``sentinel+tls`` and ``cluster+tls`` are by TLS; its options follow behind a question mark, as for rediss://.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qs

from policyd.conf.issues import did_you_mean, shown
from policyd.conf.values import Unfit

_SCHEMES = ("redis", "rediss", "unix")
_PORT = 6379
_SEVERAL = {"sentinel": 26379, "sentinel+tls": 26379, "cluster": 6379, "cluster+tls": 6379}
"""The forms that name several hosts, each with the port that is meant when none is written."""

PATTERN = r"^(embedded|(rediss?|unix|(sentinel|cluster)(\+tls)?)://.+)$"

_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_BY_TLS = (*_FILES, "ssl_cert_reqs", "ssl_check_hostname")
_OPTIONS: dict[str, tuple[str, ...]] = {
    "redis": ("db",), "unix": ("db",), "rediss": ("db", *_BY_TLS),
    "sentinel": (), "cluster": (), "sentinel+tls": _BY_TLS, "cluster+tls": _BY_TLS,
}  # fmt: skip
"""What may stand behind the question mark."""

_SECURED = {"redis": "rediss", "sentinel": "sentinel+tls", "cluster": "cluster+tls"}

_URL = re.compile(r"([^:/?#]+)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?\Z", re.DOTALL)
_PLACE = re.compile(r"(?P<host>[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?\Z", re.ASCII)
_SOCKET = re.compile(r"(?:unix:/?|/)(?P<path>[^/?#][^?#]*)\Z", re.DOTALL)
"""A path, or a socket as ``listen`` has it."""
_HIGHEST_PORT = 65_535
_EXAMPLES = {
    "sentinel": "sentinel://host1:26379,host2:26379,host3:26379/mymaster",
    "cluster": "cluster://host1:6379,host2:6379,host3:6379",
}
_ONE_OF_ALL = (
    f"write embedded, redis://host:6379/0, rediss://host:6379/0, unix:///path, {_EXAMPLES['sentinel']} "
    f"or {_EXAMPLES['cluster']}"
)


class Several(NamedTuple):
    """A URL that names several hosts. ``name`` is the master's; ``query`` holds the options as they were written."""

    sentinels: bool
    tls: bool
    places: tuple[tuple[str, int], ...]
    user: str = ""
    name: str = ""
    database: int = 0
    query: str = ""


def store_url(written: str) -> str | Unfit:
    """Return a good ``store.url`` as it was written."""
    if written == "embedded":
        return written
    parts = split_url(written)
    options = parse_qs(parts.query, keep_blank_values=True)
    if parts.password is not None or any("password" in option for option in options):
        return Unfit(
            "a password stands in the URL, where it gets into logs",
            "put it into a file of its own and name that in store.password_file",
        )
    if parts.scheme in _SEVERAL:
        read = several(written)
        return read if isinstance(read, Unfit) else _unknown_option(parts.scheme, options) or written
    if parts.scheme not in _SCHEMES or not (parts.path if parts.scheme == "unix" else parts.hostname):
        socket = _SOCKET.match(written)
        cure = f"write {shown('unix:///' + socket['path'])}" if socket else _ONE_OF_ALL
        return Unfit(f'"{shown(written)}" is no store', cure)
    wrong = _not_single(parts, options)
    return wrong or _unknown_option(parts.scheme, options) or written


def split_url(written: str) -> SplitResult:
    """Return the parts of a URL (RFC 3986, appendix B), without a scheme when it is none.

    Where CVE-2025-0938 is mended, urlsplit() takes no IPv6 address in a list of hosts.
    """
    found = _URL.match(written)
    if found is None:
        return SplitResult("", "", written, "", "")
    scheme, *parts = found.groups(default="")
    return SplitResult(scheme.lower(), *parts)


def tls_files(written: str) -> tuple[str, ...]:
    """Return the files that the options of a good ``store.url`` name."""
    options = parse_qs(split_url(written).query)
    return tuple(file for option in _FILES for file in options.get(option, ()))


def _not_single(parts: SplitResult, options: Mapping[str, list[str]]) -> Unfit | None:
    """Return what is wrong with the URL of one server: its host, its port or its database."""
    user, at, host = parts.netloc.rpartition("@")
    database = parts.path.strip("/")
    if parts.scheme == "unix":
        if host:
            path = f"unix://{user}{at}/{host}{parts.path}"
            return Unfit(f'the path "{shown(host + parts.path)}" does not begin at /', f"write {shown(path)}")
        database = ""
    elif _place(host, _PORT) is None:
        return Unfit(f'"{shown(host)}" is no host with a port', f"write {parts.scheme}://host:{_PORT}/0")
    for number in (database, *options.get("db", ())):
        if number and not (number.isascii() and number.isdecimal()):
            example = f"unix://{parts.path}?db=0" if parts.scheme == "unix" else f"{parts.scheme}://{host}/0"
            return Unfit(f'"{shown(number)}" is no number of a database', f"write {shown(example)}")
    return None


def _unknown_option(scheme: str, options: Iterable[str]) -> Unfit | None:
    """Return what is wrong with the first option that the scheme does not know."""
    unknown = next((name for name in options if name not in _OPTIONS[scheme]), None)
    if unknown is None:
        return None
    if unknown in _BY_TLS and scheme in _SECURED:
        return Unfit(f"{unknown} is for TLS, which {scheme}:// is not", f"write {_SECURED[scheme]}://")
    return Unfit(f'"{shown(unknown)}" is no option of {scheme}://', did_you_mean(unknown, _OPTIONS[scheme]))


def several(written: str) -> Several | Unfit:
    """Return what a URL of several hosts says."""
    parts = split_url(written)
    kind, _, secured = parts.scheme.partition("+")
    user, _, hosts = parts.netloc.rpartition("@")
    example = f"write {_EXAMPLES[kind]}"
    places: list[tuple[str, int]] = []
    for one in hosts.split(","):
        place = _place(one, _SEVERAL[parts.scheme])
        if place is None:
            return Unfit(f'"{shown(one)}" is no host with a port', example)
        places.append(place)
    first, *rest = parts.path.strip("/").split("/")
    if kind == "cluster":
        if parts.path not in {"", "/", "/0"}:
            return Unfit(f'a cluster has one database, and no "{shown(parts.path)}"', example)
        return Several(False, bool(secured), tuple(places), user, query=parts.query)
    if not first:
        return Unfit("the name of the master is missing behind the sentinels", example)
    if len(rest) > 1 or not all(number.isascii() and number.isdecimal() for number in rest):
        return Unfit(f'"{shown("/".join(rest))}" is no number of a database', f"{example} or {_EXAMPLES[kind]}/0")
    return Several(True, bool(secured), tuple(places), user, first, int(rest[0]) if rest else 0, parts.query)


def _place(written: str, usual: int) -> tuple[str, int] | None:
    """Return a host and its port, the usual one when none is written; None when it is no such thing."""
    found = _PLACE.match(written)
    port = int(found["port"] or usual) if found else 0
    return (found["host"].strip("[]"), port) if found and 0 < port <= _HIGHEST_PORT else None
