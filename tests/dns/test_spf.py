"""What an SPF record says of our addresses, held against pyspf, which says it of one at a time."""

from ipaddress import ip_network

import pytest
import spf as oracle
from hypothesis import given
from hypothesis import strategies as st

from policyd.dns.spf import MOST_LOOKUPS, Result, check
from tests.support.zone import FAILED, Zone, judged

NAMES = ["a.test", "b.test", "c.test"]
ADDRESSES = ["192.0.2.1", "192.0.2.200", "198.51.100.1", "2001:db8::1"]


def said(zone: Zone, network: str = "192.0.2.1") -> Result:
    """Return what the record of a.test says."""
    return judged(zone, lambda answers: check("a.test", ip_network(network), answers))


def record(*terms: str, **others: list[str]) -> Zone:
    """Return a zone in which a.test has this SPF record, beside records of other names."""
    zone = {name.replace("_", "."): {"TXT": texts} for name, texts in others.items()}
    return {"a.test": {"TXT": [" ".join(["v=spf1", *terms])]}, **zone}


@pytest.mark.parametrize(
    ("terms", "result"),
    [
        ("ip4:192.0.2.0/24 -all", Result.PASS),
        ("ip4:192.0.2.1 -all", Result.FAIL),
        ("ip4:192.0.2.0/25 ~all", Result.SOFTFAIL),
        ("ip4:192.0.0.0/16 -ip4:192.0.2.1", Result.PASS),
        ("ip6:2001:db8::/32", Result.NEUTRAL),
        ("?all", Result.NEUTRAL),
    ],
)
def test_a_network_passes_as_a_whole(terms: str, result: Result) -> None:
    """A part of it is not enough."""
    assert said(record(*terms.split()), "192.0.2.0/24") is result


@pytest.mark.parametrize("terms", ["exists:%{i}.a.test -all", "include:%{d2} -all", "ptr -all", "exists:b.test"])
def test_what_cannot_be_told_is_unknown(terms: str) -> None:
    """Neither a pass nor a refusal is made up."""
    assert said(record(*terms.split())) is Result.UNKNOWN


def test_a_server_that_fails_makes_nothing_wrong() -> None:
    """What is behind it is unknown."""
    zone = {**record("include:b.test", "-all"), "b.test": {"TXT": FAILED}}

    assert said(zone) is Result.UNKNOWN


def test_a_record_that_includes_itself_comes_to_an_end() -> None:
    """After ten lookups, as RFC 7208 says."""
    assert said(record("include:a.test")) is Result.PERMERROR


@pytest.mark.parametrize(("count", "result"), [(MOST_LOOKUPS, Result.PASS), (MOST_LOOKUPS + 1, Result.PERMERROR)])
def test_ten_terms_may_ask(count: int, result: Result) -> None:
    """One more is a mistake."""
    assert said(record(*["include:b.test"] * count, "+all", b_test=["v=spf1 -all"])) is result


SIGNS = st.sampled_from(["", "+", "-", "~", "?"])
CIDRS = st.sampled_from(["", "/24", "/32", "//64", "/24//64", "/0"])
MECHANISMS = st.one_of(
    st.just("all"),
    st.sampled_from(["ip4:192.0.2.0/24", "ip4:192.0.2.1", "ip4:198.51.100.0/25", "ip6:2001:db8::/32", "ip4:nonsense"]),
    st.builds("a{}".format, CIDRS),
    st.builds("a:{}{}".format, st.sampled_from(NAMES), CIDRS),
    st.builds("mx{}".format, CIDRS),
    st.builds("mx:{}{}".format, st.sampled_from(NAMES), CIDRS),
    st.builds("include:{}".format, st.sampled_from(NAMES)),
    st.just("unknown:b.test"),
)
TERMS = st.one_of(
    st.builds("{}{}".format, SIGNS, MECHANISMS),
    st.builds("redirect={}".format, st.sampled_from(NAMES)),
    st.just("x-other=1"),
)
# Of pyspf, no modifier may come twice; of RFC 7208, section 6, redirect and exp may not.
RECORDS = (
    st.lists(TERMS, max_size=4)
    .filter(lambda terms: terms.count("x-other=1") <= 1)
    .map(lambda terms: " ".join(["v=spf1", *terms]))
)
TEXTS = st.lists(st.one_of(RECORDS, RECORDS, st.sampled_from(["hello", "v=spf10 -all"])), max_size=2)


@st.composite
def zones(draw: st.DrawFn) -> Zone:
    """Return a zone of three names that lead to each other."""
    made: dict[str, dict[str, list[str] | str]] = {}
    for name in NAMES:
        addresses = draw(st.sets(st.sampled_from(ADDRESSES), max_size=2))
        made[name] = {
            # Of pyspf, a record that includes itself is a mistake even where that is never come to.
            "TXT": [text for text in draw(TEXTS) if f"include:{name}" not in text],
            "A": sorted(one for one in addresses if ":" not in one),
            "AAAA": sorted(one for one in addresses if ":" in one),
            "MX": [f"10 {host}" for host in draw(st.sets(st.sampled_from(NAMES), max_size=2))],
        }
    return made


def by_pyspf(zone: Zone, address: str) -> str:
    """Return what pyspf says of one address."""

    def look_up(name: str, kind: str, *_: object) -> list[object]:
        found = [(((name, kind)), value) for value in zone.get(name, {}).get(kind, [])]
        if kind == "TXT":
            return [(key, (value.encode(),)) for key, value in found]
        if kind == "MX":
            return [(key, (10, value.split()[1])) for key, value in found]
        return list(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(oracle, "DNSLookup", look_up)
        patch.setattr(oracle, "MAX_VOID_LOOKUPS", 1_000)  # which RFC 7208 leaves to the receiver
        return str(oracle.query(i=address, s="x@a.test", h="a.test").check()[0])


@given(zones(), st.sampled_from(ADDRESSES))
def test_the_result_is_that_of_pyspf(zone: Zone, address: str) -> None:
    """For every record, and every address."""
    assert said(zone, address).value == by_pyspf(zone, address)
