"""What is compared: what policyd serves, and Dovecot's configuration as its own doveconf(1) tells it.

It tells what differs from the defaults, blocks and all:

    auth_policy_server_url = http://127.0.0.1:10032/dovecot
    service anvil {
      unix_listener anvil-auth-penalty {
        mode = 0600
      }
    }

becomes the paths ``auth_policy_server_url`` and ``service anvil/unix_listener anvil-auth-penalty/mode``.
Secrets are hidden there and stay so, but for auth_policy_server_api_header, which Dovecot shows.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from policyd.conf.schema import Config, Endpoint
from policyd.errors import ToolError
from policyd.tool import run

API_HEADER = "auth_policy_server_api_header"
_HIDDEN = "#hidden_use-P_to_show#"


@dataclass(frozen=True, slots=True)
class DovecotView:
    """One Dovecot configuration.

    ``settings`` are path and value of each setting that differs from its default; blocks may come
    several times. ``api_header`` is what Dovecot makes of that setting, which may name a file.
    ``readable``: any user of the host can read the configuration file.
    """

    settings: tuple[tuple[str, str], ...]
    api_header: str
    readable: bool

    def get(self, path: str, default: str = "") -> str:
        """Return the value of a setting; the last one counts."""
        return ([default, *self.all(path)])[-1]

    def all(self, path: str) -> list[str]:
        """Return the values of a setting in all blocks of that name."""
        return [value for name, value in self.settings if name == path]


@dataclass(frozen=True, slots=True)
class Served:
    """What policyd serves Dovecot with.

    ``key`` is the key that ``key_file`` holds, "" for none. ``timeout`` is store.timeout, in ms.
    """

    endpoint: Endpoint | None
    key_file: str
    key: str
    timeout: int


def read_served(config: Config) -> Served:
    """Return what a configuration of policyd says, with the key that it names if that can be read."""
    file, key = config.listen.dovecot_key_file, ""
    with suppress(OSError):
        key = Path(file).read_text("latin-1").strip() if file else ""
    return Served(config.listen.dovecot, file, key, config.store.timeout)


def read_dovecot(file: str = "") -> DovecotView:
    """Return the configuration in a file, by default the system's own.

    Raises:
        ToolError: doveconf cannot be run or finds a mistake, or the file of the API key cannot be read.
    """
    said = run("doveconf", "-n", *(["-c", file] if file else []), where="Dovecot")
    settings = tuple(_parsed(said))
    written = dict(settings).get(API_HEADER, "")
    try:
        # As Dovecot does it: every byte of the file counts, a newline at its end too.
        header = Path(written[1:]).read_text("latin-1") if written.startswith("<") else written
        readable = bool(Path(_file(said)).stat().st_mode & 0o004)
    except OSError as error:
        raise ToolError("doveconf -n", str(error)) from error
    return DovecotView(settings, header, readable)


def _file(said: str) -> str:
    """Return the file that doveconf read: its first line is ``# 2.3.19.1 (9b53102964): FILE``."""
    return said.partition("\n")[0].rpartition(": ")[2]


def _parsed(said: str) -> Iterator[tuple[str, str]]:
    blocks: list[str] = []
    for line in map(str.strip, said.splitlines()):
        if line.endswith("{"):
            blocks.append(line[:-1].strip())
        elif line == "}":
            blocks.pop()
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield "/".join([*blocks, name.strip()]), value.strip().strip('"').replace(_HIDDEN, "")
