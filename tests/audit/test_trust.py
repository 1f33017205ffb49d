"""Who can speak to policyd besides Postfix, and who can speak through Postfix in another's name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from policyd.audit.postfix import Severity, audit
from policyd.conf.schema import Endpoint
from tests.support.postfix_lab import ENTRY, Lab, config_of, errors, none, the

pytestmark = pytest.mark.e2e

SOCKET = "every user of this host can ask in any customer's name"
TCP = "every program that reaches it can ask in any customer's name"
LOCAL = "can connect and send in another local customer's name"
LOGINS = "can connect without a login"
LISTS = "can connect and pass for the list software"
PAST = "any local user can connect and hand in mail that policyd is not asked about"
SENDMAIL = "take any sender from any user"
VERIFIED = "its policy_context makes senders verified"
REFUSED = "refused members of a list Postfix answers 421"
SLOWED = "refused members of a list Postfix waits 1 s before each answer"
ANYBODY = "but anybody can connect to it"

LIST_PORT = f"""\
127.0.0.1:10030 inet n - n - - smtpd
  -o {{ smtpd_recipient_restrictions = {ENTRY.replace("DUNNO", "DUNNO, policy_context=mailman")}, permit }}
  -o {{ smtpd_end_of_data_restrictions = {ENTRY.replace("DUNNO", "DUNNO, policy_context=mailman")} }}
  -o smtpd_hard_error_limit=5000
  -o smtpd_soft_error_limit=5000
"""
MAILMAN = {"lists__contexts": frozenset({"mailman"})}


def test_a_socket_that_will_be_open_to_all_is_found(lab: Lab) -> None:
    """A postfix_mode that gives others any right is found, with the mode to write."""
    finding = the(lab.good().audit(listen__postfix_mode=0o666), SOCKET)

    assert (finding.severity, finding.where) == (Severity.ERROR, "listen.postfix_mode")
    assert finding.problem.startswith("0666 opens the policy socket")
    assert finding.write == '# policyd.yaml\nlisten:\n  postfix_mode: "0660"'


def test_a_socket_that_is_open_to_all_is_found(lab: Lab) -> None:
    """The mode of the real socket counts as well, until it is put right."""
    path = Path(lab.queue, "policyd", "policy")
    path.touch()
    path.chmod(0o664)

    finding = the(lab.good().audit(), SOCKET)

    assert (finding.severity, finding.where) == (Severity.ERROR, str(path))
    assert finding.write.splitlines()[1] == f"chmod 0660 {path}"
    path.chmod(0o660)
    assert none(lab.audit(), SOCKET)


def test_the_mode_does_not_matter_without_a_socket(lab: Lab) -> None:
    """With TCP alone there is no socket to open."""
    tcp = (Endpoint(host="127.0.0.1", port=10031),)

    assert none(lab.good().audit(listen__postfix_mode=0o666, listen__postfix=tcp), SOCKET)


def test_tcp_without_trust_is_found(lab: Lab) -> None:
    """TCP is an error without trust_tcp and a note with it; the unix socket is the line to write."""
    tcp = {"listen__postfix": (Endpoint(host="127.0.0.1", port=10031),)}
    lab.good()

    finding = the(lab.audit(**tcp), TCP)

    assert (finding.severity, finding.where) == (Severity.ERROR, "listen.postfix")
    assert finding.problem.startswith("policyd listens on TCP, 127.0.0.1:10031 and trust_tcp is not set")
    assert finding.write == f'# policyd.yaml\nlisten:\n  postfix: ["unix:{lab.queue}/policyd/policy"]'
    assert the(lab.audit(**tcp, listen__trust_tcp=True), TCP).severity is Severity.NOTE
    assert none(lab.audit(), TCP)


def test_local_senders_without_proof_are_noted(lab: Lab) -> None:
    """Ports that local users reach are named, with a firewall that can tell the users apart."""
    finding = the(lab.good().audit(), LOCAL)

    assert (finding.severity, finding.where) == (Severity.NOTE, "smtp (25), 127.0.0.1:10027")
    assert 'oifname "lo" tcp dport { 25, 10027 } meta skuid != { root, postfix } reject' in finding.write


@pytest.mark.parametrize("interfaces", ["192.0.2.1", "192.0.2.1, 192.0.2.2"])
def test_ports_that_loopback_does_not_reach_are_no_matter(lab: Lab, interfaces: str) -> None:
    """A Postfix that is not on loopback is not reached as 127.0.0.1; a service there of its own still is."""
    view = lab.good().view()
    # postconf itself would refuse addresses that this host does not have.
    away = replace(view, main={**view.main, "inet_interfaces": interfaces})

    assert the(audit(config_of(lab.queue), away), LOCAL).where == "127.0.0.1:10027"


def test_a_port_behind_postscreen_is_not_reached(lab: Lab) -> None:
    """An smtpd of type pass is reached through postscreen, which is no port of smtpd."""
    lab.good().drop("smtp inet").master("smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd")

    assert the(lab.audit(), LOCAL).where == "127.0.0.1:10027"


def test_a_port_for_logins_is_closed_by_postfix_itself(lab: Lab) -> None:
    """On a submission port the cure is to ask everybody for a login."""
    finding = the(lab.good().audit(), LOGINS)

    assert (finding.severity, finding.where) == (Severity.NOTE, "submission (587)")
    assert none(lab.obey(finding).audit(), LOGINS)
    assert the(lab.audit(), LOCAL).where == "smtp (25), 127.0.0.1:10027"


def test_known_unix_users_close_a_port(lab: Lab) -> None:
    """Who is in local_users sends in his own name only, so that the notes are about the others."""
    lab.good().master(LIST_PORT)
    before = lab.audit(**MAILMAN)
    after = lab.audit(**MAILMAN, accounts__local_users={"web7": "example.org"})

    for about in (LOCAL, LOGINS, LISTS):
        assert the(before, about).problem.startswith("any local user can ")
        assert the(after, about).problem.startswith("a local user who is not in accounts.local_users can ")
    assert the(before, LOCAL).write.splitlines()[1:3] == [
        "accounts:",
        '  local_users: "file:/etc/policyd/users.map"',
    ]
    assert the(after, LOCAL).write.startswith("# the file of accounts.local_users: a line for each Unix user")


@pytest.mark.parametrize(("host", "known"), [("192.0.2.5", False), ("127.0.0.1", True)])
def test_unix_users_are_known_only_where_postfix_asks_from_this_host(lab: Lab, host: str, known: bool) -> None:
    """On TCP from another address the Postfix that asks is taken for one on another host."""
    lab.good().main(f"policyd_check = {ENTRY.replace('unix:policyd/policy', f'inet:{host}:10031')}")
    found = lab.audit(listen__postfix=(Endpoint(host=host, port=10031),), accounts__local_users={"web7": "example.org"})

    assert the(found, LOCAL).problem.startswith("a local user who is not" if known else "any local user")


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"accounts__local_users": {"postfix": "example.org"}}, "accounts.local_users"),
        ({"lists__users": frozenset({"list", "postfix"})}, "lists.users"),
    ],
)
def test_postfix_itself_is_no_customer(lab: Lab, changes: dict[str, Any], where: str) -> None:
    """Mail that Postfix hands in again must not be charged to its own user, nor pass for a list's."""
    finding = the(lab.good().audit(**changes), "is Postfix itself")

    assert (finding.severity, finding.where) == (Severity.ERROR, where)
    assert none(
        lab.audit(lists__users=frozenset({"list"}), accounts__local_users={"web7": "example.org"}), "is Postfix"
    )


def test_no_local_clients_means_no_local_senders(lab: Lab) -> None:
    """With empty local_clients nobody is believed for his address."""
    findings = lab.good().audit(accounts__local_clients=())

    assert none(findings, LOCAL)
    assert none(findings, LOGINS)
    assert none(findings, SENDMAIL)


def test_a_silent_port_is_a_way_past_policyd(lab: Lab) -> None:
    """Where filtered mail comes back any local user can hand in mail uncounted."""
    lab.good().main("content_filter = scan:[127.0.0.1]:10024").master(
        "scan unix - - n - 2 smtp\n127.0.0.1:10025 inet n - n - - smtpd\n  -o content_filter=\n"
        "  -o smtpd_recipient_restrictions=permit_mynetworks,reject\n  -o smtpd_end_of_data_restrictions="
    )

    finding = the(lab.audit(), PAST)

    assert (finding.severity, finding.where) == (Severity.NOTE, "127.0.0.1:10025")
    assert "tcp dport { 10025 }" in finding.write


def test_sendmail_that_believes_every_user_is_noted(lab: Lab) -> None:
    """Without local_login_sender_maps sendmail(1) takes any sender; with them the note is gone."""
    finding = the(lab.good().audit(), SENDMAIL)

    assert (finding.severity, finding.where) == (Severity.NOTE, "local_login_sender_maps")
    assert "local_login_sender_maps = inline:{ { root = * }, { postfix = * } }, hash:" in finding.write
    assert none(lab.obey(finding).audit(), SENDMAIL)


def test_a_verified_context_without_proof_is_found(lab: Lab) -> None:
    """A context of verified_contexts needs local_login_sender_maps behind it."""
    verified = {"accounts__verified_contexts": frozenset({"pickup"})}

    finding = the(lab.good().audit(**verified), VERIFIED)

    assert (finding.severity, finding.where) == (Severity.ERROR, "127.0.0.1:10027")
    assert none(lab.audit(**verified), SENDMAIL)
    assert none(lab.obey(finding).audit(**verified), VERIFIED)


def test_a_verified_context_that_anybody_uses_is_found(lab: Lab) -> None:
    """A context of verified_contexts on a port that is not pickup's verifies nobody."""
    lab.good().main("smtpd_policy_service_policy_context = mx")
    verified = {"accounts__verified_contexts": frozenset({"mx", "panel", "web"})}

    found = [one for one in lab.audit(**verified) if VERIFIED in one.problem]

    assert [one.where for one in found] == ["smtp (25)", "submission (587)"]
    assert found[0].write == "# policyd.yaml\naccounts:\n  verified_contexts: [panel, web]"


def test_a_list_port_is_right(lab: Lab) -> None:
    """A loopback port with raised error limits has no error; that local users reach it is noted."""
    findings = lab.good().master(LIST_PORT).audit(**MAILMAN)

    assert errors(findings) == []
    assert the(findings, LISTS).where == "127.0.0.1:10030"
    assert the(findings, LOCAL).where == "smtp (25), 127.0.0.1:10027"


@pytest.mark.parametrize(("limit", "problem"), [("hard", REFUSED), ("soft", SLOWED)])
def test_a_list_port_that_hangs_up_is_found(lab: Lab, limit: str, problem: str) -> None:
    """An error limit that one list's refusals can reach is found, with what it does, on the list port only."""
    lab.good().master(LIST_PORT).below("127.0.0.1:10030 inet", f"  -o smtpd_{limit}_error_limit=1000")

    finding = the(lab.audit(**MAILMAN), problem)

    assert (finding.severity, finding.where) == (Severity.ERROR, "127.0.0.1:10030")
    assert none(lab.audit(), problem)
    assert none(lab.obey(finding).audit(**MAILMAN), problem)


@pytest.mark.parametrize("names", [{"mailman"}, {"10030"}])
def test_a_list_port_with_postfix_s_own_error_limits_is_found(lab: Lab, names: set[str]) -> None:
    """Limits that nobody has set are found as well, on a port that is known by its context or its number."""
    lines = LIST_PORT.splitlines(keepends=True)
    lab.good().master("".join(line for line in lines if "_error_limit" not in line))
    known = {"lists__contexts": frozenset(names)}

    finding = the(lab.audit(**known), REFUSED)

    assert finding.problem.startswith("after 20 refused members")
    assert none(lab.obey(finding).audit(**known), REFUSED)


@pytest.mark.parametrize("names", [{"mailman"}, {"10030"}])
def test_a_list_port_that_strangers_reach_is_found(lab: Lab, names: set[str]) -> None:
    """A port whose context or number is the list software's own must be closed to others."""
    lab.good().master(LIST_PORT.replace("127.0.0.1:10030", "10030"))

    finding = the(lab.audit(lists__contexts=frozenset(names)), ANYBODY)

    assert (finding.severity, finding.where) == (Severity.ERROR, "10030")
    assert none(lab.obey(finding).audit(lists__contexts=frozenset(names)), ANYBODY)
