"""The files of passwords, keys and tokens, as ``config check`` looks at them."""

from pathlib import Path

import pytest

from policyd.audit.secrets import audit_secrets, unseen_secrets
from policyd.conf.load import load

FILE = """\
version: 1
listen:
  postfix: ["unix:/run/policyd/policy"]
  dovecot: "127.0.0.1:10032"
  dovecot_key_file: {0}/dovecot.key
  metrics_token_file: {0}/metrics.token
store:
  url: sentinel://s1:26379/mymaster
  password_file: {0}/redis
  sentinel_password_file: {1}
mailman: {{url: "http://127.0.0.1:8001/3.1", password_file: {0}/mailman}}
notify:
  from: postmaster@example.net
  webhook: {{url: "https://panel.example.net/mail", secret_file: {0}/webhook}}
accounts: {{local_names: [], default_plan: shared, domains: {{example.org: shared}}}}
limits: {{hourly: {{kind: rate, max: 400, window: 1h}}}}
plans: {{shared: {{apply: [hourly]}}}}
"""
NAMES = ["dovecot.key", "metrics.token", "redis", "sentinel", "mailman", "webhook"]


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """Return the directory of good secrets."""
    for name in NAMES:
        (tmp_path / name).write_text("a secret of more than 16 bytes")
        (tmp_path / name).chmod(0o640)
    return tmp_path


def found(secrets: Path, sentinel: str) -> list[str]:
    """Return what is found, without the directory."""
    path = secrets / "policyd.yaml"
    path.write_text(FILE.format(secrets, sentinel))
    return [str(issue).replace(f"{secrets}/", "") for issue in audit_secrets(load(path))]


def test_good_secrets(secrets: Path) -> None:
    """Nothing is found; what only the unit has is not looked for, and that is said."""
    assert found(secrets, f"{secrets}/sentinel") == found(secrets, "credential:sentinel") == []
    (note,) = unseen_secrets(load(secrets / "policyd.yaml"))
    assert note == (
        "store.sentinel_password_file: credential:sentinel is not looked at: "
        "only the unit has it (LoadCredential= in policyd.service)"
    )


def test_each_that_the_daemon_would_not_take(secrets: Path) -> None:
    """It is found where it is named, with what is wrong and what to do."""
    for name in NAMES[::2]:
        (secrets / name).unlink()
    for name in NAMES[1::2]:
        (secrets / name).chmod(0o644)

    assert found(secrets, f"{secrets}/sentinel") == [
        (
            "policyd.yaml:5:21: listen.dovecot_key_file: dovecot.key: the file is not there "
            "(policyd init-key --file dovecot.key)"
        ),
        (
            "policyd.yaml:6:23: listen.metrics_token_file: metrics.token: every user may read it "
            "(chgrp policyd metrics.token && chmod 0640 metrics.token)"
        ),
        (
            "policyd.yaml:9:18: store.password_file: redis: the file is not there "
            "(write the password into redis, for policyd's user to read)"
        ),
        (
            "policyd.yaml:10:27: store.sentinel_password_file: sentinel: every user may read it "
            "(chgrp policyd sentinel && chmod 0640 sentinel)"
        ),
        (
            "policyd.yaml:11:60: mailman.password_file: mailman: the file is not there "
            "(write the password into mailman, for policyd's user to read)"
        ),
        (
            "policyd.yaml:14:65: notify.webhook.secret_file: webhook: every user may read it "
            "(chgrp policyd webhook && chmod 0640 webhook)"
        ),
    ]
