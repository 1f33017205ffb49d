"""A pace that is left to a transport of Postfix."""

from ipaddress import IPv4Network

import pytest

from policyd.audit.postfix import Finding
from policyd.conf.schema import Terms, Transport
from tests.support.config import pace
from tests.support.postfix_lab import Lab, errors, the
from tests.support.readme import blocks

pytestmark = pytest.mark.e2e

SLOW = Transport("slow", IPv4Network("127.0.2.0/24"), 2526)


def paced(lab: Lab, every: int = 6000) -> list[Finding]:
    """Return the findings for a plan with a pace that the transport slow keeps."""
    return lab.audit(plans={"shared": Terms("shared", (pace(every=every, transport=SLOW),))})


def test_the_readmes_transport_is_right(lab: Lab) -> None:
    """What comes back from it need not be asked about, and is not remarked."""
    lab.good().main(blocks("main.cf pace")).master(blocks("master.cf pace"))

    assert errors(paced(lab)) == []
    assert not any("2526" in finding.where for finding in paced(lab))


def test_a_transport_that_is_not_there(lab: Lab) -> None:
    """Neither the transport nor the port where it hands mail back."""
    findings = paced(lab.good())

    assert the(findings, "master.cf has no transport slow").where == "limit list-pace"
    assert the(findings, "no smtpd takes back what slow:[127.0.2.0/24]:2526 delivers").where == "limit list-pace"


def test_a_transport_that_is_too_fast(lab: Lab) -> None:
    """Postfix's delay is what counts; the lines to write make it right."""
    lab.good().main(blocks("main.cf pace")).master(blocks("master.cf pace"))
    finding = the(paced(lab, every=9150), "slow_destination_rate_delay is less than the 9150ms of limit list-pace")

    assert errors(paced(lab.obey(finding), every=9150)) == []


def test_a_transport_that_paces_by_recipient(lab: Lab) -> None:
    """A recipient limit of 1 makes each recipient a destination."""
    lab.good().main(blocks("main.cf pace")).master(blocks("master.cf pace"))
    lab.main("slow_destination_recipient_limit = 1")
    finding = the(paced(lab), "which is no pace at all")

    assert errors(paced(lab.obey(finding))) == []
