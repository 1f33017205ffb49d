"""The section ``mailman``: what the README shows is what is meant, and a change of it is told."""

from dataclasses import replace
from pathlib import Path

import yaml

from policyd.conf.diff import changes
from policyd.conf.load import load
from policyd.conf.software import MailmanSettings
from policyd.show import overview_lines
from tests.support.process import configuration
from tests.support.readme import blocks


def test_the_readme_has_the_section_as_it_is_meant(tmp_path: Path) -> None:
    """With what is usual; its password is a file, and shown nowhere."""
    (tmp_path / "password").write_text("secret\n")
    made = configuration("embedded", ["example.org"], {}, store={"directory": str(tmp_path)})
    made["mailman"] = yaml.safe_load(blocks("yaml rosters"))["mailman"]
    (tmp_path / "policyd.yaml").write_text(yaml.safe_dump(made))
    config = load(tmp_path / "policyd.yaml")

    url = "http://127.0.0.1:8001/3.1"
    assert config.mailman == MailmanSettings(url, "restadmin", "/etc/policyd/mailman.password", 600_000, 10_000)
    assert f"mailman   {url} as restadmin, every 10m" in overview_lines(config, 0)
    assert changes(config, replace(config, mailman=None)) == ["mailman: on -> off"]
    assert changes(config, replace(config, mailman=replace(config.mailman, every=60_000, timeout=1000))) == [
        "mailman.every: 10m -> 1m",
        "mailman.timeout: 10s -> 1s",
    ]


def test_a_slash_at_the_end_of_the_url_means_nothing(tmp_path: Path) -> None:
    """What is asked begins behind it."""
    made = configuration("embedded", ["example.org"], {}, store={"directory": str(tmp_path)})
    made["mailman"] = {"url": "http://[::1]:8001/3.1/", "password_file": "x"}
    (tmp_path / "policyd.yaml").write_text(yaml.safe_dump(made))
    found = load(tmp_path / "policyd.yaml").mailman
    assert found is not None
    assert found.url == "http://[::1]:8001/3.1"
