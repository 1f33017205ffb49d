"""Whether policyd is asked: at all, before any permit, once, and at the end of the message."""

import pytest

from policyd.audit.postfix import Finding, Severity
from tests.support.postfix_lab import ENTRY, Lab, errors, none, the

pytestmark = pytest.mark.e2e

NOT_ASKED = "policyd is not asked, so this mail is not counted"
NO_END = "policyd is not asked at the end of the message"
AFTER = "policyd is listed after"
TIMES = "times about each recipient"


def test_a_missing_service_is_found(lab: Lab) -> None:
    """Ports that inherit a list without policyd are one finding, with the whole list to write."""
    lab.main("smtpd_recipient_restrictions = permit_mynetworks reject_rbl_client dnsbl.example, permit")

    assert the(lab.audit(), NOT_ASKED) == Finding(
        Severity.ERROR,
        "smtpd_recipient_restrictions",
        f"{NOT_ASKED} (smtp (25), submission (587))",
        f"# main.cf\nsmtpd_recipient_restrictions = {ENTRY}, "
        "permit_mynetworks, reject_rbl_client dnsbl.example, permit",
    )


def test_what_is_written_for_a_missing_service_cures_it(lab: Lab) -> None:
    """After both lists were written as told nothing about asking is left."""
    for finding in errors(lab.audit()):
        lab.obey(finding)

    assert errors(lab.audit()) == []


def test_a_port_of_its_own_that_lacks_the_service_is_found(lab: Lab) -> None:
    """A port whose -o replaces the list is found alone, and gets an -o line to write."""
    lab.good().below("submission inet", "  -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject")

    finding = the(lab.audit(), NOT_ASKED)

    assert finding == Finding(
        Severity.ERROR,
        "submission (587)",
        NOT_ASKED,
        "# master.cf, below submission inet\n"
        f"  -o {{ smtpd_recipient_restrictions = {ENTRY}, permit_sasl_authenticated, reject }}",
    )
    assert none(lab.obey(finding).audit(), NOT_ASKED)


@pytest.mark.parametrize("endpoint", ["unix:other/policy", "inet:127.0.0.1:10031"])
def test_a_service_that_is_not_policyd_does_not_count(lab: Lab, endpoint: str) -> None:
    """An entry that leads elsewhere is named, beside what policyd listens on."""
    lab.main(f"smtpd_recipient_restrictions = check_policy_service {endpoint}")

    problem = the(lab.audit(), NOT_ASKED).problem

    assert f"{endpoint} is something else, policyd listens on unix:{lab.queue}/policyd/policy" in problem


@pytest.mark.parametrize(
    "permit", ["permit", "permit_mynetworks", "permit_sasl_authenticated", "permit_auth_destination"]
)
@pytest.mark.parametrize("parameter", ["smtpd_recipient_restrictions", "smtpd_end_of_data_restrictions"])
def test_a_service_after_a_permit_is_found(lab: Lab, parameter: str, permit: str) -> None:
    """Each permit before policyd in the same list is found, and the list is given in its right order."""
    lab.good().main(f"{parameter} = {permit}, $policyd_check, reject")

    finding = the(lab.audit(), AFTER)

    assert (finding.severity, finding.where) == (Severity.ERROR, parameter)
    assert finding.problem.startswith(f"policyd is listed after {permit} and is never asked")
    assert finding.write == f"# main.cf\n{parameter} = {ENTRY}, {permit}, reject"
    assert errors(lab.obey(finding).audit()) == []


def test_a_permit_in_another_list_is_no_fault(lab: Lab) -> None:
    """Permits of the client, sender and relay lists end only their own list."""
    lab.good().main(
        "smtpd_client_restrictions = permit_mynetworks, reject_unknown_client_hostname\n"
        "smtpd_sender_restrictions = permit_sasl_authenticated\nsmtpd_relay_restrictions = permit_mynetworks, reject"
    )

    assert errors(lab.audit()) == []


def test_a_permit_inside_a_class_is_found(lab: Lab) -> None:
    """A restriction class that permits before policyd ends the list as well; the line is freed of it."""
    lab.good().main(
        "smtpd_restriction_classes = ours\nours = permit_mynetworks, $policyd_check\n"
        "smtpd_recipient_restrictions = ours, reject"
    )

    finding = the(lab.audit(), AFTER)

    assert finding.write == f"# main.cf\nsmtpd_recipient_restrictions = {ENTRY}, permit_mynetworks, reject"
    assert errors(lab.obey(finding).audit()) == []


def test_a_service_in_a_delayed_list_is_enough(lab: Lab) -> None:
    """A check in the sender list is asked at every RCPT, so that nothing is missing."""
    lab.good().main(
        "smtpd_sender_restrictions = $policyd_check\nsmtpd_recipient_restrictions = permit_mynetworks, reject"
    )

    assert errors(lab.audit()) == []


def test_a_list_that_is_not_delayed_is_not_enough(lab: Lab) -> None:
    """With smtpd_delay_reject=no the sender list is asked at MAIL, where nothing can be counted."""
    lab.good().main(
        "smtpd_delay_reject = no\nsmtpd_sender_restrictions = $policyd_check\n"
        "smtpd_recipient_restrictions = permit_mynetworks, reject"
    )

    assert the(lab.audit(), NOT_ASKED).where == "smtpd_recipient_restrictions"


@pytest.mark.parametrize("other", ["client", "helo", "sender", "relay"])
def test_a_service_that_is_listed_twice_is_found(lab: Lab, other: str) -> None:
    """A policyd in a second list of the same RCPT is found; the line to write leaves it in the recipient list."""
    parameter = f"smtpd_{other}_restrictions"
    lab.good().main(f"{parameter} = permit_mynetworks, $policyd_check, reject")

    finding = the(lab.audit(), TIMES, parameter)

    assert finding.severity is Severity.WARNING
    assert finding.problem.startswith("policyd is asked 2 times about each recipient, by smtpd_")
    assert finding.write == f"# main.cf\n{parameter} = permit_mynetworks, reject"
    assert none(lab.obey(finding).audit(), TIMES)


def test_a_service_twice_in_one_list_is_found(lab: Lab) -> None:
    """Twice in the recipient list is twice; once is left."""
    lab.good().main(f"smtpd_recipient_restrictions = $policyd_check, reject_unknown_recipient_domain, {ENTRY}")

    finding = the(lab.audit(), TIMES)

    assert "asked 2 times about each recipient, by smtpd_recipient_restrictions" in finding.problem
    assert finding.write == f"# main.cf\nsmtpd_recipient_restrictions = {ENTRY}, reject_unknown_recipient_domain"
    assert none(lab.obey(finding).audit(), TIMES)


def test_a_service_twice_outside_of_the_recipient_list_is_found(lab: Lab) -> None:
    """Twice in one delayed list is found; a port with a recipient list of its own clears the other one."""
    lab.good().main(
        f"smtpd_sender_restrictions = {ENTRY}, {ENTRY}\nsmtpd_recipient_restrictions = permit_mynetworks, reject"
    )

    shared = the(lab.audit(), TIMES, "smtpd_sender_restrictions")
    own = the(lab.audit(), TIMES, "127.0.0.1:10027")

    assert shared.write == f"# main.cf\nsmtpd_sender_restrictions = {ENTRY}"
    assert own.write == "# master.cf, below 127.0.0.1:10027 inet\n  -o smtpd_sender_restrictions="
    assert none(lab.obey(shared).obey(own).audit(), TIMES)


def test_not_delayed_lists_do_not_ask_twice(lab: Lab) -> None:
    """With smtpd_delay_reject=no the client list is asked at CONNECT, not at RCPT."""
    lab.good().main("smtpd_delay_reject = no\nsmtpd_client_restrictions = $policyd_check")

    assert none(lab.audit(), TIMES)


def test_a_port_without_the_end_of_message_check_is_found(lab: Lab) -> None:
    """A port that clears the end-of-data list settles nothing, and only that port."""
    lab.good().below("submission inet", "  -o smtpd_end_of_data_restrictions=")

    finding = the(lab.audit(), NO_END)

    assert (finding.severity, finding.where) == (Severity.ERROR, "submission (587)")
    assert finding.write == (f"# master.cf, below submission inet\n  -o {{ smtpd_end_of_data_restrictions = {ENTRY} }}")
    assert none(lab.obey(finding).audit(), NO_END)


def test_the_end_of_message_check_keeps_the_context_of_the_recipients(lab: Lab) -> None:
    """The line to write has the entry that the port uses for recipients, so that both share a connection."""
    entry = ENTRY.replace("DUNNO }", "DUNNO, policy_context=mua }")
    lab.good().below(
        "submission inet", f"  -o {{ smtpd_recipient_restrictions = {entry} }}", "  -o smtpd_end_of_data_restrictions="
    )

    assert f"smtpd_end_of_data_restrictions = {entry}" in the(lab.audit(), NO_END).write


def test_settlement_at_the_recipient_needs_no_end(lab: Lab) -> None:
    """Where accounts.settle is recipient, a port without the check is right."""
    lab.good().main("smtpd_end_of_data_restrictions =")

    assert none(lab.audit(accounts__settle_at_end=False), NO_END)
    assert not none(lab.audit(), NO_END)


def test_charging_at_the_end_needs_the_end_only(lab: Lab) -> None:
    """Where charge_at is end-of-message, the recipient list need not ask, the end-of-data list must."""
    lab.good().main("smtpd_recipient_restrictions = permit_mynetworks, reject")
    charging = {"accounts__charge_at_end": True}

    assert none(lab.audit(**charging), NOT_ASKED)
    lab.main("smtpd_end_of_data_restrictions =")
    assert the(lab.audit(**charging), NOT_ASKED).where == "smtpd_end_of_data_restrictions"


def test_different_contexts_are_found(lab: Lab) -> None:
    """A policy_context at the end that the recipients did not have settles nothing."""
    entry = ENTRY.replace("DUNNO }", "DUNNO, policy_context=end }")
    lab.good().main(f"smtpd_end_of_data_restrictions = {entry}")

    finding = the(lab.audit(), "settles nothing")

    assert finding.problem.startswith('policy_context is "" for recipients and "end" at the end of the message')
    assert finding.write == f"# main.cf\nsmtpd_end_of_data_restrictions = {ENTRY}"
    assert none(lab.obey(finding).audit(), "settles nothing")


def test_warn_if_reject_is_found(lab: Lab) -> None:
    """warn_if_reject would let pass what policyd refuses; the cure is mode: observe."""
    lab.good().main("smtpd_recipient_restrictions = warn_if_reject $policyd_check, permit_mynetworks, reject")

    finding = the(lab.audit(), "mode: observe")

    assert finding.write == f"# main.cf\nsmtpd_recipient_restrictions = {ENTRY}, permit_mynetworks, reject"
    assert none(lab.obey(finding).audit(), "mode: observe")
