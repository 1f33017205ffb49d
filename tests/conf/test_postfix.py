"""What a real Postfix says through postconf and postmap."""

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from policyd.conf import postfix
from policyd.conf.values import Unfit
from tests.support.configs import loaded, problems

pytestmark = pytest.mark.e2e


@pytest.fixture
def main_cf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the main.cf that postconf and postmap read in this test."""
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))
    (tmp_path / "master.cf").touch()
    path = tmp_path / "main.cf"
    path.write_text("myhostname = Mail.Example.Net\nmyorigin = $mydomain\n")
    return path


def write(main_cf: Path, *lines: str) -> None:
    """Add lines to main.cf."""
    with main_cf.open("a") as file:
        file.write("\n".join(lines) + "\n")


def test_a_parameter_lists_domains_files_and_tables(main_cf: Path) -> None:
    """As Postfix reads it: names, a file's lines, a table's keys. Names without a dot are this host's."""
    directory = main_cf.parent
    (directory / "vhosts").write_text("# customers\nB.example\nc.example # new\n")
    (directory / "vmap").write_text("d.example OK\nd.example2 d.example/\n")
    subprocess.run(["postmap", f"hash:{directory}/vmap"], check=True)
    write(main_cf, f"virtual_mailbox_domains = a.example, localhost,$mydomain {directory}/vhosts hash:{directory}/vmap")

    config = loaded(directory, 'hosted: ["postfix:virtual_mailbox_domains"]')

    names = ["a.example", "example.net", "b.example", "c.example", "d.example", "d.example2"]
    assert sorted(config.accounts.plans) == sorted(names)
    assert config.accounts.origins["d.example"] == "postfix:virtual_mailbox_domains"
    assert set(config.files[1:]) == {f"{directory}/vhosts", f"{directory}/vmap"}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("static:all", "is not supported"),
        ("!a.example", "policyd does not know what that leaves"),
        ("hash:/nowhere/map", "No such file or directory"),
    ],
)
def test_what_cannot_be_listed_says_what_to_do_instead(value: str, told: str, main_cf: Path) -> None:
    """A file of domains always works."""
    write(main_cf, f"relay_domains = {value}")

    (line,) = problems(main_cf.parent, 'hosted: ["postfix:relay_domains"]')

    assert line.startswith(f"policyd.yaml:5:76: accounts.hosted: relay_domains has {value}: ")
    assert told in line
    assert line.endswith("(write the domains to a file, one a line, and name it with file:/path)")


def test_a_file_that_a_parameter_names_must_be_there(main_cf: Path) -> None:
    """As for any other file."""
    write(main_cf, "relay_domains = /nowhere/domains")

    (line,) = problems(main_cf.parent, 'hosted: ["postfix:relay_domains"]')

    assert "/nowhere/domains cannot be read: No such file or directory" in line


def test_an_unknown_parameter_is_an_issue(main_cf: Path) -> None:
    """It is no empty list."""
    (line,) = problems(main_cf.parent, 'hosted: ["postfix:virtual_domains"]')

    assert "Postfix knows no parameter virtual_domains" in line


def test_an_empty_parameter_is_no_mistake(main_cf: Path) -> None:
    """A Postfix without such domains hosts none."""
    write(main_cf, "relay_domains =")

    assert loaded(main_cf.parent, 'hosted: ["postfix:relay_domains"]').accounts.plans == {}


@pytest.mark.usefixtures("main_cf")
def test_this_hosts_names_are_those_of_postfix_and_the_system() -> None:
    """In lower case."""
    assert postfix.local_names() == {"mail.example.net", "example.net", socket.gethostname().lower()}


def test_a_myorigin_in_a_file_is_read_there(main_cf: Path) -> None:
    """Debian writes it to /etc/mailname."""
    mailname = main_cf.parent / "mailname"
    mailname.write_text("Origin.Example\n")
    write(main_cf, f"myorigin = {mailname}")

    assert "origin.example" in postfix.local_names()
    mailname.unlink()
    assert "mail.example.net" in postfix.local_names()


def test_without_postfix_the_system_says_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that has no Postfix is no mistake."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(socket, "getfqdn", lambda: "Host.Example")

    assert postfix.local_names() == {socket.gethostname().lower(), "host.example"}
    assert isinstance(postfix.parameter("myhostname"), Unfit)
    assert isinstance(postfix.table_keys("hash:/x"), Unfit)


def test_a_postconf_that_cannot_be_run_is_an_issue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says why, and nothing is raised."""
    program = tmp_path / "postconf"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    said = postfix.parameter("myhostname")

    assert isinstance(said, Unfit)
    assert said.problem.startswith("postconf did not run: ")
