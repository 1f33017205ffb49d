"""The Postfix that the e2e tests share: the ports of a hosting server, and a few faulty ones."""

from pathlib import Path

from tests.support.ports import free_port
from tests.support.postfix import Postfix
from tests.support.postfix_files import Port
from tests.support.readme import blocks

PICKUP_PORT = "10027"
"""The port of the README's re-injection, replaced by a free one."""

_AFTER = "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination"


def mailhost(sasl: Path, next_hop: int) -> Postfix:
    """Return a Postfix that has not started yet, with these ports.

    smtp                 what port 25 is: from LOCAL local, from FOREIGN inbound
    submission           what port 587 is: SASL login needed
    smtp-final           as smtp, without the end-of-message check
    submission-final     as submission, without the end-of-message check
    brief                as smtp, with one SMTP session for each process, so that its end is seen at once
    reconnects           as smtp, with one request for each policy connection
    hasty                as smtp, but waits only 2 s for an answer
    pickup               where the recipe injects mail from sendmail(1) again
    """
    number = free_port()
    host = Postfix(sasl, next_hop)
    host.append(main=f"policyd_pickup = {host.check('policy_context=pickup')}\n", master=master_recipe(number))
    login = {
        "smtpd_sasl_auth_enable": "yes",
        "mynetworks": "",
        "smtpd_client_restrictions": "permit_sasl_authenticated, reject",
    }
    settled = _asks(host.check())
    final = {**settled, "smtpd_end_of_data_restrictions": ""}
    host.add("smtp", settled)
    host.add("submission", settled | login)
    host.add("smtp-final", final)
    host.add("submission-final", final | login)
    host.add("brief", settled | {"max_use": "1"})
    host.add("reconnects", _asks(host.check("request_limit=1")))
    host.add("hasty", _asks(host.check(timeout="2s")))
    host.ports["pickup"] = Port("pickup", number=number, written=False)
    return host


def _asks(check: str) -> dict[str, str]:
    return {"smtpd_recipient_restrictions": f"{check}, {_AFTER}", "smtpd_end_of_data_restrictions": check}


def master_recipe(number: int) -> str:
    """Return the README's lines for master.cf with the port of the re-injection replaced."""
    text = blocks("master.cf pickup")
    assert text.count(PICKUP_PORT) == 2
    return text.replace(PICKUP_PORT, str(number))
