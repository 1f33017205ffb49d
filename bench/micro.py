"""What each step of a decision costs: codec, plan, store call, decide. The script is bench.script's.

    python -m bench.micro

Times are the best of several passes in this process, in microseconds.
"""

import time
from collections.abc import Callable

import hiredis

from bench import setting
from policyd.conf.load import load
from policyd.conf.schema import Config
from policyd.policy.decide import decide
from policyd.policy.plan import Planner
from policyd.store.base import Call, Op, Record
from policyd.store.script import decode, encode
from policyd.wire.postfix import PolicyConnection

PASSES, ROUNDS = 7, 5000

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


def main() -> None:
    """Run all steps."""
    with setting.folder() as folder:
        python_steps(load(setting.configuration(folder, 1)))


if __name__ == "__main__":
    main()
