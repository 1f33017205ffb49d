"""Policy requests as Postfix 3.7 writes them: 29 attributes, in its order."""

from collections.abc import Mapping

NAMES = (
    "request", "protocol_state", "protocol_name", "client_address", "client_name", "client_port",
    "reverse_client_name", "server_address", "server_port", "helo_name", "sender", "recipient", "recipient_count",
    "queue_id", "instance", "size", "etrn_domain", "stress", "sasl_method", "sasl_username", "sasl_sender",
    "ccert_subject", "ccert_issuer", "ccert_fingerprint", "ccert_pubkey_fingerprint", "encryption_protocol",
    "encryption_cipher", "encryption_keysize", "policy_context",
)  # fmt: skip

TYPICAL: Mapping[str, str] = {
    "request": "smtpd_access_policy",
    "protocol_state": "RCPT",
    "protocol_name": "ESMTP",
    "client_address": "192.0.2.17",
    "client_name": "mail.client.example",
    "client_port": "43210",
    "reverse_client_name": "mail.client.example",
    "server_address": "192.0.2.1",
    "server_port": "587",
    "helo_name": "mail.client.example",
    "sender": "alice@hosted.test",
    "recipient": "x@remote.test",
    "recipient_count": "0",
    "queue_id": "6C47A216073",
    "instance": "43ac.6b025c8e.6a03a.0",
    "size": "4000",
    "sasl_method": "PLAIN",
    "sasl_username": "alice@hosted.test",
    "encryption_protocol": "TLSv1.3",
    "encryption_cipher": "TLS_AES_256_GCM_SHA384",
    "encryption_keysize": "256",
    "policy_context": "submission",
}


def lines(values: Mapping[str, str]) -> bytes:
    """Return attributes as they go over the wire, in the order of ``values``, with the empty line."""
    text = "".join(f"{name}={value}\n" for name, value in values.items())
    return text.encode("utf-8", "surrogateescape") + b"\n"


def request(**changed: str) -> bytes:
    """Return a whole request in Postfix's order: TYPICAL with some values ``changed``."""
    values = {**TYPICAL, **changed}
    return lines({name: values.get(name, "") for name in NAMES})
