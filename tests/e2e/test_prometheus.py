"""A real Prometheus reads what policyd shows."""

from pathlib import Path

from tests.support.bearer import TOKEN, token_file
from tests.support.daemon import Serve, rate
from tests.support.ports import free_port
from tests.support.postfix import Postfix
from tests.support.prometheus import Prometheus
from tests.support.smtp import send


def test_prometheus_scrapes_what_postfix_was_told(postfix: Postfix, serve: Serve, domain: str, tmp_path: Path) -> None:
    """Answers, refusals and the fullest account arrive in Prometheus under their names and labels."""
    target = f"127.0.0.1:{free_port()}"
    serve([domain], {"domain-hourly": rate(2)}, listen={"metrics": target, "metrics_token_file": token_file(tmp_path)})
    recipients = [f"r{number}@remote.test" for number in range(3)]
    assert send(postfix.port("smtp"), f"shop@{domain}", recipients).codes == [250, 250, 450]
    prometheus = Prometheus(target, TOKEN)
    try:
        prometheus.start()
        refused = 'policyd_refusals_total{limit="domain-hourly",plan="shared",traffic="script"} == 1'
        assert prometheus.wait(refused) == 1
        assert prometheus.wait('policyd_requests_total{action="accept",traffic="script"}') >= 2
        assert prometheus.wait(f'policyd_account_usage_ratio{{account="{domain}",limit="domain-hourly"}}') == 1
        assert prometheus.wait("policyd_store_up") == 1
        assert prometheus.wait("up") == 1
    finally:
        prometheus.stop()
