"""The static sections: where policyd listens, and how it reaches the store.

Relative paths in these two sections are taken from the current directory, so that a checkout can
run as it is; all other files are named from the directory of the configuration file.
"""

import re
from dataclasses import replace

from policyd.conf import units
from policyd.conf.away import WhenDown
from policyd.conf.issues import At, shown
from policyd.conf.schema import Endpoint, Listen, StoreSettings
from policyd.conf.store_url import PATTERN as _STORE_PATTERN
from policyd.conf.store_url import store_url
from policyd.conf.structures import Key, ListOf, Values, table
from policyd.conf.values import (
    Placed,
    Spot,
    Unfit,
    Value,
    duration,
    file_mode,
    flag,
    or_null,
    secret_file,
    text,
    whole_number,
    word,
)

_LONGEST_PATH = 107
_HOST = re.compile(r"[A-Za-z0-9_.-]{1,253}\Z|\[[0-9A-Fa-f:.]+\]\Z")
_HIGHEST_PORT = 65_535
_MOST_CONNECTIONS = 65_535


def endpoint(written: str) -> Endpoint | Unfit:
    """Return the endpoint of ``unix:PATH`` or ``host:port``."""
    if written.startswith("unix:"):
        path = written.removeprefix("unix:")
        if not path or path.endswith("/"):
            return Unfit(f'"{shown(written)}" names no socket', "write unix:/run/policyd/NAME")
        if len(path.encode()) > _LONGEST_PATH:
            return Unfit(
                f"the path has more than {_LONGEST_PATH} bytes", "choose a shorter path; the system takes no longer one"
            )
        return Endpoint(path=path)
    host, _, port = written.rpartition(":")
    if not _HOST.match(host) or not re.match(r"[0-9]{1,5}\Z", port, re.ASCII) or int(port) > _HIGHEST_PORT:
        return Unfit(f'"{shown(written)}" is no address to listen on', _address_cure(written))
    return Endpoint(host=host.strip("[]"), port=int(port))


def _address_cure(written: str) -> str:
    if written.startswith("/"):
        return f"write unix:{written}"
    return f"write 127.0.0.1:{written}" if written.isdecimal() else "write unix:/path, 127.0.0.1:10031 or [::1]:10031"


def _connections(written: str) -> int | Unfit:
    number = whole_number(written)
    if isinstance(number, Unfit) or 1 <= number <= _MOST_CONNECTIONS:
        return number
    return Unfit(f"{written} is out of bounds", f"write 1 to {_MOST_CONNECTIONS}")


_NO_ENDPOINT = Endpoint()
_PATTERN = r"^(unix:.+|.+:[0-9]{1,5})$"
_ENDPOINT = Value(
    endpoint, "an address", "unix:/var/spool/postfix/policyd/policy", {"type": "string", "pattern": _PATTERN}
)
_TCP_EXAMPLE = Value(
    endpoint, "an address", "127.0.0.1:9932", {"type": "string", "pattern": _PATTERN}, null=_NO_ENDPOINT
)
_DOVECOT_EXAMPLE = replace(_TCP_EXAMPLE, example="127.0.0.1:10032")
_UNIX_EXAMPLE = Value(
    endpoint,
    "an address",
    "unix:/run/policyd/admin.sock",
    {"type": "string", "pattern": "^unix:.+$"},
    null=_NO_ENDPOINT,
)

POSTFIX = Key(
    "postfix",
    ListOf(Spot(_ENDPOINT), '["unix:/var/spool/postfix/policyd/policy"]', at_least=1),
    "Where Postfix asks: unix:/path, or host:port together with trust_tcp. Port 0 takes any free one.",
    required=True,
)
POSTFIX_MODE = Key("postfix_mode", file_mode(), 'The mode of the unix sockets for Postfix, "0660".')
POSTFIX_GROUP = Key(
    "postfix_group", text("the name of a group", "postfix"), "The group of the unix sockets for Postfix."
)
TRUST_TCP = Key(
    "trust_tcp", flag(), "Whether TCP clients are believed: whoever reaches the port can spend for any customer."
)
POLICY_TIMEOUT = Key(
    "policy_timeout",
    duration("45s", units.SECOND, units.HOUR),
    "The timeout= of the check_policy_service entries in Postfix (its default is 100s).",
)
MAX_CONNECTIONS = Key(
    "max_connections",
    Value(_connections, "a number", "4096", {"type": "integer", "minimum": 1, "maximum": _MOST_CONNECTIONS}),
    "How many connections of Postfix may be open at once, and at most half of the daemon's open files.",
)
METRICS = Key("metrics", Spot(_TCP_EXAMPLE), "Where /metrics, /livez and /readyz are served.")
ADMIN = Key("admin", Spot(_UNIX_EXAMPLE), "The unix socket that the policyd commands speak to.")
DOVECOT = Key("dovecot", Spot(_DOVECOT_EXAMPLE), "Where Dovecot asks about logins; needs dovecot_key_file.")
_FILE_OR_NONE: Value[str] = or_null(secret_file("/etc/policyd/redis.password"), "")
_KEY_FILE: Value[str] = or_null(secret_file("/etc/policyd/dovecot.key"), "")
_TOKEN_FILE: Value[str] = or_null(secret_file("/etc/policyd/metrics.token"), "")
DOVECOT_KEY_FILE = Key(
    "dovecot_key_file", _KEY_FILE, "A file that holds the key which Dovecot shows (policyd init-key makes it)."
)
METRICS_TOKEN_FILE = Key(
    "metrics_token_file",
    _TOKEN_FILE,
    "A file that holds the token which who reads /metrics shows; without it a TCP listener names no customers.",
)

LISTEN = table(
    POSTFIX, POSTFIX_MODE, POSTFIX_GROUP, TRUST_TCP, POLICY_TIMEOUT, MAX_CONNECTIONS, METRICS, ADMIN, DOVECOT,
    DOVECOT_KEY_FILE, METRICS_TOKEN_FILE,
    example='{postfix: ["unix:/var/spool/postfix/policyd/policy"]}',
)  # fmt: skip

URL = Key(
    "url",
    Value(store_url, "a store", "embedded", {"type": "string", "pattern": _STORE_PATTERN}),
    "embedded (a private redis-server), redis://, rediss:// or unix:// of one that you run, "
    "or sentinel:// or cluster:// of several.",
)
PASSWORD_FILE = Key(
    "password_file",
    _FILE_OR_NONE,
    "A file that holds the password of the store; it is read anew for each connection.",
)
SENTINEL_PASSWORD_FILE = Key(
    "sentinel_password_file",
    _FILE_OR_NONE,
    "A file that holds the password of the sentinels, where they have one; it is read anew, too.",
)
DIRECTORY = Key("directory", text("a directory", "/var/lib/policyd"), "The state directory.")
TIMEOUT = Key("timeout", duration("250ms", 5, 10 * units.SECOND), "How long one call of the store may take.")
WHEN_DOWN = Key(
    "when_down",
    word(WhenDown, "what to do without a store", "accept"),
    "What is answered while the store is down: accept (no limit), defer (mail waits), local (count in memory).",
)

STORE = table(URL, PASSWORD_FILE, SENTINEL_PASSWORD_FILE, DIRECTORY, TIMEOUT, WHEN_DOWN, example="{url: embedded}")


def listen(values: Values, at: At) -> Listen:
    """Return the listeners; TCP without trust and one address for two services are reported."""
    postfix = values.get(POSTFIX, ())
    metrics = values.maybe(METRICS)
    admin = values.maybe(ADMIN)
    dovecot = values.maybe(DOVECOT)
    trusted = values.get(TRUST_TCP, False)
    if not trusted and TRUST_TCP.name not in values.flawed:
        _report_tcp(postfix, at)
    if admin is not None and admin.value.host:
        at.key("admin").report(admin.place, "the admin socket is a unix socket only", f"write {_UNIX_EXAMPLE.example}")
    named = [(f"postfix[{index}]", spot) for index, spot in enumerate(postfix)]
    _report_shared([*named, ("metrics", metrics), ("admin", admin), ("dovecot", dovecot)], at)
    key_file = _key_file(values, at)
    default = Listen()
    return Listen(
        postfix=tuple(spot.value for spot in postfix),
        postfix_mode=values.get(POSTFIX_MODE, default.postfix_mode),
        postfix_group=values.get(POSTFIX_GROUP, default.postfix_group),
        trust_tcp=trusted,
        policy_timeout=values.get(POLICY_TIMEOUT, default.policy_timeout),
        max_connections=values.get(MAX_CONNECTIONS, default.max_connections),
        metrics=_written(metrics),
        admin=_written(admin),
        dovecot=_written(dovecot),
        dovecot_key_file=key_file,
        metrics_token_file=values.get(METRICS_TOKEN_FILE, default.metrics_token_file),
    )


def store(values: Values, at: At) -> StoreSettings:
    """Return how the store is reached; a password that nobody asks for is reported."""
    default = StoreSettings()
    url = values.get(URL, default.url)
    if URL.name not in values.flawed:
        _report_unused_passwords(values, at, url)
    return StoreSettings(
        url=url,
        password_file=values.get(PASSWORD_FILE, default.password_file),
        sentinel_password_file=values.get(SENTINEL_PASSWORD_FILE, default.sentinel_password_file),
        directory=values.get(DIRECTORY, default.directory),
        timeout=values.get(TIMEOUT, default.timeout),
        when_down=values.get(WHEN_DOWN, default.when_down),
    )


def _report_unused_passwords(values: Values, at: At, url: str) -> None:
    """Report the password files that the store of ``url`` has no use for."""
    if url == "embedded" and values.get(PASSWORD_FILE, ""):
        problem, cure = "the embedded store has no password", "remove it, or write the url: of a Redis"
        at.key(PASSWORD_FILE.name).report(values.place_of(PASSWORD_FILE), problem, cure)
    if not url.startswith("sentinel") and values.get(SENTINEL_PASSWORD_FILE, ""):
        problem, cure = "store.url names no sentinels, and this is their password", "remove it, or write password_file:"
        at.key(SENTINEL_PASSWORD_FILE.name).report(values.place_of(SENTINEL_PASSWORD_FILE), problem, cure)


def _written(spot: Placed[Endpoint] | None) -> Endpoint | None:
    return None if spot is None or spot.value == _NO_ENDPOINT else spot.value


def _key_file(values: Values, at: At) -> str:
    """Return where the key of Dovecot is; the listener and its key go together."""
    dovecot, name = values.maybe(DOVECOT), values.get(DOVECOT_KEY_FILE, "")
    if {DOVECOT.name, DOVECOT_KEY_FILE.name} & values.flawed or bool(name) is (_written(dovecot) is not None):
        return name
    if dovecot is not None and not name:
        problem = "without a key, every program of this host could lock a mailbox"
        at.key("dovecot").report(dovecot.place, problem, f"write dovecot_key_file: {_KEY_FILE.example} too")
    elif name:
        problem = "there is a key, and no listener that asks for it"
        place, cure = values.place_of(DOVECOT_KEY_FILE), f"write dovecot: {_DOVECOT_EXAMPLE.example} too"
        at.key("dovecot_key_file").report(place, problem, cure)
    return name


def _report_tcp(postfix: tuple[Placed[Endpoint], ...], at: At) -> None:
    for index, (address, place) in enumerate(postfix):
        if address.host:
            problem = "whoever reaches a TCP port can spend for any customer"
            cure = "listen on a unix socket, or write trust_tcp: true if only Postfix reaches the port"
            at.key("postfix").item(index).report(place, problem, cure)


def _report_shared(named: list[tuple[str, Placed[Endpoint] | None]], at: At) -> None:
    seen: dict[Endpoint, str] = {}
    for name, spot in named:
        if spot is None or spot.value == _NO_ENDPOINT or (spot.value.host and not spot.value.port):
            continue
        if spot.value in seen:
            here = At(at.issues, f"{at.path}.{name}")
            here.report(
                spot.place,
                f"{spot.value} is taken by {at.path}.{seen[spot.value]} already",
                "give each its own address",
            )
        seen.setdefault(spot.value, name)
