"""The manual pages: one for each command, and one for the configuration."""

import subprocess
from pathlib import Path

import pytest

from policyd.cli.man import main, pages
from tests.support.programs import require

PAGES = pages()


def shown(directory: Path, name: str) -> subprocess.CompletedProcess[str]:
    """Return a page as man(1) shows it, with what roff has to say against it."""
    main(str(directory))
    return subprocess.run(
        [require("man"), "--warnings=w", "--pager=cat", "--local-file", str(directory / name)],
        env={"LC_ALL": "C.UTF-8", "MANWIDTH": "80", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.parametrize("name", sorted(PAGES))
def test_roff_finds_no_fault(name: str, tmp_path: Path) -> None:
    """Each page formats without a warning."""
    assert shown(tmp_path, name).stderr == ""


def test_a_page_says_what_the_help_says(tmp_path: Path) -> None:
    """Its one line, its options with their values, its examples."""
    text = shown(tmp_path, "policyd-dns-check.8").stdout

    assert "policyd-dns-check - Look up whether mail for hosted domains comes here" in " ".join(text.split())
    assert "\n       policyd dns check [OPTIONS] [DOMAIN]\n" in text
    assert "\n       --config, -c FILE\n" in text
    assert "\n         policyd dns check example.org --json\n" in text


def test_the_overview_leads_to_every_command(tmp_path: Path) -> None:
    """No page is left out of policyd(8)."""
    text = " ".join(shown(tmp_path, "policyd.8").stdout.split())

    commands = {name.removesuffix(".8") for name in PAGES if name.startswith("policyd-")}

    assert len(commands) > 15
    assert [name for name in commands if f"{name}(8)" not in text] == []


def test_every_key_has_its_place_in_the_page_of_the_configuration(tmp_path: Path) -> None:
    """By its whole name."""
    lines = shown(tmp_path, "policyd.yaml.5").stdout.splitlines()
    names = {line.split()[0] for line in lines if line.startswith("       ") and line[7:8] != " "}

    assert {"mode", "listen.postfix", "limits.NAME.max", "accounts.domains.DOMAIN.plan", "dns.senders"} <= names


def test_nothing_in_a_text_commands_roff() -> None:
    """A line that begins with a dot, a backslash, and hyphens that are options."""
    everything = "\n".join(PAGES.values())

    assert r"\-\-json" in everything
    assert not [line for line in everything.splitlines() if line.startswith("'")]
