"""policyd enforces a mail provider's published terms for Postfix and Dovecot."""

__version__ = "0.1.0"
