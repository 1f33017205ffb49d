"""The words of a notice: a template, filled in; and the same event as JSON, signed."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from importlib.resources import files
from pathlib import Path
from string import Template

from policyd.event import Event
from policyd.policy.decide import moment

_SUBJECT = "Subject:"


def template(directory: str, name: str) -> str:
    """Return the admin's own text of that name, or the one that comes with policyd."""
    own = Path(directory) / f"{name}.txt"
    if own.is_file():
        return own.read_text("utf-8")
    return (files("policyd.notices") / "templates" / f"{name}.txt").read_text("utf-8")


def letter(text: str, event: Event, sender: str, recipient: str) -> EmailMessage:
    """Return the mail that a template makes of an event; its first line is the subject."""
    first, _, body = Template(text).safe_substitute(fields(event)).partition("\n")
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"] = sender, recipient
    message["Subject"] = " ".join(first.removeprefix(_SUBJECT).split())
    message["Date"] = format_datetime(datetime.fromtimestamp(event.at / 1000, UTC))
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body.lstrip("\n"), charset="utf-8")
    return message


def fields(event: Event) -> dict[str, str]:
    """Return what a template may name, and what a webhook is told."""
    return {
        **{name: str(value) or "-" for name, value in event._asdict().items() if name != "at"},
        "when": moment(event.at),
    }


def body(event: Event) -> bytes:
    """Return what is posted to a webhook."""
    return json.dumps(fields(event), sort_keys=True).encode("ascii")


def signature(secret: str, posted: bytes) -> str:
    """Return the value of the header X-Policyd-Signature."""
    return "sha256=" + hmac.new(secret.encode(), posted, hashlib.sha256).hexdigest()
