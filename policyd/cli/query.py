"""``policyd query``: ask a running daemon as Postfix would."""

import os
import socket
import time
from difflib import get_close_matches
from typing import Annotated

import typer

from policyd.cli.client import AdminClient
from policyd.cli.output import ADMIN, AdminOption, JsonOption, print_json, reported, usage
from policyd.errors import DaemonError

_TIMEOUT = 60.0
_MEMBERS = "its socket is for root and the members of the group postfix"

ATTRIBUTES = frozenset(
    {
        *("request", "protocol_state", "protocol_name", "instance", "queue_id", "policy_context", "stress"),
        *("client_address", "client_name", "client_port", "reverse_client_name", "helo_name"),
        *("server_address", "server_port", "mail_version", "compatibility_level"),
        *("sender", "recipient", "recipient_count", "size", "etrn_domain"),
        *("sasl_method", "sasl_username", "sasl_sender"),
        *("ccert_subject", "ccert_issuer", "ccert_fingerprint", "ccert_pubkey_fingerprint"),
        *("encryption_protocol", "encryption_cipher", "encryption_keysize", "tls_sni"),
    }
)
"""The attributes of a request (SMTPD_POLICY_README of Postfix 3.12)."""


def query(
    attributes: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="Attributes of the request; size is in bytes.")
    ] = None,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="ADDRESS", help="Where to ask, unix:/path or host:port. Without it the admin socket says."
        ),
    ] = "",
    admin: AdminOption = ADMIN,
    json: JsonOption = False,
) -> None:
    """Ask a running daemon as Postfix would, and print the action. What is accepted is charged.

    What is not given is as in a message from a client on this host: protocol_state=RCPT,
    client_address=127.0.0.1, no login. All names: SMTPD_POLICY_README of Postfix.

    For example:

    policyd query sasl_username=alice@example.org recipient=bob@example.net

    policyd query sender=www@example.org recipient=bob@example.net --json

    policyd query protocol_state=END-OF-MESSAGE sasl_username=alice@example.org recipient_count=3 size=4000
    """
    sent = _request(attributes or [])
    with reported():
        action = _ask(to or AdminClient(admin).get("/v1/daemon")["listen"]["postfix"][0], sent)
    if json:
        print_json({"request": sent, "action": action})
    else:
        print(f"action={action}")


def _request(attributes: list[str]) -> dict[str, str]:
    request = {
        "request": "smtpd_access_policy",
        "protocol_state": "RCPT",
        "protocol_name": "ESMTP",
        "client_address": "127.0.0.1",
        "client_name": "localhost",
        "sender": "",
        "recipient": "",
        "recipient_count": "0",
        "instance": f"query.{os.getpid()}.{time.time_ns()}",
        "size": "0",
    }
    if not attributes:
        usage("nothing is asked", "write attributes, as sasl_username=alice@example.org recipient=bob@example.net")
    return request | attributes_of(attributes)


def attributes_of(written: list[str]) -> dict[str, str]:
    """Return attributes of a request that were written as NAME=VALUE."""
    request: dict[str, str] = {}
    for attribute in written:
        name, equals, value = attribute.partition("=")
        if not equals or not name or "\n" in attribute:
            usage(f"{attribute!r} is no attribute", "write name=value, as recipient=bob@example.net")
        if name not in ATTRIBUTES:
            near = get_close_matches(name, ATTRIBUTES, 1)
            cure = f"did you mean {near[0]}?" if near else "see policyd query --help"
            usage(f"Postfix has no attribute {name!r}", cure)
        request[name] = value
    return request


def _ask(address: str, request: dict[str, str]) -> str:
    text = "".join(f"{name}={value}\n" for name, value in request.items()) + "\n"
    try:
        with _connected(address) as connection:
            connection.sendall(text.encode("utf-8", "surrogateescape"))
            answer = b""
            while not answer.endswith(b"\n\n"):
                data = connection.recv(4096)
                if not data:
                    raise DaemonError(f"{address} closed the connection without an answer (see the daemon's log)")
                answer += data
    except PermissionError as error:
        raise DaemonError(f"no answer from {address}: permission denied ({_MEMBERS})") from error
    except OSError as error:
        cure = "is policyd running? name its listener with --to"
        raise DaemonError(f"no answer from {address}: {error.strerror or error} ({cure})") from error
    return answer.decode("ascii", "replace").removeprefix("action=").rstrip("\n")


def _connected(address: str) -> socket.socket:
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_TIMEOUT)
        try:
            connection.connect(address.removeprefix("unix:"))
        except BaseException:
            connection.close()
            raise
        return connection
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        usage(f"{address!r} is no address", "write unix:/path or host:port")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=_TIMEOUT)
