"""The section ``notify``: what the README shows is what is meant, and a change of it is told."""

from dataclasses import replace
from pathlib import Path

import yaml

from policyd.conf.diff import changes
from policyd.conf.load import load
from policyd.conf.notice import TO_CUSTOMERS, Mta, NotifySettings, Webhook
from policyd.event import EventKind
from tests.support.process import configuration
from tests.support.readme import blocks

TRAP = frozenset({EventKind.TRAP})


def test_the_readme_has_the_section_as_it_is_meant(tmp_path: Path) -> None:
    """The contact, the addresses, the local MTA by default, and the four events that a customer hears of."""
    made = configuration("embedded", ["example.org"], {}, store={"directory": str(tmp_path)})
    shown = yaml.safe_load(blocks("yaml notices"))
    shown["accounts"]["domains"]["example.net"]["plan"] = "shared"
    made["notify"] = shown["notify"]
    made["accounts"]["domains"] |= shown["accounts"]["domains"]
    (tmp_path / "policyd.yaml").write_text(yaml.safe_dump(made))
    config = load(tmp_path / "policyd.yaml")

    assert config.accounts.contacts == {"example.net": "owner@example.net"}
    assert config.notify == NotifySettings(
        sender="postmaster@example.net",
        admin="hostmaster@example.net",
        smtp=Mta("127.0.0.1", 25),
        webhook=Webhook("https://panel.example.net/mail", "/etc/policyd/webhook.key"),
        events=TO_CUSTOMERS,
    )
    assert changes(config, replace(config, notify=None)) == ["notify: on -> off"]


def test_a_change_is_told_key_by_key(tmp_path: Path) -> None:
    """Each key with its old and its new value."""
    made = configuration("embedded", ["example.org"], {}, store={"directory": str(tmp_path)})
    made["notify"] = {"from": "p@example.net", "events": ["refusal"], "smtp": "[::1]:2525"}
    (tmp_path / "policyd.yaml").write_text(yaml.safe_dump(made))
    old = load(tmp_path / "policyd.yaml")
    assert old.notify is not None
    given = NotifySettings("q@example.net", webhook=Webhook("https://panel.example.net/", "key"), events=TRAP)
    new = replace(old, notify=given)

    assert old.notify.smtp == Mta("::1", 2525)
    assert changes(old, new) == [
        "notify.from: p@example.net -> q@example.net",
        "notify.smtp: ::1:2525 -> 127.0.0.1:25",
        "notify.webhook: - -> https://panel.example.net/",
        "notify.events: [refusal] -> [trap]",
    ]
