"""The audit of a Postfix configuration as a whole, and how it is shown."""

import pytest

from policyd.audit.postfix import Finding, Severity, audit, read_postfix, render
from tests.support.postfix_lab import Lab, config_of, errors
from tests.support.readme import blocks

pytestmark = pytest.mark.e2e


def test_the_recommended_configuration_has_notes_only(lab: Lab) -> None:
    """What is recommended has neither errors nor warnings."""
    assert {finding.severity for finding in lab.good().audit()} == {Severity.NOTE}


def test_the_recipes_have_notes_only(lab: Lab) -> None:
    """The blocks that admins are told to write pass their own audit."""
    lab.main(blocks("main.cf") + blocks("main.cf pickup") + blocks("main.cf quota")).master(blocks("master.cf pickup"))

    assert {finding.severity for finding in lab.audit()} == {Severity.NOTE}


def test_obeying_all_errors_leads_to_none(lab: Lab) -> None:
    """From a Postfix that knows nothing of policyd, writing what is said ends without an error."""
    lab.master("pickup unix n - n 60 1 pickup")
    for finding in errors(lab.audit()):
        lab.obey(finding)

    assert {finding.severity for finding in lab.audit()} == {Severity.NOTE}


def test_errors_come_first(lab: Lab) -> None:
    """Findings stand in the order error, warning, note."""
    lab.good().main("smtpd_policy_service_try_limit = 1\npolicyd_check = check_policy_service unix:policyd/policy")

    severities = [finding.severity for finding in lab.audit()]

    assert severities == sorted(severities, key=list(Severity).index)
    assert set(severities) == set(Severity)


def test_policyd_that_listens_nowhere_is_the_only_finding(lab: Lab) -> None:
    """Without listen.postfix nothing else can be judged."""
    findings = lab.good().audit(listen__postfix=())

    assert findings == [
        Finding(
            Severity.ERROR,
            "listen.postfix",
            "policyd listens nowhere, so Postfix cannot ask it",
            f'# policyd.yaml\nlisten:\n  postfix: ["unix:{lab.queue}/policyd/policy"]',
        )
    ]


def test_the_audit_changes_nothing_and_asks_nobody(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """One view gives the same findings again, when there is no postconf any more."""
    view = lab.good().view()
    config = config_of(lab.queue)
    monkeypatch.setenv("PATH", "")

    assert audit(config, view) == audit(config, view)


def test_the_systems_own_postfix_is_the_default(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a directory postconf decides where the configuration is."""
    lab.good().view()
    monkeypatch.setenv("MAIL_CONFIG", str(lab.directory))

    assert read_postfix().main["config_directory"] == str(lab.directory)


def test_findings_are_shown_with_what_to_write() -> None:
    """A line for the finding, then the lines to write, which can be pasted."""
    findings = [
        Finding(Severity.ERROR, "submission (587)", "policyd is not asked", "# master.cf, below x\n  -o a=b"),
        Finding(Severity.NOTE, "listen.postfix", "it is so", "# policyd.yaml"),
    ]

    assert render(findings) == [
        "error: submission (587): policyd is not asked",
        "write:",
        "# master.cf, below x",
        "  -o a=b",
        "",
        "note: listen.postfix: it is so",
        "write:",
        "# policyd.yaml",
        "",
    ]
