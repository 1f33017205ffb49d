"""The Postfix that the e2e tests share: the ports of a hosting server, and a few faulty ones."""

from pathlib import Path

from tests.support.ports import free_port
from tests.support.postfix import Postfix
from tests.support.postfix_files import Port
from tests.support.readme import blocks

PICKUP_PORT = "10027"
"""The port of the README's re-injection, replaced by a free one."""

LIST_PORT = "10028"
"""The port of the README's list software, replaced by a free one."""

PACE_PORT = "2526"
"""The port where the README's slow transport hands mail back, replaced by a free one."""

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
    lists                the recipe's port for list software
    lists-default        as lists, with the error limits that Postfix has by itself
    """
    number, lists = free_port(), free_port()
    host = Postfix(sasl, next_hop)
    contexts = {"pickup": "pickup", "lists": "mailman"}
    main = (f"policyd_{name} = {host.check(f'policy_context={context}')}\n" for name, context in contexts.items())
    host.append(main="".join(main), master=master_recipe(number) + list_recipe(lists))
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
    host.add("lists-default", _asks(host.check("policy_context=mailman")))
    host.ports["pickup"] = Port("pickup", number=number, written=False)
    host.ports["lists"] = Port("lists", number=lists, written=False)
    return host


def _asks(check: str) -> dict[str, str]:
    return {"smtpd_recipient_restrictions": f"{check}, {_AFTER}", "smtpd_end_of_data_restrictions": check}


def master_recipe(number: int) -> str:
    """Return the README's lines for master.cf with the port of the re-injection replaced."""
    return _recipe("master.cf pickup", PICKUP_PORT, number, times=2)


def list_recipe(number: int) -> str:
    """Return the README's lines for the port of list software, with the port replaced."""
    return _recipe("master.cf lists", LIST_PORT, number, times=1)


def pace_recipe(number: int) -> str:
    """Return the README's lines for the transport that keeps a pace, with the port of its way back replaced."""
    return _recipe("master.cf pace", PACE_PORT, number, times=1)


def _recipe(name: str, port: str, number: int, times: int) -> str:
    text = blocks(name)
    assert text.count(port) == times
    return text.replace(port, str(number))
