"""Which files the configuration names for passwords, keys and tokens."""

from policyd.conf import listen, mailman, notify, sections
from policyd.conf.secret_file import SecretFile
from policyd.conf.structures import NOTHING, Values


def secret_files(root: Values) -> tuple[SecretFile, ...]:
    """Return all that are named in the whole file."""
    listening, store = root.get(sections.LISTEN_KEY, NOTHING), root.get(sections.STORE_KEY, NOTHING)
    hook = root.get(sections.NOTIFY_KEY, NOTHING).get(notify.WEBHOOK, NOTHING)
    keys = (
        ("listen", listening, listen.DOVECOT_KEY_FILE, True),
        ("listen", listening, listen.METRICS_TOKEN_FILE, True),
        ("store", store, listen.PASSWORD_FILE, False),
        ("store", store, listen.SENTINEL_PASSWORD_FILE, False),
        ("mailman", root.get(sections.MAILMAN_KEY, NOTHING), mailman.PASSWORD_FILE, False),
        ("notify.webhook", hook, notify.SECRET_FILE, False),
    )
    return tuple(
        SecretFile(f"{path}.{key.name}", file, values.place_of(key), is_key)
        for path, values, key, is_key in keys
        if (file := values.get(key, ""))
    )
