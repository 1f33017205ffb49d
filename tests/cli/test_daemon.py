"""``policyd serve`` and ``policyd reload``, and what all commands share."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from policyd import __version__
from tests.cli.conftest import Site
from tests.support.command import PROGRAM, policyd

COMMANDS = [
    "serve", "reload", "query", "status", "explain", "events", "replay", "config check", "config show",
    "config schema", "config diff",
]  # fmt: skip


def test_reload(site: Site) -> None:
    """A reload prints what changed; a second one that nothing did."""
    site.configuration["limits"]["domain-hourly"]["max"] = 5
    site.write()

    assert site.run("reload") == (0, "limits.domain-hourly.max: 4 -> 5\n", "")
    assert site.run("reload") == (0, "nothing changed\n", "")


def test_reload_of_a_bad_file(site: Site) -> None:
    """The mistakes of a bad file are printed, and the exit code is 1."""
    site.configuration["plans"]["shared"]["apply"] = ["nothing"]
    site.write()
    code, output, _ = site.run("reload")

    assert code == 1
    assert output.startswith(f"{site.path}:")
    assert json.loads(site.run("reload", "--json")[1]) == {
        "changes": [], "issues": output.splitlines(), "warnings": [], "over": [],
    }  # fmt: skip


def test_reload_of_a_bad_include(site: Site) -> None:
    """A bad included file does not hold up the rest; it is printed, and the exit code is 1."""
    site.configuration["accounts"]["include"] = [str(site.base / "more.yaml")]
    site.configuration["mode"] = "observe"
    (site.base / "more.yaml").write_text("domains: [example.com]\n")
    site.write()
    code, output, _ = site.run("reload")

    assert code == 1
    assert f"{site.base}/more.yaml is bad: its domains are not served until it is corrected" in output
    assert "mode: enforce -> observe" in output


def test_reload_of_the_static_part(site: Site) -> None:
    """What needs a restart is said."""
    site.configuration["store"]["timeout"] = "1s"
    site.write()

    assert site.run("reload") == (0, "store changes at a restart only; what was in force at start stays\n", "")


@pytest.mark.parametrize("command", [["reload"], ["status"], ["query", "recipient=x@remote.test"]], ids=lambda c: c[0])
def test_no_daemon(command: list[str], tmp_path: Path) -> None:
    """Without a daemon every command that needs one exits 75, and says so on stderr alone."""
    done = policyd(*command, "--admin", f"unix:{tmp_path}/admin.sock")

    assert (done.returncode, done.stdout) == (75, "")
    assert done.stderr.startswith(f"policyd: no answer from unix:{tmp_path}/admin.sock: ")


def test_a_socket_of_somebody_else(site: Site) -> None:
    """A socket that does not speak HTTP is no admin socket, and the message says so."""
    done = policyd("status", "--admin", str(site.policy))

    assert done.returncode == 75
    assert done.stderr.rstrip().endswith("(is that the admin socket of policyd? name it with --admin)")


def test_serve_with_mistakes(tmp_path: Path) -> None:
    """``policyd serve`` prints all mistakes of its file and exits 1."""
    path = tmp_path / "policyd.yaml"
    path.write_text("version: 1\nmode: off\nlisten: {postfix: []}\nlimits: {}\nplans: {shared: {apply: [x]}}\n")
    done = policyd("serve", "--config", str(path))

    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert len(lines) > 2
    assert all(line.startswith(f"{path}:") for line in lines)


def test_version() -> None:
    """--version prints the version."""
    done = policyd("--version")

    assert (done.returncode, done.stdout) == (0, f"policyd {__version__}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str) -> None:
    """Every command has a help text with an example that begins with the command."""
    done = policyd(*command.split(), "--help", COLUMNS="80")

    assert done.returncode == 0
    assert "For example:" in done.stdout
    assert f"policyd {command}" in done.stdout.partition("For example:")[2]
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_help_of_all() -> None:
    """The help of the whole command says what the exit codes mean."""
    text = " ".join(policyd("--help", COLUMNS="80").stdout.split())

    assert "Exit codes: 0 fine, 1 a problem was found, 2 usage, 75 the daemon or the store cannot be reached." in text
    assert all(f"│ {command.split()[0]} " in text for command in COMMANDS)


@pytest.mark.parametrize("arguments", [["nonsense"], ["status", "--nonsense"], ["config", "diff", "one"]], ids=" ".join)
def test_usage(arguments: list[str]) -> None:
    """What is no command, option or argument exits 2."""
    done = policyd(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: policyd" in done.stderr


def test_a_reader_that_leaves() -> None:
    """When the reader of a pipe leaves early there is no traceback."""
    piped = ["bash", "-c", '"$0" config schema | true', PROGRAM]
    done = subprocess.run(piped, capture_output=True, text=True, check=True, timeout=60)

    assert (done.stdout, done.stderr) == ("", "")


def test_python_m() -> None:
    """``python -m policyd`` is the same command."""
    command = [sys.executable, "-m", "policyd", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == f"policyd {__version__}\n"
