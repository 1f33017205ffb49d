"""Which files the configuration names for passwords, keys, tokens and certificates."""

from policyd.conf import listen, mailman, notify, sections
from policyd.conf.secret_file import Secret, SecretFile
from policyd.conf.store_url import tls_files
from policyd.conf.structures import NOTHING, Values


def secret_files(root: Values) -> tuple[SecretFile, ...]:
    """Return all that are named in the whole file."""
    listening, store = root.get(sections.LISTEN_KEY, NOTHING), root.get(sections.STORE_KEY, NOTHING)
    hook = root.get(sections.NOTIFY_KEY, NOTHING).get(notify.WEBHOOK, NOTHING)
    keys = (
        ("listen", listening, listen.DOVECOT_KEY_FILE, Secret.KEY),
        ("listen", listening, listen.METRICS_TOKEN_FILE, Secret.TOKEN),
        ("store", store, listen.PASSWORD_FILE, Secret.PASSWORD),
        ("store", store, listen.SENTINEL_PASSWORD_FILE, Secret.PASSWORD),
        ("mailman", root.get(sections.MAILMAN_KEY, NOTHING), mailman.PASSWORD_FILE, Secret.PASSWORD),
        ("notify.webhook", hook, notify.SECRET_FILE, Secret.PASSWORD),
    )
    named = tuple(
        SecretFile(f"{path}.{key.name}", file, values.place_of(key), kind)
        for path, values, key, kind in keys
        if (file := values.get(key, ""))
    )
    files, place = tls_files(store.get(listen.URL, "")), store.place_of(listen.URL)
    return (*named, *(SecretFile("store.url", file, place, Secret.CERTIFICATE) for file in files))
