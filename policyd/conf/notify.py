"""The section ``notify``: who is told of what happens, by mail and by a webhook."""

from policyd.conf.issues import shown
from policyd.conf.notice import Mta, NotifySettings, Webhook
from policyd.conf.structures import Key, ListOf, Values, table
from policyd.conf.values import Unfit, Value, secret_file, text, word
from policyd.event import EventKind

_HIGHEST_PORT = 65_535
_ADDRESS = r"^[^@\s]+@[^@\s]+$"


def _mta(written: str) -> Mta | Unfit:
    host, _, port = written.rpartition(":")
    if host and port.isascii() and port.isdecimal() and 0 < int(port[:6]) <= _HIGHEST_PORT:
        return Mta(host.removeprefix("[").removesuffix("]"), int(port))
    return Unfit(f'"{shown(written)}" is no host and port', "write 127.0.0.1:25")


FROM = Key("from", text("an address", "postmaster@example.net", _ADDRESS), "Who the mail is from.", required=True)
ADMIN = Key("admin", text("an address", "hostmaster@example.net", _ADDRESS), "Who is told of every account.")
SMTP = Key(
    "smtp",
    Value(_mta, "host and port", "127.0.0.1:25", {"type": "string", "pattern": r"^.+:\d+$"}),
    "The MTA that takes the mail (default: 127.0.0.1:25).",
)
URL = Key(
    "url",
    text("a URL", "https://panel.example.net/mail", r"^https?://[^\s/]+\S*$"),
    "Where events are posted as JSON.",
    required=True,
)
SECRET_FILE = Key(
    "secret_file",
    secret_file("/etc/policyd/webhook.key"),
    "The file with the secret that signs them; it is read anew for each.",
    required=True,
)
WEBHOOK = Key(
    "webhook",
    table(URL, SECRET_FILE, example="{url: https://panel.example.net/mail, secret_file: /etc/policyd/webhook.key}"),
    "A program that is told, too.",
)
EVENTS = Key(
    "events",
    ListOf(word(EventKind, "an event", "refusal"), "[near-limit, refusal, mailing-waits, suspend, resume]"),
    "What is told (near-limit, refusal, mailing-waits, suspend, resume). Of others only admin and webhook hear.",
)
TEMPLATES = Key(
    "templates",
    text("a directory", "/etc/policyd/notices"),
    "The directory with texts of your own (default: /etc/policyd/notices).",
)

NOTIFY = table(FROM, ADMIN, SMTP, WEBHOOK, EVENTS, TEMPLATES, example="{from: postmaster@example.net}")


def notify(values: Values) -> NotifySettings:
    """Return what the section says."""
    default, hook = NotifySettings(""), values.maybe(WEBHOOK)
    return NotifySettings(
        sender=values.get(FROM, ""),
        admin=values.get(ADMIN, ""),
        smtp=values.get(SMTP, default.smtp),
        webhook=None if hook is None else Webhook(hook.get(URL, ""), hook.get(SECRET_FILE, "")),
        events=frozenset(values.get(EVENTS, default.events)),
        templates=values.get(TEMPLATES, default.templates),
    )
