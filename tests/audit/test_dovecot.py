"""The audit of a Dovecot configuration, through the real doveconf."""

from pathlib import Path

import pytest

from policyd.audit.doveconf import Served, read_dovecot
from policyd.audit.dovecot import refused
from policyd.audit.finding import Finding, Severity
from policyd.errors import ToolError
from tests.support.dovecot_lab import KEY, Lab
from tests.support.readme import blocks

pytestmark = pytest.mark.e2e

ERROR, WARNING, NOTE = Severity


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Return a Dovecot configuration of the test's own."""
    return Lab(tmp_path)


def only(findings: list[Finding]) -> tuple[Severity, str, str]:
    """Return severity, place and last line to write of the one finding."""
    (finding,) = findings
    assert "\n" not in finding.problem
    return finding.severity, finding.where, finding.write.splitlines()[-1]


def test_the_recommended_configuration_has_no_findings(lab: Lab) -> None:
    """What is recommended is right."""
    assert lab.good().audit() == []


def test_the_recipe_has_no_findings(lab: Lab) -> None:
    """The blocks that admins are told to write pass their own audit."""
    asked = blocks("dovecot.conf policyd").replace("/etc/policyd/dovecot.key", str(lab.key_file))
    lab.write(asked + blocks("dovecot.conf neighbours")).inside(blocks("dovecot.conf passdb").strip())

    assert lab.audit() == []


def test_obeying_all_findings_leads_to_none(lab: Lab) -> None:
    """From a Dovecot that knows nothing of policyd, writing what is said ends without a finding."""
    (first,) = lab.audit()
    assert (first.severity, first.where) == (ERROR, "auth_policy_server_url")

    for _ in range(2):
        for finding in lab.audit():
            lab.obey(finding)

    assert lab.audit() == []


def test_policyd_that_does_not_listen_is_the_only_finding(lab: Lab) -> None:
    """Without listen.dovecot nothing else can be judged."""
    assert only(lab.good().audit(Served(None, "", "", 250))) == (
        ERROR,
        "listen.dovecot",
        "  dovecot_key_file: /etc/policyd/dovecot.key",
    )


@pytest.mark.parametrize(
    ("line", "severity", "cure"),
    [
        ("auth_policy_server_url = http://127.0.0.1:10033/dovecot", ERROR, "http://127.0.0.1:10032/dovecot"),
        ("auth_policy_server_url = http://192.0.2.1:10032/dovecot", ERROR, "http://127.0.0.1:10032/dovecot"),
        ("auth_policy_server_url = https://127.0.0.1:10032/dovecot", ERROR, "http://127.0.0.1:10032/dovecot"),
        ("auth_policy_server_url = http://127.0.0.1:port/dovecot", ERROR, "http://127.0.0.1:10032/dovecot"),
        ("auth_policy_server_url = http://127.0.0.1:10032/policy", ERROR, "http://127.0.0.1:10032/dovecot"),
        ("auth_policy_server_url = http://127.0.0.1:10032/dovecot?x=1&", ERROR, "http://127.0.0.1:10032/dovecot"),
        ("auth_policy_check_before_auth = yes", ERROR, "no"),
        ("auth_policy_check_after_auth = no", ERROR, "yes"),
        ("auth_policy_reject_on_fail = yes", ERROR, "no"),
        ("auth_policy_report_after_auth = no", WARNING, "yes"),
        ("auth_policy_log_only = yes", WARNING, "no"),
        ("auth_policy_server_timeout_msecs = 499", WARNING, "2000"),
        ("auth_policy_server_timeout_msecs = 10001", WARNING, "2000"),
        (
            "auth_policy_request_attributes = login=%{user} remote=%{rip}",
            ERROR,
            "login=%{user} remote=%{rip} protocol=%s",
        ),
    ],
)
def test_a_wrong_setting_is_found_and_cured(lab: Lab, line: str, severity: Severity, cure: str) -> None:
    """One setting that is wrong is one finding, with the line to write, which cures it."""
    name = line.partition(" ")[0]
    findings = lab.good().write(line).audit()

    assert only(findings) == (severity, name, f"{name} = {cure}")
    assert lab.obey(findings[0]).audit() == []


@pytest.mark.parametrize("url", ["http://localhost:10032/dovecot", "http://user:secret@127.0.0.1:10032/dovecot"])
def test_the_address_may_be_written_in_other_words(lab: Lab, url: str) -> None:
    """A name of this host, and a login in the URL, which doveconf hides, lead to policyd as well."""
    assert lab.good().write(f"auth_policy_server_url = {url}").audit() == []


def test_a_listener_on_all_addresses_is_reached_by_each(lab: Lab) -> None:
    """Where policyd listens everywhere, the port decides."""
    url = "http://192.0.2.1:10032/dovecot"

    found = lab.good().write(f"auth_policy_server_url = {url}").audit(lab.served("0.0.0.0"))

    assert [finding.severity for finding in found] == [NOTE]


def test_the_timeout_is_held_against_that_of_the_store(lab: Lab) -> None:
    """Dovecot must wait for two answers of the store at least, however slow that may be."""
    findings = lab.good().audit(lab.served(timeout=6000))

    assert only(findings) == (WARNING, "auth_policy_server_timeout_msecs", "auth_policy_server_timeout_msecs = 12000")
    assert lab.obey(findings[0]).audit(lab.served(timeout=6000)) == []


@pytest.mark.parametrize("line", ["", "X-API-Key: another", "X-Other: 0123456789abcdef"])
def test_a_missing_or_wrong_key_is_found(lab: Lab, line: str) -> None:
    """Without the right key under the right name policyd answers 401, and Dovecot lets all in."""
    name = "auth_policy_server_api_header"
    findings = lab.good().write(f"{name} = {line}").audit()

    assert only(findings) == (ERROR, name, f"{name} = <{lab.key_file}")
    assert KEY not in repr(findings)
    assert lab.obey(findings[0]).audit() == []


def test_a_key_file_that_ends_with_a_newline_is_found(lab: Lab) -> None:
    """Dovecot puts the newline into the header, and its auth process dies of that."""
    lab.key_file.write_text(f"X-API-Key: {KEY}\n")
    findings = lab.good().audit()

    assert only(findings) == (ERROR, "auth_policy_server_api_header", f"truncate -s -1 {lab.key_file}")
    assert lab.obey(findings[0]).audit() == []


def test_a_key_in_a_file_that_all_can_read_is_found(lab: Lab) -> None:
    """The key itself in dovecot.conf is a secret only while others cannot read that."""
    name = "auth_policy_server_api_header"
    findings = lab.good().write(f"{name} = {KEY}").audit()
    assert only(findings) == (WARNING, name, f"{name} = <{lab.key_file}")

    lab.file.chmod(0o640)

    assert lab.audit() == []


def test_the_penalty_of_neighbours_is_a_note(lab: Lab) -> None:
    """A passdb without nodelay has a note, until it has it or there is no penalty."""
    lab.good().write("passdb {\n  driver = pam\n}")
    assert only(lab.audit()) == (NOTE, "passdb", "override_fields = nodelay=y")

    lab.write("service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}")

    assert lab.audit() == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("mail_plugins = quota last_login", "mail_plugins"),
        ("protocol lmtp {\n  mail_plugins = quota last_login\n}", "protocol lmtp/mail_plugins"),
    ],
)
def test_a_last_login_of_arriving_mail_is_found(lab: Lab, text: str, where: str) -> None:
    """Where the plugin is loaded for deliveries, each mail that arrives is a login."""
    (finding,) = lab.good().write(text).audit()

    assert (finding.severity, finding.where) == (WARNING, where)
    assert lab.obey(finding).audit() == []


def test_a_last_login_of_pop_and_imap_is_right(lab: Lab) -> None:
    """Loaded for the protocols that fetch mail, the plugin does what it says."""
    assert lab.good().write("protocol pop3 {\n  mail_plugins = $mail_plugins last_login\n}").audit() == []


def test_errors_come_first(lab: Lab) -> None:
    """Findings stand in the order error, warning, note."""
    lab.good().write("auth_policy_log_only = yes\nauth_policy_reject_on_fail = yes\npassdb {\n  driver = pam\n}")

    assert [finding.severity for finding in lab.audit()] == [ERROR, WARNING, NOTE]


def test_what_doveconf_says_against_a_file_is_passed_on(lab: Lab) -> None:
    """A configuration that Dovecot cannot read is an error with its line."""
    with pytest.raises(ToolError, match=r"Error in configuration file .*dovecot\.conf line"):
        lab.write("nonsense").view()


def test_a_missing_nonce_is_an_error_of_doveconf(lab: Lab) -> None:
    """Dovecot does not start without auth_policy_hash_nonce, and its doveconf says so."""
    with pytest.raises(ToolError, match="auth_policy_hash_nonce must be set when policy server is used") as raised:
        lab.good().write("auth_policy_hash_nonce =").view()

    lab.obey(refused(raised.value))
    assert lab.audit() == []


def test_any_other_mistake_leads_to_doveconf(lab: Lab) -> None:
    """What Dovecot says against its own file is for Dovecot to say again."""
    with pytest.raises(ToolError) as raised:
        lab.write("nonsense").view()

    assert only([refused(raised.value)]) == (ERROR, "doveconf", "doveconf -n")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1"])
def test_a_port_for_other_hosts_is_noted(lab: Lab, host: str) -> None:
    """The key goes over the network there."""
    url = f"auth_policy_server_url = http://{'127.0.0.1' if host == '0.0.0.0' else host}:10032/dovecot"
    found = lab.good().write(url).audit(lab.served(host))

    assert only(found) == (NOTE, "listen.dovecot", '  dovecot: "127.0.0.1:10032"')


def test_a_key_file_that_is_not_there_is_an_error(lab: Lab) -> None:
    """The file that Dovecot would read is named."""
    with pytest.raises(ToolError, match=r"No such file or directory: '/nosuch/key'"):
        lab.write("auth_policy_server_api_header = </nosuch/key").view()


def test_the_systems_own_dovecot_is_the_default() -> None:
    """Without a file doveconf decides where the configuration is."""
    assert read_dovecot().get("auth_policy_server_url") == ""
