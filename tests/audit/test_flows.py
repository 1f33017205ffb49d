"""Mail that policyd is not asked about because of its way through Postfix, or asked about again."""

import pytest

from policyd.audit.postfix import Severity
from tests.support.postfix_lab import ENTRY, Lab, errors, none, the

pytestmark = pytest.mark.e2e

NOT_COUNTED = "what sendmail(1) and PHP's mail() send is not counted"
AGAIN = "comes in here and policyd is asked again"
BOUNCES = "bounces to a sender that the script made up"
SENDMAIL = "if it gives mail back with sendmail(1)"
PASSED = "policyd is not asked here; that is right only"

RETURN = """\
127.0.0.1:10025 inet n - n - - smtpd
  -o content_filter=
  -o mynetworks=127.0.0.0/8
  -o smtpd_recipient_restrictions=permit_mynetworks,reject
  -o smtpd_end_of_data_restrictions=
"""
ASKING_RETURN = f"""\
127.0.0.1:10025 inet n - n - - smtpd
  -o content_filter=
  -o {{ smtpd_recipient_restrictions = {ENTRY}, permit_mynetworks, reject }}
"""
PLAIN_PICKUP = "pickup unix n - n 60 1 pickup"


def filtered(lab: Lab) -> Lab:
    """Return the recommended configuration with a content filter outside of Postfix."""
    return lab.good().main("content_filter = scan:[127.0.0.1]:10024").master("scan unix - - n - 2 smtp")


def test_pickup_that_goes_past_policyd_is_found(lab: Lab) -> None:
    """Mail from sendmail(1) is not counted without a re-injection; the recipe to write counts it."""
    lab.good().drop("pickup unix").drop("policyd-pickup unix").drop("127.0.0.1:10027 inet").master(PLAIN_PICKUP)

    finding = the(lab.audit(), NOT_COUNTED)

    assert (finding.severity, finding.where) == (Severity.ERROR, "pickup/unix")
    assert finding.write.startswith("# master.cf, in the place of the entry pickup\npickup ")
    assert "policy_context=pickup" in finding.write
    assert errors(lab.obey(finding).audit()) == []
    assert none(lab.audit(), BOUNCES)


def test_pickup_that_ends_at_a_port_without_policyd_is_found(lab: Lab) -> None:
    """A re-injection to a port that does not ask counts nothing; both ends are named."""
    lab.good().below("127.0.0.1:10027 inet", "  -o smtpd_recipient_restrictions=permit_mynetworks,reject")
    lab.below("127.0.0.1:10027 inet", "  -o smtpd_end_of_data_restrictions=")

    findings = lab.audit()

    assert the(findings, NOT_COUNTED).where == "pickup/unix"
    assert the(findings, "policyd is not asked, so").where == "127.0.0.1:10027"


def test_a_pickup_filter_outside_of_postfix_counts_nothing(lab: Lab) -> None:
    """A content_filter of main.cf that leads to no smtpd here leaves pickup uncounted."""
    filtered(lab).master(RETURN).drop("pickup unix").master(PLAIN_PICKUP)

    assert not none(lab.audit(), NOT_COUNTED)


@pytest.mark.parametrize("nexthop", ["[127.0.0.1]:10027", "127.0.0.1:10027", "localhost:10027"])
def test_the_next_hop_of_pickup_is_understood(lab: Lab, nexthop: str) -> None:
    """The re-injection is found however its address is written."""
    lab.good().below("pickup unix", f"  -o content_filter=policyd-pickup:{nexthop}")

    assert none(lab.audit(), NOT_COUNTED)


@pytest.mark.parametrize("nexthop", ["[127.0.0.1]:10028", "[127.0.0.2]:10027", "dummy", ""])
def test_a_next_hop_that_is_no_port_of_ours_counts_nothing(lab: Lab, nexthop: str) -> None:
    """Another port, another address or no address at all is no re-injection to policyd."""
    lab.good().below("pickup unix", f"  -o content_filter=policyd-pickup:{nexthop}")

    assert not none(lab.audit(), NOT_COUNTED)


def test_a_host_without_sendmail_needs_no_recipe(lab: Lab) -> None:
    """Without pickup, or with nobody who may submit, there is nothing to count."""
    lab.good().drop("pickup unix")
    assert none(lab.audit(), NOT_COUNTED)
    lab.master(PLAIN_PICKUP)
    assert not none(lab.audit(), NOT_COUNTED)
    lab.main("authorized_submit_users =")
    assert none(lab.audit(), NOT_COUNTED)


def test_a_re_injection_that_bounces_is_found(lab: Lab) -> None:
    """Without soft_bounce a refusal goes to an invented sender; on either side of the hop it is enough."""
    lab.good().below("policyd-pickup unix", "  -o soft_bounce=no")

    finding = the(lab.audit(), BOUNCES)

    assert (finding.severity, finding.where) == (Severity.WARNING, "127.0.0.1:10027")
    assert finding.write == "# master.cf, below 127.0.0.1:10027 inet\n  -o soft_bounce=yes"
    assert none(lab.obey(finding).audit(), BOUNCES)


def test_the_recommended_soft_bounce_is_right(lab: Lab) -> None:
    """soft_bounce of the re-injecting transport is seen."""
    assert none(lab.good().audit(), BOUNCES)


def test_a_re_entry_port_that_asks_is_found(lab: Lab) -> None:
    """Where filtered mail comes back policyd must not be asked: inbound mail would be a local script's."""
    filtered(lab).master(ASKING_RETURN)

    finding = the(lab.audit(), AGAIN)

    assert (finding.severity, finding.where) == (Severity.ERROR, "127.0.0.1:10025")
    assert finding.problem.startswith("filtered mail comes in here")
    assert finding.write == (
        "# master.cf, below 127.0.0.1:10025 inet\n"
        "  -o { smtpd_recipient_restrictions = permit_mynetworks, reject }\n"
        "  -o smtpd_end_of_data_restrictions="
    )
    assert errors(lab.obey(finding).audit()) == []


def test_a_re_entry_port_that_inherits_the_end_check_is_found(lab: Lab) -> None:
    """A re-entry port that only inherits main.cf's end-of-data list is asked as well, and nothing else is said."""
    filtered(lab).master(RETURN.replace("  -o smtpd_end_of_data_restrictions=\n", ""))

    findings = lab.audit()

    assert errors(findings) == [the(findings, AGAIN)]
    assert errors(lab.obey(the(findings, AGAIN)).audit()) == []


def test_a_re_entry_port_that_is_silent_is_right(lab: Lab) -> None:
    """The set-up of FILTER_README with policyd in front of the filter has no error."""
    findings = filtered(lab).master(RETURN).audit()

    assert errors(findings) == []
    assert none(findings, PASSED)


def test_a_loopback_port_beside_the_re_entry_port_may_ask(lab: Lab) -> None:
    """List software's own port on loopback asks and does not filter; filtered mail comes back elsewhere."""
    filtered(lab).master(RETURN).master(ASKING_RETURN.replace("10025", "10030"))

    assert none(lab.audit(), AGAIN)


def test_pickup_into_the_re_entry_port_is_found(lab: Lab) -> None:
    """When pickup is sent to the port where filtered mail comes back, inbound mail is asked about there."""
    filtered(lab).drop("127.0.0.1:10027 inet").master(ASKING_RETURN)
    lab.below("pickup unix", "  -o content_filter=policyd-pickup:[127.0.0.1]:10025")

    assert the(lab.audit(), AGAIN).where == "127.0.0.1:10025"


def test_a_filter_that_is_a_port_of_postfix_is_found(lab: Lab) -> None:
    """A global content_filter that leads to the asking port sends inbound mail there again."""
    lab.good().main("content_filter = policyd-pickup:[127.0.0.1]:10027")
    lab.below("127.0.0.1:10027 inet", "  -o content_filter=")

    finding = the(lab.audit(), AGAIN)

    assert finding.where == "127.0.0.1:10027"
    assert finding.problem.startswith("the mail of smtp (25) comes in here")


def test_a_filter_that_is_a_silent_port_of_postfix_is_right(lab: Lab) -> None:
    """An smtpd that another one hands all its mail to need not ask."""
    lab.good().below("smtp inet", "  -o content_filter=policyd-pickup:[127.0.0.1]:10026")
    lab.master(RETURN.replace("127.0.0.1:10025", "10026"))

    assert errors(lab.audit()) == []


def test_a_proxy_filter_counts_as_a_filter(lab: Lab) -> None:
    """Mail comes back from smtpd_proxy_filter as well (SMTPD_PROXY_README)."""
    lab.good().below("smtp inet", "  -o smtpd_proxy_filter=127.0.0.1:10024").master(ASKING_RETURN)
    lab.below("127.0.0.1:10027 inet", "  -o smtpd_proxy_filter=127.0.0.1:10024")

    assert the(lab.audit(), AGAIN).where == "127.0.0.1:10025"


def test_a_filter_that_is_a_pipe_is_found(lab: Lab) -> None:
    """A simple content filter gives mail back with sendmail(1), so that pickup asks again."""
    lab.good().below("smtp inet", "  -o content_filter=spam:dummy").master(
        "spam unix - n n - 10 pipe user=filter argv=/usr/local/bin/spam -f ${sender} -- ${recipient}"
    )

    finding = the(lab.audit(), SENDMAIL)

    assert (finding.severity, finding.where) == (Severity.WARNING, "smtp (25)")
    assert finding.problem.startswith("the filter spam is a pipe")


def test_a_pipe_without_a_re_injection_is_no_matter(lab: Lab) -> None:
    """Where pickup does not ask, mail that comes back through it is not asked about."""
    lab.good().below("pickup unix", "  -o content_filter=").below("smtp inet", "  -o content_filter=spam:dummy")
    lab.master("spam unix - n n - 10 pipe user=filter argv=/usr/local/bin/spam")

    assert none(lab.audit(), SENDMAIL)


def test_a_silent_loopback_port_without_a_filter_is_noted(lab: Lab) -> None:
    """A port for mail that comes back, with no filter it could come from, is noted and no error."""
    findings = lab.good().master(RETURN).audit()

    finding = the(findings, PASSED)

    assert errors(findings) == []
    assert (finding.severity, finding.where) == (Severity.NOTE, "127.0.0.1:10025")
    assert f"  -o {{ smtpd_recipient_restrictions = {ENTRY}, permit_mynetworks, reject }}" in finding.write
    assert none(lab.obey(finding).audit(), PASSED)


def test_a_silent_port_that_strangers_reach_is_an_error(lab: Lab) -> None:
    """A port without policyd that is open to all is no port for mail that comes back."""
    lab.good().master(RETURN.replace("127.0.0.1:10025", "10025"))

    assert the(lab.audit(), "policyd is not asked, so").where == "10025"
