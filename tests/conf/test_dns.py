"""The section ``dns``: what is read of it."""

from ipaddress import ip_network
from pathlib import Path

from policyd.conf.schema import DnsSettings, Endpoint
from tests.support.configs import loaded

WRITTEN = """{mx: [MX.example.net], senders: [192.0.2.0/24, "2001:db8::/32"], spf: _spf.example.net., every: 5m,
  dnsbl: [bl.example.net], resolver: ["127.0.0.1", "127.0.0.1:5353", "::1", "[::1]:53"]}"""


def test_names_networks_and_servers(tmp_path: Path) -> None:
    """In normal form; a server has port 53 unless it has another."""
    assert loaded(tmp_path, dns=WRITTEN).dns == DnsSettings(
        mx=("mx.example.net",),
        senders=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
        spf="_spf.example.net",
        dnsbl=("bl.example.net",),
        every=300_000,
        resolver=(
            Endpoint(host="127.0.0.1", port=53),
            Endpoint(host="127.0.0.1", port=5353),
            Endpoint(host="::1", port=53),
            Endpoint(host="::1", port=53),
        ),
    )


def test_without_the_section_nothing_is_looked_up(tmp_path: Path) -> None:
    """An empty one looks at what needs no knowledge of ours."""
    assert loaded(tmp_path).dns is None
    assert loaded(tmp_path, dns="{}").dns == DnsSettings(every=6 * 3_600_000)
