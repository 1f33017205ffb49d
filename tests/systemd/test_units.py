"""The systemd units, judged by systemd's own tools, and held against the shipped configuration."""

import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from policyd.conf.load import load
from policyd.conf.schema import Endpoint
from tests.support.command import policyd
from tests.support.programs import require

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"
FENCE = ROOT / "config" / "nftables"
SCRIPT = "/usr/local/lib/policyd/direct-smtp-metrics"
INSTALLED = "/usr/local/bin/policyd"
WORST_EXPOSURE = 1.5


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Return a copy of the units whose ExecStart is this virtual environment's."""
    shutil.copytree(UNITS, tmp_path / "units")
    for unit in (tmp_path / "units").glob("*.service"):
        text = unit.read_text()
        assert f"ExecStart={INSTALLED} " in text
        unit.write_text(text.replace(INSTALLED, str(Path(sys.executable).with_name("policyd"))))
    return tmp_path / "units"


def verify(directory: Path) -> tuple[int, str]:
    """Return what systemd-analyze verify says of all units of a directory."""
    units = [str(unit).replace("@.", "@9933.") for unit in sorted(directory.iterdir())]
    result = subprocess.run(
        [require("systemd-analyze"), "verify", "--recursive-errors=no", "--man=no", *units],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return result.returncode, result.stderr


def parsed(name: str) -> ConfigParser:
    """Return a unit; of a key that comes twice the last one counts."""
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNITS / name)
    return parser


def test_units_are_clean(copied: Path) -> None:
    """Nothing is wrong with the units in the eyes of systemd."""
    status, said = verify(copied)

    assert (status, [line for line in said.splitlines() if "policyd" in line]) == (0, [])


def test_units_of_the_fence_are_clean(tmp_path: Path) -> None:
    """The timer that writes down what the fence counts, and its service, are as systemd wants them."""
    for unit in (FENCE / "policyd-direct-smtp.service", FENCE / "policyd-direct-smtp.timer"):
        text = unit.read_text()
        (tmp_path / unit.name).write_text(text.replace(SCRIPT, str(FENCE / Path(SCRIPT).name)))
    status, said = verify(tmp_path)

    assert (status, [line for line in said.splitlines() if "policyd" in line]) == (0, [])


def test_a_mistake_is_found(copied: Path) -> None:
    """The check above would find a key that systemd does not know."""
    with (copied / "policyd.service").open("a") as unit:
        unit.write("\n[Service]\nProtectEverything=yes\n")
    status, said = verify(copied)

    assert (status, "ProtectEverything" in said) == (1, True)


@pytest.mark.parametrize("name", ["policyd.service", "policyd@.service"])
def test_the_kernel_can_be_asked_who_connects(name: str) -> None:
    """The daemon may open a netlink socket, and needs no capability for it (policyd/owner.py)."""
    service = parsed(name)["Service"]

    assert "AF_NETLINK" in service["RestrictAddressFamilies"].split()
    assert service["CapabilityBoundingSet"] == ""


@pytest.mark.parametrize("name", ["policyd.service", "policyd@.service"])
def test_exposure(copied: Path, name: str) -> None:
    """The services are as little exposed as a daemon with sockets can be."""
    result = subprocess.run(
        [require("systemd-analyze"), "security", "--offline=true", "--no-pager", str(copied / name)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", result.stdout)

    assert exposure is not None
    assert float(exposure[1]) <= WORST_EXPOSURE


def test_sockets_are_those_of_the_shipped_configuration(tmp_path: Path) -> None:
    """Each socket unit has the address that config/policyd.yaml listens on, or offers to, so that each is matched."""
    shipped = (ROOT / "config" / "policyd.yaml").read_text()
    assert "  # dovecot" in shipped
    (tmp_path / "policyd.yaml").write_text(shipped.replace("  # dovecot", "  dovecot"))
    listen = load(tmp_path / "policyd.yaml").listen
    sockets = {unit.stem: parsed(unit.name)["Socket"]["ListenStream"] for unit in UNITS.glob("*.socket")}

    assert sockets == {
        "policyd-postfix": listen.postfix[0].path,
        "policyd-metrics": str(listen.metrics),
        "policyd-admin": (listen.admin or Endpoint()).path,
        "policyd-dovecot": str(listen.dovecot),
    }


def test_rights_of_the_sockets() -> None:
    """Only Postfix reaches the policy socket; everybody reaches the admin socket, which asks who it is."""
    listen = load(ROOT / "config" / "policyd.yaml").listen
    rights = {
        name: (parsed(name)["Socket"]["SocketMode"], parsed(name)["Socket"].get("SocketGroup"))
        for name in ("policyd-postfix.socket", "policyd-admin.socket")
    }
    postfix = (f"{listen.postfix_mode:04o}", listen.postfix_group)

    assert list(rights.values()) == [postfix, ("0666", None)]


@pytest.mark.parametrize("unit", sorted(UNITS.glob("*.socket")), ids=lambda unit: str(unit.name))
def test_sockets_lead_to_the_daemon(unit: Path) -> None:
    """Each socket unit starts the service that it belongs to."""
    assert parsed(unit.name)["Socket"]["Service"] == "policyd.service"


def test_services_differ_only_in_names() -> None:
    """A daemon beside it is as hardened as the daemon itself, and counts in the same state directory."""
    one, many = parsed("policyd.service")["Service"], parsed("policyd@.service")["Service"]
    different = {key for key in {*one, *many} if one.get(key) != many.get(key)}

    assert different == {
        "ExecStart", "Sockets", "RestartSec", "RuntimeDirectory", "RuntimeDirectoryPreserve", "ReadWritePaths",
    }  # fmt: skip


def test_daemon_is_told_and_watched() -> None:
    """The daemon says when it is READY, reloads by SIGHUP, is watched, and ends its Redis itself."""
    service = parsed("policyd.service")["Service"]
    keys = ("Type", "ExecReload", "KillMode", "Restart", "User", "Group")

    assert [service[key] for key in keys] == [
        "notify", "/bin/kill -HUP $MAINPID", "mixed", "on-failure", "policyd", "policyd",
    ]  # fmt: skip
    assert int(service["WatchdogSec"]) > 0
    assert "AF_NETLINK" in service["RestrictAddressFamilies"].split()


def test_the_report_of_idle_mailboxes_is_off_until_enabled() -> None:
    """No unit pulls the timer in; once enabled it runs the report each week, and once more after a sleep."""
    timer = parsed("policyd-idle.timer")
    others = [unit.name for unit in UNITS.iterdir() if "policyd-idle" in unit.read_text() and "idle" not in unit.name]

    assert others == []
    assert timer["Install"]["WantedBy"] == "timers.target"
    assert (timer["Timer"]["OnCalendar"], timer["Timer"]["Persistent"]) == ("weekly", "yes")
    assert "Install" not in parsed("policyd-idle.service")


def test_the_report_of_idle_mailboxes_is_mailed() -> None:
    """The service asks for T13's 40 days and mails to postmaster; the options are those of the command."""
    service = parsed("policyd-idle.service")["Service"]
    words = service["ExecStart"].split()

    assert words[:2] == [INSTALLED, "mailboxes"]
    assert service["Type"] == "oneshot"
    done = policyd(*words[1:], POLICYD_ADMIN="/nowhere", PATH="/nowhere")
    assert (done.returncode, done.stderr) == (
        1, "policyd: doveadm: not found; run this where Dovecot is installed\n",
    )  # fmt: skip
