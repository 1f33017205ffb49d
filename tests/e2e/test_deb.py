"""``make deb``: the package is installed, used, upgraded, removed and purged, in a copy of this host."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.copied_host import CopiedHost
from tests.support.wait import until

ROOT = Path(__file__).parents[2]
ASKED = ("sasl_username=alice@shop.test", "recipient=bob@remote.test")
GONE = ("/usr/lib/policyd", "/usr/libexec/policyd", "/usr/bin/policyd", "/usr/share/doc/policyd")

pytestmark = pytest.mark.timeout(700)


@pytest.fixture(name="package", scope="module")
def _package() -> Path:
    """Return the package, built."""
    environ = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    command = ["make", "--no-print-directory", "deb"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / done.stdout.splitlines()[-1]


@pytest.fixture(name="host")
def _host(package: Path) -> Iterator[CopiedHost]:
    """Return a copy of this host with the package installed."""
    host = CopiedHost()
    try:
        host.start()
        host.put(package, "/tmp/policyd.deb")
        host.run("dpkg", "--install", "/tmp/policyd.deb")
        yield host
    finally:
        host.stop()


def test_it_brings_users_directories_and_manual_pages(host: CopiedHost) -> None:
    """With the rights that the daemon and Postfix need."""
    assert re.fullmatch(r"policyd 0\.\S+ \(Python 3\.\d+\.\d+, compiled\)\n", host.run("policyd", "version"))
    places = ["/var/lib/policyd", "/var/spool/postfix/policyd", "/etc/policyd/policyd.yaml"]
    assert host.run("stat", "-c", "%a %U:%G", *places).splitlines() == [
        "700 policyd:policyd", "2750 policyd:postfix", "644 root:root"
    ]  # fmt: skip
    assert "policyd-admin" in host.run("getent", "group", "policyd-admin")
    assert "no mistakes" in host.run("policyd", "config", "check")
    for name in ("policyd", "policyd-status", "policyd-config-check", "policyd.yaml"):
        assert "NAME" in host.run("man", "--pager=cat", name)
    units = host.run("sh", "-c", "grep -h ^ExecStart= /lib/systemd/system/policyd*.service")
    for unit in units.splitlines():
        host.run("test", "-x", unit.removeprefix("ExecStart=").split()[0])


def test_the_shell_completes_its_commands(host: CopiedHost) -> None:
    """Bash, from where it looks for completions itself."""
    script = """
    source /usr/share/bash-completion/completions/policyd
    COMP_WORDS=(policyd sta) COMP_CWORD=1
    _policyd_completion policyd
    echo "${COMPREPLY[@]}"
    """
    assert host.run("bash", "-c", script) == "status\n"
    assert "policyd" in host.run("cat", "/usr/share/zsh/vendor-completions/_policyd")
    assert "policyd" in host.run("cat", "/usr/share/fish/vendor_completions.d/policyd.fish")


def test_it_counts_and_an_upgrade_keeps_what_was_counted_and_written(host: CopiedHost) -> None:
    """As the user policyd; what the admin wrote stays, and a reload finds it."""
    host.run("install", "-d", "-o", "policyd", "/run/policyd")
    host.daemon("policyd", "policyd", "serve")
    until(lambda: host.run("policyd", "query", *ASKED, check=False) == "action=DUNNO\n", "it answers")
    text = host.run("cat", "/etc/policyd/policyd.yaml")
    written = text.replace("mode: observe", "mode: enforce").replace("  domains: {}", "  domains: {shop.test: shared}")
    host.run("tee", "/etc/policyd/policyd.yaml", text=written)
    host.run("dpkg", "--install", "/tmp/policyd.deb")
    assert "mode: observe -> enforce" in host.run("policyd", "reload")
    assert "1/400" in host.run("policyd", "status", "shop.test")


def test_removing_keeps_what_is_the_admins_and_purging_leaves_nothing(host: CopiedHost) -> None:
    """Configuration and counters stay until the purge, which takes user and groups too."""
    host.run("touch", "/etc/policyd/domains.map", "/var/lib/policyd/counters")
    host.run("dpkg", "--remove", "policyd")
    assert there(host) == ["/etc/policyd/policyd.yaml", "/var/lib/policyd/counters"]
    host.run("dpkg", "--purge", "policyd")
    assert there(host) == []
    assert host.run("getent", "passwd", "policyd", check=False) == ""
    assert host.run("getent", "group", "policyd", "policyd-support", "policyd-admin", check=False) == ""
    places = ("/etc", "/lib", "/usr", "/var/lib", "/var/spool")
    assert host.run("find", *places, "-name", "*policyd*", "-newer", "/tmp/policyd.deb") == ""


def there(host: CopiedHost) -> list[str]:
    """Return which of the places that the package has anything in are there."""
    places = ("/etc/policyd/policyd.yaml", "/var/lib/policyd/counters", *GONE)
    return [place for place in places if host.run("sh", "-c", f"test -e {place} && echo yes", check=False)]
