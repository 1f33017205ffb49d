"""How many lines of a mail log are replayed in a second.

    python -m bench.replay

The log is made here, as a busy host writes it: logins, scripts, mail from outside, a mailing, lines
of other programs. Read, planned, charged and reported by the installed command.
"""

import json
import resource
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from bench import setting

LINES = 1_000_000
DOMAINS = 1000
_START = datetime(2026, 11, 23, tzinfo=UTC)


def messages(random: Random) -> list[str]:
    """Yield the lines of one message."""
    queue_id = f"{random.getrandbits(44):011X}"
    domain, kind = f"d{int(DOMAINS * random.random() ** 3)}.example", random.random()
    count = 1 if random.random() < 0.9 else random.randrange(2, 40)
    size = random.randrange(500, 90_000)
    sender = f"user{random.randrange(5)}@{domain}"
    client = f"unknown[192.0.2.{random.randrange(256)}]"
    begin = f"postfix/smtpd[71]: {queue_id}: client={client}"
    if kind < 0.5:
        begin = f"postfix/submission/smtpd[71]: {queue_id}: client={client}, sasl_method=PLAIN, sasl_username={sender}"
    elif kind < 0.7:
        begin = f"postfix/pickup[72]: {queue_id}: uid=33 from=<{sender}>"
    lines = [
        f"postfix/smtpd[71]: connect from {client}",
        begin,
        f"postfix/cleanup[73]: {queue_id}: message-id=<{queue_id}@{domain}>",
        f"postfix/qmgr[74]: {queue_id}: from=<{sender}>, size={size}, nrcpt={count} (queue active)",
    ]
    lines += [
        f"postfix/smtp[75]: {queue_id}: to=<r{number}@remote.test>, relay=mx.remote.test[198.51.100.7]:25, delay=0.4, "
        "delays=0.1/0/0.1/0.2, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4Zx1)"
        for number in range(count)
    ]
    return [*lines, f"postfix/qmgr[74]: {queue_id}: removed", "dovecot: imap-login: Login: user=<x>, method=PLAIN"]


def write(path: Path) -> None:
    """Write a log of one day."""
    random, lines = Random(1), list[str]()
    while len(lines) < LINES:
        lines += messages(random)
    with path.open("w") as log:
        for number, line in enumerate(lines):
            at = _START + timedelta(seconds=86_400 * number / len(lines))
            log.write(f"{at.isoformat()} mx {line}\n")


def configuration(folder: Path) -> Path:
    """Write a configuration with the shipped limits for all domains."""
    domains = "".join(f"    d{number}.example: shared\n" for number in range(DOMAINS))
    limits = (
        "  domain-hourly: {kind: rate, max: 400, window: 1h}\n"
        "  user-hourly: {kind: rate, per: user, traffic: [user], max: 200, window: 1h}\n"
    )
    path = folder / "policyd.yaml"
    path.write_text(
        f"version: 1\nlisten: {{postfix: ['unix:{folder}/policy']}}\naccounts:\n  default_plan: shared\n"
        f"  local_clients: [127.0.0.0/8]\n  domains:\n{domains}limits:\n{limits}"
        "plans: {shared: {apply: [domain-hourly, user-hourly]}}\n"
    )
    return path


def main() -> None:
    """Write the log, replay it and print the figures."""
    with setting.folder() as folder:
        log = folder / "mail.log"
        write(log)
        command = [str(setting.BIN / "policyd"), "replay", str(log), "--config", str(configuration(folder)), "--json"]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked, memory = used.ru_utime + used.ru_stime, used.ru_maxrss // 1024
    answer = json.loads(done.stdout)
    lines, recipients = answer["log"]["lines"], sum(answer["recipients"].values())
    print(f"{lines:,} lines, {recipients:,} recipients in {seconds:.1f} s: {lines / seconds:,.0f} lines/s")
    print(f"{worked:.1f} s of processor time with that of its Redis, {memory} MiB")


if __name__ == "__main__":
    main()
