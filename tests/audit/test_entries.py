"""Whether the options of the check_policy_service entries are right."""

import pytest

from policyd.audit.postfix import Finding, Severity
from policyd.conf.away import WhenDown
from policyd.conf.schema import Endpoint
from tests.support.postfix_lab import ENTRY, Lab, errors, none, the

pytestmark = pytest.mark.e2e

DIES = "every smtpd that reads this dies"
AWAY = "while policyd is away"
TRIES = "try_limit=1"
SHORT = "is too short"
LONG = "policyd gives back what Postfix may still ask again"
LATE = "given back later than it could be"


def entry(options: str) -> str:
    """Return an entry for policyd with options."""
    return f"check_policy_service {{ unix:policyd/policy, {options} }}"


def with_entry(lab: Lab, options: str) -> Lab:
    """Return the recommended configuration but for the options of its entry."""
    return lab.good().main(f"policyd_check = {entry(options)}")


def test_an_unbraced_default_action_with_spaces_is_found(lab: Lab) -> None:
    """What kills every smtpd is found where it stands, in the parameter that the lists name."""
    with_entry(lab, "timeout=45s, try_limit=2, default_action=WARN policy down")

    finding = the(lab.audit(), DIES)

    assert finding == Finding(
        Severity.ERROR,
        "policyd_check",
        '"policy" is no name=value (a value with spaces needs braces of its own): every smtpd that reads this dies,'
        " and no mail comes in at all (smtp (25), submission (587))",
        f"# main.cf\npolicyd_check = {ENTRY}",
    )
    assert errors(lab.obey(finding).audit()) == []


def test_a_braced_default_action_is_no_flaw(lab: Lab) -> None:
    """A value with spaces in braces of its own is right."""
    with_entry(lab, "timeout=45s, { default_action=WARN policy down }")

    assert errors(lab.audit()) == []


def test_a_flaw_of_another_policy_service_is_found(lab: Lab) -> None:
    """Another service's entry kills smtpd just as well; its line keeps what it says."""
    lab.good().below(
        "submission inet",
        "  -o { smtpd_data_restrictions ="
        " check_policy_service { inet:127.0.0.1:12340, default_action=451 4.3.5 quota } }",
    )

    finding = the(lab.audit(), DIES)

    assert finding.where == "submission (587)"
    assert finding.write == (
        "# master.cf, below submission inet\n"
        "  -o { smtpd_data_restrictions = check_policy_service"
        " { inet:127.0.0.1:12340, { default_action=451 4.3.5 quota } } }"
    )
    assert none(lab.obey(finding).audit(), DIES)


def test_the_default_default_action_is_found(lab: Lab) -> None:
    """An entry without default_action has Postfix's own, which defers all mail."""
    with_entry(lab, "timeout=45s")

    finding = the(lab.audit(), AWAY)

    assert (finding.severity, finding.where) == (Severity.WARNING, "policyd_check")
    assert finding.problem.startswith(
        'default_action "451 4.3.5 Server configuration problem" defers all mail while policyd is away'
    )
    assert finding.write == f"# main.cf\npolicyd_check = {ENTRY}"
    assert none(lab.obey(finding).audit(), AWAY)


@pytest.mark.parametrize(
    ("action", "severity", "effect"),
    [
        ("{ default_action=450 4.3.5 later }", Severity.WARNING, "defers all mail"),
        ("default_action=DEFER", Severity.WARNING, "defers all mail"),
        ("default_action=defer_if_permit", Severity.WARNING, "defers all mail"),
        ("default_action=nonsense", Severity.WARNING, "defers all mail"),
        ("default_action=OK", Severity.WARNING, "skips the restrictions that follow"),
        ("default_action=550", Severity.WARNING, "skips the restrictions that follow"),
        ("{ default_action=550 5.7.1 no }", Severity.ERROR, "turns all mail away for good"),
        ("default_action=reject", Severity.ERROR, "turns all mail away for good"),
    ],
)
def test_what_a_default_action_does_is_said(lab: Lab, action: str, severity: Severity, effect: str) -> None:
    """Each default_action that does not let mail pass to the next restriction is found with its effect."""
    with_entry(lab, f"timeout=45s, {action}")

    finding = the(lab.audit(), AWAY)

    assert finding.severity is severity
    assert effect in finding.problem


@pytest.mark.parametrize("action", ["default_action=dunno", "{ default_action=WARN policyd is away }"])
def test_a_default_action_that_lets_mail_pass_is_right(lab: Lab, action: str) -> None:
    """DUNNO and WARN go on with the next restriction."""
    assert none(with_entry(lab, f"timeout=45s, {action}").audit(), AWAY)


def test_the_default_action_of_main_cf_counts(lab: Lab) -> None:
    """smtpd_policy_service_default_action holds for entries without one of their own."""
    with_entry(lab, "timeout=45s").main("smtpd_policy_service_default_action = DUNNO")

    assert none(lab.audit(), AWAY)


def test_deferring_is_right_where_the_admin_chose_it(lab: Lab) -> None:
    """With store.when_down: defer a deferring default_action says the same; a rejecting one does not."""
    chosen = {"store__when_down": WhenDown.DEFER}

    assert none(with_entry(lab, "timeout=45s").audit(**chosen), AWAY)
    assert not none(lab.main(f"policyd_check = {entry('default_action=REJECT')}").audit(**chosen), AWAY)


@pytest.mark.parametrize("everywhere", [True, False])
def test_a_single_try_is_found(lab: Lab, *, everywhere: bool) -> None:
    """try_limit=1 of the entry or of main.cf is found."""
    with_entry(lab, "timeout=45s, default_action=DUNNO" + ("" if everywhere else ", try_limit=1"))
    lab.main("smtpd_policy_service_try_limit = 1" if everywhere else "")

    finding = the(lab.audit(), TRIES, "policyd_check")

    assert finding.severity is Severity.WARNING
    assert none(lab.obey(finding).audit(), TRIES)


def test_more_tries_are_kept(lab: Lab) -> None:
    """Other options and a larger try_limit stay as they are in the line to write."""
    with_entry(lab, "timeout=20s, try_limit=3, policy_context=mua, max_idle=60s")

    assert the(lab.audit(), AWAY).write == (
        "# main.cf\npolicyd_check = check_policy_service"
        " { unix:policyd/policy, timeout=20s, try_limit=3, default_action=DUNNO, policy_context=mua, max_idle=60s }"
    )


@pytest.mark.parametrize(("timeout", "store", "least"), [("4s", 250, "5s"), ("5s", 2000, "8s")])
def test_a_short_timeout_is_found(lab: Lab, timeout: str, store: int, least: str) -> None:
    """Below 5 s, or below four times store.timeout, Postfix may give up before policyd answers."""
    with_entry(lab, f"timeout={timeout}, default_action=DUNNO")

    finding = the(lab.audit(store__timeout=store), SHORT)

    assert finding.severity is Severity.ERROR
    assert finding.problem.startswith(f"timeout={timeout} is too short: policyd may take up to {least}")
    assert none(lab.obey(finding).audit(store__timeout=store), SHORT)


def test_an_entry_with_a_parameter_in_it_is_written_out(lab: Lab) -> None:
    """Where the entry as written is not the entry in force, the whole list is given."""
    with_entry(lab, "timeout=$patience, default_action=DUNNO").main("patience = 4s")

    finding = the(lab.audit(), SHORT, "smtpd_end_of_data_restrictions")

    assert finding.write == f"# main.cf\nsmtpd_end_of_data_restrictions = {ENTRY}"


def test_a_timeout_that_is_just_long_enough_is_right(lab: Lab) -> None:
    """5 s are enough for a store that answers within 250 ms."""
    with_entry(lab, "timeout=5s, default_action=DUNNO")

    assert none(lab.audit(), SHORT)


@pytest.mark.parametrize("options", ["timeout=46s, default_action=DUNNO", "default_action=DUNNO"])
def test_a_timeout_beyond_ours_is_found(lab: Lab, options: str) -> None:
    """A timeout longer than listen.policy_timeout, Postfix's default of 100 s too, is an error."""
    finding = the(with_entry(lab, options).audit(), LONG)

    assert finding.severity is Severity.ERROR
    assert "listen.policy_timeout is 45s" in finding.problem
    assert finding.write == f"# main.cf\npolicyd_check = {ENTRY}"
    assert none(lab.obey(finding).audit(), LONG)


def test_the_line_to_write_keeps_to_a_short_policy_timeout(lab: Lab) -> None:
    """Where listen.policy_timeout is below 45 s the recommended timeout is that."""
    finding = the(lab.good().audit(listen__policy_timeout=20_000), LONG, "policyd_check")

    assert "timeout=20s" in finding.write


def test_a_policy_timeout_beyond_postfix_is_noted(lab: Lab) -> None:
    """When all entries wait 45 s a policy_timeout of 100 s only makes giving back late."""
    finding = the(lab.good().audit(listen__policy_timeout=100_000), LATE)

    assert (finding.severity, finding.where) == (Severity.NOTE, "listen.policy_timeout")
    assert finding.write == "# policyd.yaml\nlisten:\n  policy_timeout: 45s"
    assert none(lab.audit(), LATE)


def test_an_absolute_path_in_a_chroot_is_found(lab: Lab) -> None:
    """A chrooted smtpd does not find an absolute path; the relative one is right in both."""
    path = f"unix:{lab.queue}/policyd/policy"
    lab.good().main(f"policyd_check = {ENTRY.replace('unix:policyd/policy', path)}")
    assert errors(lab.audit()) == []
    lab.drop("smtp inet").master("smtp inet n - y - - smtpd")

    finding = the(lab.audit(), "chrooted")

    assert (finding.severity, finding.where) == (Severity.ERROR, "policyd_check")
    assert finding.problem.endswith("policyd is never reached (smtp (25))")
    assert finding.write == f"# main.cf\npolicyd_check = {ENTRY}"
    assert errors(lab.obey(finding).audit()) == []


@pytest.mark.parametrize(
    ("listening", "written", "leads"),
    [
        (Endpoint(host="127.0.0.1", port=10031), "inet:127.0.0.1:10031", True),
        (Endpoint(host="127.0.0.1", port=10031), "inet:localhost:10031", True),
        (Endpoint(host="127.0.0.1", port=10031), "inet:10031", True),
        (Endpoint(host="::1", port=10031), "inet:[::1]:10031", True),
        (Endpoint(host="0.0.0.0", port=10031), "inet:192.0.2.1:10031", True),
        (Endpoint(host="mx.example.org", port=10031), "inet:mx.example.org:10031", True),
        (Endpoint(host="192.0.2.1", port=10031), "inet:mx.example.org:10031", False),
        (Endpoint(host="127.0.0.1", port=10031), "inet:127.0.0.1:10032", False),
        (Endpoint(host="127.0.0.1", port=10031), "inet:192.0.2.1:10031", False),
        (Endpoint(path="/run/policy"), "unix:/run/policy", True),
        (Endpoint(path="/run/policy"), "inet:127.0.0.1:10031", False),
        (Endpoint(host="127.0.0.1", port=10031), "unix:/run/policy", False),
    ],
)
def test_an_entry_leads_to_one_of_the_listeners(lab: Lab, listening: Endpoint, written: str, *, leads: bool) -> None:
    """An entry is policyd's own when its path, or its host and port, is one that policyd listens on."""
    lab.good().main(f"policyd_check = {ENTRY.replace('unix:policyd/policy', written)}")
    lab.main("policyd_pickup = $policyd_check")

    assert none(lab.audit(listen__postfix=(listening,)), "policyd is not asked") is leads


@pytest.mark.parametrize(
    ("listening", "endpoint"),
    [
        ([Endpoint(path="/run/policyd/policy")], "unix:/run/policyd/policy"),
        ([Endpoint(host="::1", port=10031)], "inet:[::1]:10031"),
        ([Endpoint(host="::1", port=10031), Endpoint(path="/run/policy")], "unix:/run/policy"),
    ],
)
def test_the_line_to_write_names_the_listener(lab: Lab, listening: list[Endpoint], endpoint: str) -> None:
    """The recommended entry leads to a unix socket, also outside of the queue directory, else to TCP."""
    findings = lab.audit(listen__postfix=tuple(listening))

    written = the(findings, "policyd is not asked, so").write
    assert f"check_policy_service {{ {endpoint}, timeout=45s" in written
