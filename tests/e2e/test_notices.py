"""Notices through a real Postfix that asks policyd about them, too."""

from email import message_from_bytes

from tests.support.daemon import Serve, rate
from tests.support.postfix import Postfix
from tests.support.sink import Sink
from tests.support.smtp import send
from tests.support.wait import until


def test_a_notice_passes_though_its_own_account_is_used_up(
    postfix: Postfix, serve: Serve, sink: Sink, domain: str
) -> None:
    """The contact hears that his mail was refused; the mail to him is charged to nobody, as its null sender says."""
    target = f"notices-{domain}.sink.test"
    told = {"from": f"postmaster@{domain}", "smtp": f"127.0.0.1:{postfix.port('smtp')}", "events": ["refusal"]}
    accounts = {"domains": {domain: {"plan": "shared", "contact": f"owner@{target}"}}}
    daemon = serve([domain], {"domain-hourly": rate(2)}, accounts=accounts, notify=told)
    recipients = [f"r{number}@remote.test" for number in range(3)]
    assert send(postfix.port("smtp"), f"shop@{domain}", recipients).codes == [250, 250, 450]

    found = sink.wait(target)
    until(lambda: daemon.metric("policyd_notices_sent_total", way="mail") == 1, "the notice is counted")

    assert [str(message_from_bytes(one.content)["Auto-Submitted"]) for one in found] == ["auto-generated"]
    assert [one.sender for one in found] == ["<>"]
    assert daemon.used(domain, "domain-hourly") == 2
