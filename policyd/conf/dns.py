"""The section ``dns``: what hosted domains should say in the DNS, and who is asked."""

from ipaddress import ip_address

from policyd.conf import units
from policyd.conf.accounts import HOST, NETWORK
from policyd.conf.issues import At, shown
from policyd.conf.schema import DnsSettings, Endpoint, Network
from policyd.conf.structures import Key, ListOf, Values, table
from policyd.conf.values import Placed, Spot, Unfit, Value, duration

MOST_ASKED = 256
"""Addresses of one network of IPv4 about which blocklists are asked; of IPv6, lists list whole networks."""

_PORT, _HIGHEST_PORT = 53, 65_535


def _server(written: str) -> Endpoint | Unfit:
    """Return address and port of a name server, as ``192.0.2.53``, ``192.0.2.53:5353`` or ``[::1]:53``."""
    host, colon, port = written.rpartition(":") if written.count(":") == 1 or "]:" in written else (written, "", "53")
    try:
        address = str(ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        return Unfit(f'"{shown(written)}" is no address of a name server', "write 127.0.0.1, 127.0.0.1:53 or [::1]:53")
    if colon and not (port.isascii() and port.isdecimal() and 0 < int(port) <= _HIGHEST_PORT):
        return Unfit(f'"{shown(port)}" is no port', f"write {host}:{_PORT}")
    return Endpoint(host=address, port=int(port))


_SERVER = Value(_server, "an address", "127.0.0.1", {"type": "string", "minLength": 1})

MX = Key(
    "mx",
    ListOf(HOST, "[mx.example.net]"),
    "Our own mail servers: the MX of a hosted domain is one of them, or has the address of one.",
)
SENDERS: Key[tuple[Placed[Network], ...]] = Key(
    "senders",
    ListOf(Spot(NETWORK), "[192.0.2.7]"),
    "The addresses that our mail leaves from: the SPF record of a hosted domain lets all of them pass.",
)
SPF = Key("spf", Spot(HOST), "The name with our own SPF record, for customers to include.")
DNSBL = Key("dnsbl", Spot(ListOf(HOST, "[bl.example.net]")), "Blocklists that our sending addresses are looked up in.")
EVERY = Key(
    "every", duration("6h", 5 * units.MINUTE, 7 * units.DAY), "How often everything is looked at, 5m to 7d (6h)."
)
RESOLVER = Key(
    "resolver", ListOf(_SERVER, "[127.0.0.1]"), "The name servers that are asked; by default those of /etc/resolv.conf."
)

DNS = table(MX, SENDERS, SPF, DNSBL, EVERY, RESOLVER, example="{mx: [mx.example.net], senders: [192.0.2.7]}")


def dns(values: Values, at: At) -> DnsSettings:
    """Return what is watched; lists that nothing could be looked up in are reported."""
    senders, spf, dnsbl = values.get(SENDERS, ()), values.maybe(SPF), values.maybe(DNSBL)
    if not senders and SENDERS.name not in values.flawed:
        for key, written in ((SPF, spf), (DNSBL, dnsbl)):
            if written is not None and written.value:
                cure = f"write senders: {SENDERS.shape.example} too"
                at.key(key.name).report(written.place, "no address is named that our mail leaves from", cure)
    if dnsbl is not None and dnsbl.value:
        _report_large(senders, at.key(SENDERS.name))
    return DnsSettings(
        mx=values.get(MX, ()),
        senders=tuple(sender.value for sender in senders),
        spf=spf.value if spf is not None else "",
        dnsbl=dnsbl.value if dnsbl is not None else (),
        every=values.get(EVERY, DnsSettings().every),
        resolver=values.get(RESOLVER, ()),
    )


def _report_large(senders: tuple[Placed[Network], ...], at: At) -> None:
    for index, (network, place) in enumerate(senders):
        if network.version == 4 and network.num_addresses > MOST_ASKED:  # noqa: PLR2004  # IPv4
            problem = f"{network} has {network.num_addresses} addresses, too many to ask a blocklist about"
            at.item(index).report(place, problem, "write those that mail leaves from, at most a /24 at once")
