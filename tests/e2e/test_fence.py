"""The fence of config/nftables, in a network of the test's own: who may open SMTP connections to other hosts."""

import errno
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from pwd import getpwnam
from typing import Any

import pytest

from tests.support.network import HERE, HERE6, THERE, THERE6, Network
from tests.support.ports import free_port
from tests.support.programs import require
from tests.support.prometheus import Prometheus
from tests.support.readme import blocks

DIRECTORY = Path(__file__).parents[2] / "config" / "nftables"
FENCE, OFF = DIRECTORY / "direct-smtp.nft", DIRECTORY / "direct-smtp-off.nft"
MAIL = [f"{THERE}:25", f"{THERE}:465", f"{THERE}:587", f"{THERE6}:25"]
REFUSED = errno.ECONNREFUSED
NOBODY, ALICE, ROOT = 65534, 54_321, 0


@pytest.fixture(name="network")
def _network() -> Iterator[Network]:
    """Return a host whose neighbour listens on the ports of mail and of the web."""
    require("nft", root=True)
    network = Network()
    try:
        network.start()
        network.listen(25, 465, 587, 80)
        yield network
    finally:
        network.stop()


def load(network: Network, file: Path = FENCE) -> None:
    """Have the host load a file of rules."""
    network.run("nft", "-f", str(file))


def counters(network: Network) -> dict[str, int]:
    """Return what nft's JSON has of all counters."""
    listed: list[dict[str, Any]] = json.loads(network.run("nft", "-j", "list", "counters"))["nftables"]
    return {item["counter"]["name"]: item["counter"]["packets"] for item in listed if "counter" in item}


def test_only_the_mail_server_opens_smtp_connections_to_others(network: Network) -> None:
    """Root and everybody else are refused, by IPv4 and IPv6, and each try counts once."""
    load(network)
    assert network.connect(getpwnam("postfix").pw_uid, *MAIL) == [0, 0, 0, 0]
    assert network.connect(NOBODY, *MAIL) == [REFUSED] * 4
    assert network.connect(ROOT, *MAIL) == [REFUSED] * 4
    assert counters(network) == {"allowed": 4, "refused": 8}


def test_nothing_but_smtp_to_others_is_looked_at(network: Network) -> None:
    """The web outside, and mail on loopback and on the host's own addresses, are everybody's."""
    network.listen(25, 587, outside=False)
    load(network)
    free = [f"{THERE}:80", "127.0.0.1:25", "::1:25", f"{HERE}:25", f"{HERE6}:587"]
    assert network.connect(NOBODY, *free) == [0] * 5
    assert counters(network) == {"allowed": 0, "refused": 0}


def test_a_user_is_excepted_by_a_name_in_the_file_or_at_once(network: Network, tmp_path: Path) -> None:
    """Who is named in the set may; an element that is added by hand lasts until the file is loaded again."""
    excepted = tmp_path / "direct-smtp.nft"
    excepted.write_text(FENCE.read_text().replace("elements = { postfix }", f"elements = {{ postfix, {ALICE} }}"))
    load(network, excepted)
    assert network.connect(ALICE, *MAIL[:3]) == [0] * 3
    assert network.connect(ROOT, MAIL[0]) == [REFUSED]
    network.run(*blocks("sh fence-except").split("#")[0].replace("'", "").split())
    assert network.connect(ROOT, MAIL[0]) == [0]
    load(network)
    assert network.connect(ALICE, MAIL[0]) + network.connect(ROOT, MAIL[0]) == [REFUSED] * 2


def test_it_is_loaded_and_taken_out_as_often_as_one_likes(network: Network) -> None:
    """Loading twice leaves one fence, taking out twice none; other tables stay as they are."""
    network.run("nft", "add table inet other { chain c { tcp dport 80 accept; }; }")
    before = network.run("nft", "list", "ruleset")
    load(network)
    once = network.run("nft", "list", "ruleset")
    load(network)
    assert network.run("nft", "list", "ruleset") == once
    for _ in range(2):
        load(network, OFF)
        assert network.run("nft", "list", "ruleset") == before
    assert network.connect(NOBODY, MAIL[0]) == [0]


def test_a_user_whom_nobody_knows_changes_nothing(network: Network, tmp_path: Path) -> None:
    """The file is taken whole or not at all: the fence that is loaded stays."""
    load(network)
    wrong = tmp_path / "direct-smtp.nft"
    wrong.write_text(FENCE.read_text().replace("elements = { postfix }", "elements = { postfix, no-such-user }"))
    with pytest.raises(subprocess.CalledProcessError):
        load(network, wrong)
    assert network.connect(NOBODY, MAIL[0]) == [REFUSED]


def test_a_connection_that_is_open_stays_open(network: Network) -> None:
    """What was opened before the fence was loaded goes on, and counts for nothing."""
    held = network.hold(NOBODY, MAIL[0])
    load(network)
    assert held.communicate("\n", timeout=30)[0] == "QUIT\n\n"
    assert counters(network) == {"allowed": 0, "refused": 0}


def metrics(network: Network, directory: Path) -> str:
    """Return what the script writes for Prometheus."""
    network.run(str(DIRECTORY / "direct-smtp-metrics"), str(directory / "direct_smtp.prom"))
    assert sorted(file.name for file in directory.iterdir()) == ["direct_smtp.prom"]
    return (directory / "direct_smtp.prom").read_text()


def test_what_it_counts_is_written_for_prometheus(network: Network, tmp_path: Path) -> None:
    """The text is as Prometheus wants it; a fence that is not loaded is a 0 and no error."""
    assert metrics(network, tmp_path).splitlines()[-1] == "policyd_direct_smtp_loaded 0"
    load(network)
    network.connect(NOBODY, *MAIL)
    text = metrics(network, tmp_path)
    assert [line for line in text.splitlines() if line[0] != "#"] == [
        "policyd_direct_smtp_loaded 1",
        'policyd_direct_smtp_connections_total{result="allowed"} 0',
        'policyd_direct_smtp_connections_total{result="refused"} 4',
    ]
    checked = subprocess.run(
        [require("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_prometheus_reads_it_from_node_exporter(network: Network, tmp_path: Path) -> None:
    """The file reaches Prometheus through the collector that hosts have already."""
    load(network)
    network.connect(NOBODY, *MAIL)
    metrics(network, tmp_path)
    target = f"127.0.0.1:{free_port()}"
    options = ["--collector.disable-defaults", "--collector.textfile", f"--collector.textfile.directory={tmp_path}"]
    with (tmp_path / "log").open("wb") as log:
        exporter = subprocess.Popen(
            [require("prometheus-node-exporter"), *options, f"--web.listen-address={target}"], stdout=log, stderr=log
        )
    prometheus = Prometheus(target)
    try:
        prometheus.start()
        assert prometheus.wait('policyd_direct_smtp_connections_total{result="refused"}') == 4
        assert prometheus.wait("policyd_direct_smtp_loaded") == 1
    finally:
        prometheus.stop()
        exporter.kill()
        exporter.wait(20)
