"""Who is charged: the sentences of the design, one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.conf.listed import KnownList, Lists
from policyd.model import UNLISTED, PolicyRequest, Sure, Traffic, TrafficKind
from policyd.policy.traffic import _REMEMBERED_CLIENTS, Attribution, within
from tests.support.config import MAILMAN, asked, by_login, config, locally, networks

FOREIGN = "192.0.2.17"


def traffic(request: PolicyRequest, **accounts: object) -> Traffic:
    """Return who is charged when ``accounts`` differ from the defaults."""
    lists, user = accounts.pop("lists", Lists()), str(accounts.pop("user", ""))
    return Attribution(config(accounts=accounts, lists=lists)).traffic(request, user)


# 1. SASL login


def test_a_login_is_charged_to_its_domain_verified() -> None:
    """A SASL login charges the login's domain, whatever MAIL FROM says."""
    expected = Traffic(TrafficKind.USER, "example.org", Sure.VERIFIED, "alice@example.org", "boss@example.net")
    assert traffic(by_login("alice@example.org", sender="boss@example.net")) == expected


def test_a_null_sender_with_a_login_is_charged_to_the_login() -> None:
    """A null sender changes nothing for who has logged in."""
    found = traffic(by_login("alice@example.org", sender=""))
    assert (found.kind, found.account, found.sure) == (TrafficKind.USER, "example.org", Sure.VERIFIED)


def test_a_login_from_a_local_client_is_still_a_login() -> None:
    """A login counts before where the client stands (webmail)."""
    found = traffic(locally("x@invented.test", sasl_username="alice@example.org"))
    assert (found.kind, found.account) == (TrafficKind.USER, "example.org")


def test_a_login_of_an_alias_is_charged_to_what_it_leads_to() -> None:
    """A login of an alias domain charges the account behind it."""
    assert traffic(by_login("a@news.example.org"), aliases={"news.example.org": "example.org"}).account == "example.org"


def test_a_login_of_a_domain_that_is_listed_nowhere_is_charged_to_it() -> None:
    """Who could log in is a customer, whether his domain is listed or not."""
    assert traffic(by_login("a@forgotten.test")).account == "forgotten.test"


@pytest.mark.parametrize(
    ("accounts", "account", "user"),
    [
        (
            {"local_users": {"alice": "example.org"}, "default_domain": "example.net"},
            "example.org",
            "alice@example.org",
        ),
        ({"default_domain": "example.net"}, "example.net", "alice@example.net"),
        ({}, "user:alice", "alice"),
    ],
    ids=["local_users", "default_domain", "of its own"],
)
def test_a_login_without_domain(accounts: dict[str, object], account: str, user: str) -> None:
    """It is charged to its account in local_users, else to default_domain, else to a subject of its own."""
    found = traffic(by_login("Alice"), **accounts)
    assert (found.account, found.user, found.sure) == (account, user, Sure.VERIFIED)


def test_a_login_with_an_impossible_domain_is_not_one_without_domain() -> None:
    """Two logins whose domains cannot be decoded do not meet in default_domain, nor anywhere else."""
    accounts = [traffic(by_login(login), default_domain="example.net").account for login in ("a@b\udcff", "a@b\udcfe")]
    assert accounts == ["user:a@b\udcff", "user:a@b\udcfe"]


@pytest.mark.parametrize(
    "login",
    ["alice@müller.test", "ALICE@MÜLLER.TEST.", "alice+x@xn--mller-kva.test", '"alice"@XN--MLLER-KVA.test'],
)
def test_all_ways_to_write_a_login_lead_to_one_key(login: str) -> None:
    """Upper case, trailing dot, U- and A-label, plus-address and quotes charge one account and one user."""
    found = traffic(by_login(login))
    assert (found.account, found.user) == ("xn--mller-kva.test", "alice@xn--mller-kva.test")


# 2. the list software's own context or port


@pytest.mark.parametrize("entry", [{"policy_context": "mailman"}, {"server_port": 10026}], ids=["context", "port"])
def test_what_only_list_software_reaches_is_list_traffic(entry: dict[str, object]) -> None:
    """A policy_context or port that lists names makes it list traffic of the sender's account, verified."""
    request = asked(sender="news-bounces+bob=remote.test@example.org", **entry)
    found = traffic(request, lists=Lists(frozenset({"mailman", "10026"})))
    expected = Traffic(
        TrafficKind.LIST,
        "example.org",
        Sure.VERIFIED,
        "news@example.org",
        "news@example.org",
        "news@example.org",
    )
    assert found == expected


def test_a_list_of_an_alias_is_charged_to_what_it_leads_to() -> None:
    """A list in an alias domain charges the account behind it."""
    request = asked(sender="news-bounces@lists.example.org", policy_context="mailman")
    aliases = {"lists.example.org": "example.org"}
    assert traffic(request, lists=MAILMAN, aliases=aliases).account == "example.org"


def test_list_software_that_sends_for_a_strange_domain_charges_nobody_by_that() -> None:
    """A sender that is not hosted here is no list of ours; where the client stands decides then."""
    foreign = asked(sender="x@invented.test", policy_context="mailman")
    assert traffic(foreign, lists=MAILMAN).kind is TrafficKind.INBOUND
    local = locally("x@invented.test", policy_context="mailman")
    assert traffic(local, lists=MAILMAN).kind is TrafficKind.RELAYED


def test_a_request_without_context_and_port_is_no_list_traffic() -> None:
    """What Postfix leaves empty matches no context."""
    assert traffic(asked(server_port=0), lists=MAILMAN).kind is TrafficKind.INBOUND


def test_whatever_list_software_sends_is_a_lists() -> None:
    """A sender that shows no list stands for itself, without its extension."""
    senders = ["news-request@example.org", "offers+17@example.org"]
    found = [traffic(locally(sender, policy_context="mailman"), lists=MAILMAN) for sender in senders]
    assert [(one.kind, one.list) for one in found] == [
        (TrafficKind.LIST, "news@example.org"),
        (TrafficKind.LIST, "offers@example.org"),
    ]


# 2. list envelopes from others than the list software

VERP = "news-bounces+bob=remote.test@example.org"
LIST = Traffic(TrafficKind.LIST, "example.org", Sure.CLAIMED, *["news@example.org"] * 3)


def test_a_list_envelope_of_any_local_client_is_a_claimed_list() -> None:
    """It is charged to the list's domain, and proves nothing."""
    assert traffic(locally(VERP)) == LIST


def test_behind_local_login_sender_maps_a_list_envelope_is_verified() -> None:
    """There Postfix has checked that the sender may be used."""
    found = traffic(locally(VERP, policy_context="local-login"), verified_contexts=frozenset({"local-login"}))
    assert found == LIST._replace(sure=Sure.VERIFIED)


def test_a_list_envelope_of_a_domain_that_is_not_hosted_is_no_list() -> None:
    """It is relayed as any other."""
    assert traffic(locally("news-bounces@invented.test")).kind is TrafficKind.RELAYED


def test_a_foreign_clients_list_envelope_is_inbound() -> None:
    """A stranger spends nobody's list."""
    assert traffic(asked(sender=VERP)) == Traffic(TrafficKind.INBOUND, "", Sure.NOBODY, "", "news-bounces@example.org")


def test_a_login_of_the_same_account_verifies_a_list() -> None:
    """List software that logs in sends for its own account's lists, and for no other's."""
    found = traffic(by_login("mailer@example.org", sender=VERP))
    assert found == LIST._replace(sure=Sure.VERIFIED, user="mailer@example.org")
    other = traffic(by_login("mailer@example.net", sender=VERP))
    assert (other.kind, other.account, other.list) == (TrafficKind.USER, "example.net", "")


def test_a_unix_user_verifies_the_lists_of_his_account() -> None:
    """A neighbour's list envelope is charged to him who sends, and never to the neighbour."""
    own = traffic(locally(VERP), user="web7", local_users={"web7": "example.org"})
    assert own == LIST._replace(sure=Sure.VERIFIED, user="web7@example.org")
    other = traffic(locally(VERP), user="web7", **CUSTOMERS)
    assert (other.kind, other.account, other.list) == (TrafficKind.SCRIPT, "example.net", "")


def test_who_has_a_lists_name_and_sends_as_himself_is_a_person() -> None:
    """A login like alex-owner is no list, unless the administrator names its address."""
    request = by_login("alex-owner@example.org", sender="Alex-Owner@example.org")
    assert traffic(request).kind is TrafficKind.USER
    known = Lists(known={"alex-owner@example.org": KnownList("alex@example.org")})
    assert traffic(request, lists=known).list == "alex@example.org"


@pytest.mark.parametrize("request_", [by_login(sender="php@example.org"), locally("php@example.org")])
def test_software_with_one_constant_envelope_is_known_by_it(request_: PolicyRequest) -> None:
    """What lists.known names is list traffic of the list that it is said to be."""
    known = Lists(known={"php@example.org": KnownList("news@example.org", size=900)})
    found = traffic(request_, lists=known)
    assert (found.kind, found.account, found.list) == (TrafficKind.LIST, "example.org", "news@example.org")


# 3. local clients


@pytest.mark.parametrize("client", ["127.0.0.1", "127.9.9.9", "::1", "IPv6:::1", "::ffff:127.0.0.1"])
def test_a_sender_hosted_here_is_a_script_of_his_domain(client: str) -> None:
    """A local client without login charges the envelope sender's domain, and that is only claimed."""
    found = traffic(locally("Www+x@Example.ORG", client_address=client))
    expected = Traffic(TrafficKind.SCRIPT, "example.org", Sure.CLAIMED, "www@example.org", "www@example.org")
    assert found == expected


def test_behind_local_login_sender_maps_the_sender_is_verified() -> None:
    """A policy_context in verified_contexts says that Postfix has checked the sender."""
    request = locally(policy_context="local-login")
    assert traffic(request, verified_contexts=frozenset({"local-login"})).sure is Sure.VERIFIED
    assert traffic(locally(policy_context="other"), verified_contexts=frozenset({"local-login"})).sure is Sure.CLAIMED


def test_a_sender_of_an_alias_is_charged_to_what_it_leads_to() -> None:
    """A script that sends as an alias domain charges the account behind it."""
    found = traffic(locally("www@news.example.org"), aliases={"news.example.org": "example.org"})
    assert (found.kind, found.account) == (TrafficKind.SCRIPT, "example.org")


@pytest.mark.parametrize("sender", ["web7@mx.host.test", "web7@MX.host.test.", "web7+cron@mx.host.test", "Web7"])
def test_a_sender_at_this_hosts_own_name_is_the_account_of_that_unix_user(sender: str) -> None:
    """``user@myhostname``, or a bare user, resolves through local_users."""
    accounts = {"local_users": {"web7": "example.net"}, "local_names": frozenset({"mx.host.test"})}
    found = traffic(locally(sender), **accounts)
    assert (found.kind, found.account, found.sure) == (TrafficKind.SCRIPT, "example.net", Sure.CLAIMED)


@pytest.mark.parametrize("sender", ["root@mx.host.test", "root", "web7@remote.test"])
def test_a_sender_that_leads_to_no_account_is_relayed(sender: str) -> None:
    """A Unix user without account, and any sender that is not hosted here, is relayed traffic."""
    accounts = {"local_users": {"web7": "example.net"}, "local_names": frozenset({"mx.host.test"})}
    found = traffic(locally(sender), **accounts)
    assert (found.kind, found.account, found.sure) == (TrafficKind.RELAYED, UNLISTED, Sure.CLAIMED)


def test_this_hosts_own_name_may_be_a_hosted_domain_too() -> None:
    """A user that local_users does not know, at a name that is hosted, is charged to that domain."""
    found = traffic(locally("info@example.org"), local_names=frozenset({"example.org"}))
    assert (found.kind, found.account) == (TrafficKind.SCRIPT, "example.org")


def test_invented_sender_domains_share_one_account() -> None:
    """A script that invents domains gets no fresh budget for each."""
    found = {traffic(locally(f"x@invented{number}.test")).account for number in range(20)}
    assert found == {UNLISTED}


def test_an_alias_that_leads_to_no_hosted_domain_is_relayed() -> None:
    """An alias alone hosts nothing."""
    assert traffic(locally("a@b.test"), aliases={"b.test": "gone.test"}).kind is TrafficKind.RELAYED


def test_a_null_sender_from_a_local_client_charges_nobody() -> None:
    """Bounces and notices of this host are never charged."""
    found = traffic(locally(""))
    assert found == Traffic(TrafficKind.SCRIPT, "", Sure.NOBODY, "", "")


# the Unix user behind a local client

CUSTOMERS = {"local_users": {"web7": "example.net"}}
SOFTWARE = Lists(users=frozenset({"list"}))


@pytest.mark.parametrize("sender", ["www@example.org", "web7@example.net", "x@invented.test", "web7@mx.host.test"])
@pytest.mark.parametrize("context", ["", "mailman", "local-login"])
def test_a_unix_user_with_an_account_is_charged_whatever_mail_from_says(sender: str, context: str) -> None:
    """He is verified, also in a context that verifies senders or that the list software has for itself."""
    request = locally(sender, policy_context=context)
    found = traffic(request, user="web7", lists=MAILMAN, verified_contexts=frozenset({"local-login"}), **CUSTOMERS)
    assert found == Traffic(TrafficKind.SCRIPT, "example.net", Sure.VERIFIED, "web7@example.net", sender)


def test_a_unix_user_is_found_as_logins_are() -> None:
    """The map of local users is in lower case."""
    assert traffic(locally(), user="Web7", **CUSTOMERS).account == "example.net"


@pytest.mark.parametrize("user", ["", "postfix", "www-data", "root"])
def test_a_unix_user_without_an_account_says_nothing(user: str) -> None:
    """The sender decides then, as if no user were known."""
    for request in (locally(), locally("x@invented.test"), locally(policy_context="mailman"), locally("")):
        known = traffic(request, user=user, lists=MAILMAN, **CUSTOMERS)
        assert known == traffic(request, lists=MAILMAN, **CUSTOMERS)


def test_the_list_softwares_user_is_a_verified_list() -> None:
    """What a Unix user of lists.users sends for a hosted domain is list traffic, whatever local_users has for him."""
    found = traffic(
        locally("news-bounces@example.org"), user="list", lists=SOFTWARE, local_users={"list": "example.net"}
    )
    assert (found.kind, found.account, found.sure) == (TrafficKind.LIST, "example.org", Sure.VERIFIED)
    assert traffic(locally("x@invented.test"), user="list", lists=SOFTWARE).kind is TrafficKind.RELAYED


@pytest.mark.parametrize(
    ("request_", "asks"),
    [
        (locally(), True),
        (locally(policy_context="mailman"), True),
        (locally(""), False),
        (locally(sasl_username="alice@example.org"), False),
        (asked(), False),
    ],
    ids=["local", "list software's context", "null sender", "login", "inbound"],
)
def test_the_kernel_is_asked_only_where_it_matters(request_: PolicyRequest, asks: bool) -> None:
    """Logins, null senders and inbound mail need no look-up; nothing does where no user is named."""
    assert Attribution(config(accounts=CUSTOMERS)).asks_user(request_) is asks
    assert Attribution(config(lists=SOFTWARE)).asks_user(request_) is asks
    assert Attribution(config()).asks_user(request_) is False


# 4. anybody else


@pytest.mark.parametrize("client", [FOREIGN, "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0", "unknown", ""])
def test_a_spoofed_sender_from_a_foreign_client_charges_nobody(client: str) -> None:
    """A stranger who writes a customer's address into MAIL FROM spends nothing of his."""
    found = traffic(asked(sender="alice@example.org", client_address=client))
    assert found == Traffic(TrafficKind.INBOUND, "", Sure.NOBODY, "", "alice@example.org")


@pytest.mark.parametrize("context", ["local-login", "mailman"])
def test_a_spoofed_sender_is_not_verified_by_a_context(context: str) -> None:
    """A context that verifies local senders does nothing for a foreign client."""
    assert traffic(asked(policy_context=context), verified_contexts=frozenset({context})).sure is Sure.NOBODY


# for all of them

wire_text = st.binary(max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@given(login=wire_text, sender=wire_text, recipient=wire_text, client=st.one_of(wire_text, st.just("127.0.0.1")))
def test_nothing_that_postfix_can_send_crashes_it(login: str, sender: str, recipient: str, client: str) -> None:
    """Every request is attributed, and it has an account exactly when somebody is charged."""
    request = asked(sasl_username=login, sender=sender, recipient=recipient, client_address=client)
    found = traffic(request, default_domain="example.net")
    assert bool(found.account) == (found.sure is not Sure.NOBODY)


@given(one=st.binary(max_size=8), other=st.binary(max_size=8), default=st.sampled_from(["", "example.net"]))
def test_undecodable_bytes_never_merge_two_customers(one: bytes, other: bytes, default: str) -> None:
    """Logins whose domains differ in an undecodable byte are charged to two accounts."""
    domains = [raw.decode("utf-8", "surrogateescape") for raw in (b"\xff" + one, b"\xfe" + other) if b"@" not in raw]
    found = {traffic(by_login(f"a@{domain}"), default_domain=default).account for domain in domains}
    assert len(found) == len(domains)


def test_only_so_many_clients_are_remembered() -> None:
    """What is remembered of clients is bounded, and forgetting changes no answer."""
    attribution = Attribution(config())
    assert [attribution.traffic(locally()).kind for _ in range(2)] == [TrafficKind.SCRIPT] * 2
    for number in range(_REMEMBERED_CLIENTS):
        attribution.traffic(asked(client_address=f"2001:db8::{number:x}"))
    assert len(attribution._local) <= _REMEMBERED_CLIENTS
    assert attribution.traffic(locally()).kind is TrafficKind.SCRIPT


@pytest.mark.parametrize(
    ("client", "inside"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.1.2.3", False),
        ("IPv6:2001:db8::7", True),
        ("unknown", False),
    ],
)
def test_a_client_is_within_a_network(client: str, inside: bool) -> None:
    """Addresses are compared as numbers, as Postfix writes them; a mapped IPv4 address is that IPv4 address."""
    assert within(client, networks("10.0.0.0/8", "2001:db8::/32")) is inside
