"""What each step of a decision costs: codec, plan, store call, decide, and the script inside Redis.

    python bench/micro.py

Times are the best of several passes in this process, in microseconds; the script's are Redis' own
(usec_per_call), the median of interleaved passes beside a script of two commands.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import hiredis
import redis as redis_py

from bench import setting
from policyd.conf.load import load
from policyd.conf.schema import Config
from policyd.model import Charge, CounterType
from policyd.policy.decide import decide
from policyd.policy.plan import Planner
from policyd.store.base import Call, Op, Record
from policyd.store.script import Script, decode, encode
from policyd.wire.postfix import PolicyConnection

PASSES, ROUNDS, CALLS = 7, 5000, 10_000

_ATTRIBUTES = (
    "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=192.0.2.7\n"
    "client_name=client7.example.net\nclient_port=40007\nreverse_client_name=client7.example.net\n"
    "server_address=192.0.2.1\nserver_port=587\nhelo_name=client7.example.net\nsender=user{n}@domain{d}.test\n"
    "recipient=somebody{n}@remote.test\nrecipient_count=0\nqueue_id=6C47A216073\ninstance=43ac.6b025c8e.6a03a.{n}\n"
    "size=4000\netrn_domain=\nstress=\nsasl_method=PLAIN\nsasl_username=user{n}@domain{d}.test\nsasl_sender=\n"
    "ccert_subject=\nccert_issuer=\nccert_fingerprint=\nccert_pubkey_fingerprint=\nencryption_protocol=TLSv1.3\n"
    "encryption_cipher=TLS_AES_256_GCM_SHA384\nencryption_keysize=256\npolicy_context=\n\n"
)


def best(step: Callable[[int], object]) -> float:
    """Return the microseconds of one call, from the fastest of several passes."""
    fastest = float("inf")
    for _ in range(PASSES):
        begun = time.perf_counter()
        for number in range(ROUNDS):
            step(number)
        fastest = min(fastest, time.perf_counter() - begun)
    return fastest / ROUNDS * 1e6


def python_steps(config: Config) -> None:
    """Print the steps that run in the daemon."""
    raw = [_ATTRIBUTES.format(n=n, d=n % setting.DOMAINS).encode() for n in range(ROUNDS)]
    connection, planner = PolicyConnection(), Planner(config)

    def parse(number: int) -> object:
        connection.receive(raw[number])
        return connection.next_request()

    requests = []
    for number in range(ROUNDS):
        connection.receive(raw[number])
        request = connection.next_request()
        assert request is not None
        requests.append(request)
    plan = planner.plan(requests[0], 0)
    call = Call(Op.CHARGE, plan.traffic.account, Record("host", requests[0].instance, "RCPT a@b.test", 1), plan.charges)
    words = (b"EVALSHA", b"0" * 40, *encode(call, 0, 1, b"seed"))
    outcome = decode(call, [1, 1, *[1, 400] * len(plan.charges)])
    for name, step in (
        ("codec: a request of 29 attributes", parse),
        ("plan: attribution and charges", lambda number: planner.plan(requests[number], 0)),
        ("store: a call to words", lambda _: encode(call, 0, 1, b"seed")),
        ("store: words to bytes", lambda _: hiredis.pack_command(words)),  # type: ignore[arg-type]  # its stub knows no variadic tuple
        ("store: a reply to an outcome", lambda _: decode(call, [1, 1, *[1, 400] * len(plan.charges)])),
        ("decide", lambda _: decide(plan, outcome)),
    ):
        print(f"{best(step):8.2f} us  {name}")


def script_steps(socket: Path) -> None:
    """Print what the script costs inside Redis, as a ratio to a script of two commands."""
    client = redis_py.Redis(unix_socket_path=str(socket))
    script = Script()
    sha = client.script_load(script.text)
    two = client.script_load(b"redis.call('INCRBY', KEYS[1], ARGV[1]) return redis.call('EXPIRE', KEYS[1], ARGV[2])")
    found: dict[str, list[float]] = {}
    for _ in range(PASSES):
        usec = _usec(client, lambda n: ("EVALSHA", two, 1, f"two{n % setting.DOMAINS}", 1, 60))
        found.setdefault("two commands", []).append(usec)
        for limits in (1, 4):
            usec = _usec(client, partial(_command, sha, limits))
            found.setdefault(f"{limits} limit{'s' * (limits > 1)}", []).append(usec)
    base = median(found["two commands"])
    for name, values in found.items():
        print(f"{median(values):8.2f} us  script: {name} ({median(values) / base:.1f} times the two commands)")


def _command(sha: str, limits: int, number: int) -> tuple[object, ...]:
    return ("EVALSHA", sha, *encode(_call(number, limits), 0, 0, b"seed"))


def _call(number: int, limits: int) -> Call:
    account = f"domain{number % setting.DOMAINS}.test"
    charges = [Charge(CounterType.RING, f"limit{one}", account, 1, 10**8, 3_600_000) for one in range(limits)]
    return Call(Op.CHARGE, account, Record("host", f"i{number}", "RCPT a@b.test", 100_000), tuple(charges))


def _usec(client: redis_py.Redis, command: Callable[[int], tuple[object, ...]]) -> float:
    client.flushall()
    client.config_resetstat()
    for start in range(0, CALLS, 500):
        pipeline = client.pipeline(transaction=False)
        for number in range(start, start + 500):
            pipeline.execute_command(*command(number))  # type: ignore[no-untyped-call]
        pipeline.execute()
    return float(client.info("commandstats")["cmdstat_evalsha"]["usec_per_call"])


def main() -> None:
    """Run all steps."""
    with setting.folder() as folder:
        python_steps(load(setting.configuration(folder, 1)))
        with setting.redis(folder / "redis.sock"):
            script_steps(folder / "redis.sock")


if __name__ == "__main__":
    main()
