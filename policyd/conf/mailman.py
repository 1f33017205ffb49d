"""The section ``mailman``: where Mailman 3 is asked for the rosters of its lists."""

import re

from policyd.conf import units
from policyd.conf.issues import shown
from policyd.conf.software import MailmanSettings
from policyd.conf.structures import Key, Values, table
from policyd.conf.values import Unfit, Value, duration, secret_file, text

_EXAMPLE = "http://127.0.0.1:8001/3.1"
_PATTERN = r"^https?://[^\s/@?#]+(/[^\s?#@]*)?$"


def _url(written: str) -> str | Unfit:
    if re.match(_PATTERN.removesuffix("$") + r"\Z", written):
        return written.rstrip("/")
    if "@" in written:  # which may be a password, so that it is not shown
        return Unfit("a URL with a user or a password", f"write {_EXAMPLE}, and user and password_file beside it")
    return Unfit(f'"{shown(written)}" is no URL of Mailman\'s REST', f"write {_EXAMPLE}")


URL = Key(
    "url",
    Value(_url, "a URL", _EXAMPLE, {"type": "string", "pattern": _PATTERN}),
    "Where Mailman 3 serves REST: [webservice] in mailman.cfg.",
    required=True,
)
USER = Key("user", text("a user", "restadmin", r"^[^\s:]+$"), "The admin_user of Mailman's REST (restadmin).")
PASSWORD_FILE = Key(
    "password_file",
    secret_file("/etc/policyd/mailman.password"),
    "The file whose first line is the admin_pass; it is read anew each time.",
    required=True,
)
EVERY = Key("every", duration("10m", units.MINUTE, units.DAY), "How often the rosters are read, 1m to 1d (10m).")
TIMEOUT = Key(
    "timeout", duration("10s", units.SECOND, units.MINUTE), "How long one answer of Mailman may take, 1s to 1m (10s)."
)

MAILMAN = table(
    URL, USER, PASSWORD_FILE, EVERY, TIMEOUT,
    example="{url: http://127.0.0.1:8001/3.1, password_file: /etc/policyd/mailman.password}",
)  # fmt: skip


def mailman(values: Values) -> MailmanSettings:
    """Return what the section says."""
    default = MailmanSettings("", "restadmin", "")
    return MailmanSettings(
        url=values.get(URL, ""),
        user=values.get(USER, default.user),
        password_file=values.get(PASSWORD_FILE, ""),
        every=values.get(EVERY, default.every),
        timeout=values.get(TIMEOUT, default.timeout),
    )
