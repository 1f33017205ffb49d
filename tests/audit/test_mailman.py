"""``policyd config check --mailman``: the rosters are read once, and what is wrong is said with its cure."""

import asyncio
from pathlib import Path

import pytest
import yaml

from tests.support.command import policyd
from tests.support.process import configuration
from tests.support.roster import PASSWORD, USER, FakeMailman
from tests.support.secretfile import write_secret


def checked(directory: Path, fake: FakeMailman | None, user: str = USER) -> tuple[int, list[str]]:
    """Return exit code and lines of the check, under a file that names Mailman unless there is none."""
    write_secret(directory / "password", PASSWORD)
    made = configuration("embedded", ["example.org"], {}, store={"directory": str(directory)})

    def run(url: str) -> tuple[int, list[str]]:
        if fake is not None:
            made["mailman"] = {"url": url, "user": user, "password_file": str(directory / "password")}
        (directory / "policyd.yaml").write_text(yaml.safe_dump(made))
        done = policyd("config", "check", "--mailman", POLICYD_CONFIG=str(directory / "policyd.yaml"))
        assert PASSWORD not in done.stdout + done.stderr
        return done.returncode, done.stdout.splitlines()

    return (fake or FakeMailman()).run(lambda url: asyncio.to_thread(run, url))


def test_what_mailman_says_is_noted(tmp_path: Path) -> None:
    """How many lists there are, and which let people in without confirmation."""
    lists = {"news@example.org": 901, "open@example.org": 3}
    code, lines = checked(tmp_path, FakeMailman(lists, {"open.example.org": "moderate"}))

    assert code == 0
    assert lines[-2:] == [
        "note: Mailman says how large its lists are: 2 lists",
        (
            "note: open@example.org lets people in without confirmation (subscription_policy moderate in Mailman; "
            "confirm is double opt-in)"
        ),
    ]


@pytest.mark.parametrize(
    ("fake", "problem", "cure"),
    [
        (FakeMailman(), "user or password is wrong", "# correct mailman.user and mailman.password_file: they are"),
        (None, "error: mailman: no Mailman is named, so no roster is read", "# policyd.yaml"),
    ],
    ids=["wrong login", "no section"],
)
def test_what_is_wrong_is_said_with_its_cure(tmp_path: Path, fake: FakeMailman | None, problem: str, cure: str) -> None:
    """The exit code says it, too."""
    code, lines = checked(tmp_path, fake, user="somebody")

    assert code == 1
    at = next(number for number, line in enumerate(lines) if problem in line)
    assert lines[at + 1] == "write:"
    assert lines[at + 2].startswith(cure)
