"""Whether a Dovecot configuration asks policyd about logins as its promises need, and what to write where not.

Supported is one question for each right password (auth_policy_check_before_auth=no and
auth_policy_check_after_auth=yes): with Dovecot's defaults there are two for a right one and one for
a wrong one, and nothing tells them apart.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from policyd.audit.doveconf import API_HEADER, DovecotView, Served
from policyd.audit.finding import Finding, Severity
from policyd.audit.scene import ANYWHERE, same_host
from policyd.audit.write import POLICYD
from policyd.conf.schema import Endpoint
from policyd.errors import ToolError
from policyd.server.dovecot import KEY_HEADER, PATH

_FILE = "# dovecot.conf"
_ATTRIBUTES = ("login=%{requested_username}", "remote=%{rip}", "protocol=%s")
_NONCE = "auth_policy_hash_nonce = any-text-of-your-own"
_RECOMMENDED_TIMEOUT, _LONGEST_TIMEOUT = 2_000, 10_000
_PENALTY = "service anvil/unix_listener anvil-auth-penalty/mode"
_LAST_LOGIN = "last_login"
_DELIVERING = ("mail_plugins", "protocol lmtp/mail_plugins", "protocol lda/mail_plugins")


def audit_dovecot(served: Served, view: DovecotView) -> list[Finding]:
    """Return all that is wrong, errors first."""
    endpoint = served.endpoint
    if endpoint is None:
        cure = f'{POLICYD}\nlisten:\n  dovecot: "127.0.0.1:10032"\n  dovecot_key_file: /etc/policyd/dovecot.key'
        return [Finding(Severity.ERROR, "listen.dovecot", "policyd does not listen for Dovecot", cure)]
    if not view.get("auth_policy_server_url"):
        problem = "Dovecot does not ask policyd, so no login is counted"
        return [Finding(Severity.ERROR, "auth_policy_server_url", problem, _recommended(served, endpoint))]
    found = [
        *_reachable(endpoint), *_address(endpoint, view), *_key(served, view), *_questions(view), *_answers(view),
        *_timeout(served, view), *_penalty(view), *_last_login(view),
    ]  # fmt: skip
    order = list(Severity)
    return sorted(found, key=lambda finding: order.index(finding.severity))


def _recommended(served: Served, endpoint: Endpoint) -> str:
    return (
        f"{_FILE}\nauth_policy_server_url = {_url(endpoint)}\n{API_HEADER} = <{served.key_file}\n"
        f"{_NONCE}\nauth_policy_check_before_auth = no"
    )


def _url(endpoint: Endpoint) -> str:
    host = "127.0.0.1" if endpoint.host in ANYWHERE else endpoint.host
    return f"http://{Endpoint(host=host, port=endpoint.port)}{PATH}"


def refused(error: ToolError) -> Finding:
    """Return what to do where Dovecot's own tool finds a mistake, or is not there."""
    if "auth_policy_hash_nonce" in str(error):
        cure = f"{_FILE}\n{_NONCE}"
    else:
        cure = "# shell, where Dovecot is, until it finds no mistake\ndoveconf -n"
    return Finding(Severity.ERROR, "doveconf", str(error), cure)


def _reachable(endpoint: Endpoint) -> Iterator[Finding]:
    if endpoint.host in ANYWHERE or not same_host(endpoint.host, "localhost"):
        problem = f"{endpoint} can be reached from other hosts, and the key goes over the network as it is"
        cure = f'{POLICYD}\nlisten:\n  dovecot: "127.0.0.1:{endpoint.port}"'
        yield Finding(Severity.NOTE, "listen.dovecot", problem, cure)


def _address(endpoint: Endpoint, view: DovecotView) -> Iterator[Finding]:
    name, written = "auth_policy_server_url", view.get("auth_policy_server_url")
    url = urlsplit(written)
    if not _leads_to(endpoint, written):
        yield _error(name, f"{written} is something else; policyd listens on {endpoint}, with http", _url(endpoint))
    elif (url.path, url.query) != (PATH, ""):
        yield _error(name, f"policyd answers logins under {PATH} only, so no login is counted", _url(endpoint))


def _leads_to(endpoint: Endpoint, written: str) -> bool:
    url = urlsplit(written)
    try:
        port = url.port or 80
    except ValueError:
        return False
    here = endpoint.host in ANYWHERE or same_host(endpoint.host, url.hostname or "")
    return url.scheme == "http" and port == endpoint.port and here


def _key(served: Served, view: DovecotView) -> Iterator[Finding]:
    header, written, right = view.api_header, view.get(API_HEADER), f"<{served.key_file}"
    # Without a colon Dovecot takes the whole for the value of this header.
    name, _, value = header.partition(":") if ":" in header else (KEY_HEADER, "", header)
    if not header:
        yield _error(API_HEADER, "policyd answers nobody without its key, so no login is counted", right)
    elif "\n" in header or "\r" in header:
        problem = "the key's file ends with a newline: Dovecot's auth process dies at each login, and nobody gets in"
        cure = f"# shell\ntruncate -s -1 {written.removeprefix('<')}"
        yield Finding(Severity.ERROR, API_HEADER, problem, cure)
    elif served.key and (name.strip().lower(), value.strip()) != (KEY_HEADER.lower(), served.key):
        problem = f"it sends another key than that in {served.key_file}, so no login is counted"
        yield _error(API_HEADER, problem, right)
    elif view.readable and not written.startswith("<"):
        problem = "every user of this host can read the key, and with it lock any mailbox"
        yield _warning(API_HEADER, problem, right)


def _questions(view: DovecotView) -> Iterator[Finding]:
    if view.get("auth_policy_check_before_auth", "yes") != "no":
        problem = "each login is asked about twice and wrong passwords are, too: a stranger can lock any mailbox"
        yield _error("auth_policy_check_before_auth", problem, "no")
    if view.get("auth_policy_check_after_auth", "yes") != "yes":
        yield _error("auth_policy_check_after_auth", "no right password is asked about, so no login is counted", "yes")
    if view.get("auth_policy_report_after_auth", "yes") != "yes":
        problem = "policyd does not hear how logins end: no last logins, and no limit of failed logins"
        yield _warning("auth_policy_report_after_auth", problem, "yes")
    attributes = view.get("auth_policy_request_attributes", " ".join(_ATTRIBUTES))
    missing = [one for one in _ATTRIBUTES if f" {one.partition('=')[0]}=" not in f" {attributes}"]
    if missing:
        names = ", ".join(one.partition("=")[0] for one in missing)
        yield _error("auth_policy_request_attributes", f"policyd is not told {names}", " ".join([attributes, *missing]))


def _answers(view: DovecotView) -> Iterator[Finding]:
    if view.get("auth_policy_reject_on_fail", "no") != "no":
        yield _error("auth_policy_reject_on_fail", "while policyd is down nobody can log in at all", "no")
    if view.get("auth_policy_log_only", "no") != "no":
        problem = "Dovecot logs what policyd refuses, and lets it in; for a trial write mode: observe in policyd.yaml"
        yield _warning("auth_policy_log_only", problem, "no")


def _timeout(served: Served, view: DovecotView) -> Iterator[Finding]:
    name, shortest = "auth_policy_server_timeout_msecs", 2 * served.timeout
    timeout = int(view.get(name, str(_RECOMMENDED_TIMEOUT)))
    recommended = str(max(_RECOMMENDED_TIMEOUT, shortest))
    if timeout < shortest:
        problem = f"Dovecot waits {timeout} ms, less than two answers of the store (store.timeout): refusals are lost"
        yield _warning(name, problem, recommended)
    elif timeout > max(_LONGEST_TIMEOUT, shortest):
        yield _warning(name, f"while policyd hangs, each login takes {timeout / 1000:g} s longer", recommended)


def _penalty(view: DovecotView) -> Iterator[Finding]:
    databases, spared = view.all("passdb/driver"), view.all("passdb/override_fields")
    if view.get(_PENALTY, "0600").strip("0") and sum("nodelay" in fields for fields in spared) < len(databases):
        problem = "a refusal by policyd makes Dovecot slow down all logins from that address, for up to 15 s"
        cure = f"{_FILE}, inside each passdb block\noverride_fields = nodelay=y"
        yield Finding(Severity.NOTE, "passdb", problem, cure)


def _last_login(view: DovecotView) -> Iterator[Finding]:
    for name in _DELIVERING:
        words = view.get(name).split()
        if _LAST_LOGIN in words:
            problem = "the last_login plugin takes each mail that arrives for a login"
            left = " ".join(word for word in words if word != _LAST_LOGIN)
            plugins = "  mail_plugins = $mail_plugins last_login"
            cure = f"{_FILE}\n{_setting(name, left)}"
            if name == "mail_plugins":
                cure += f"\nprotocol pop3 {{\n{plugins}\n}}\nprotocol imap {{\n{plugins}\n}}"
            yield Finding(Severity.WARNING, name, problem, cure)
            break  # protocols inherit it


def _setting(path: str, value: str) -> str:
    block, _, name = path.rpartition("/")
    line = f"{name} = {value}".rstrip()
    return f"{block} {{\n  {line}\n}}" if block else line


def _error(name: str, problem: str, value: str) -> Finding:
    return Finding(Severity.ERROR, name, problem, f"{_FILE}\n{name} = {value}")


def _warning(name: str, problem: str, value: str) -> Finding:
    return Finding(Severity.WARNING, name, problem, f"{_FILE}\n{name} = {value}")
