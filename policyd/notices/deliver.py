"""The two ways that a notice goes: through the local MTA, and to a webhook."""

import socket
from email.message import EmailMessage
from http import HTTPStatus

import aiohttp
import aiosmtplib

from policyd.conf.notice import Mta, Webhook
from policyd.errors import NoticeError, SecretError
from policyd.notices.letter import signature
from policyd.secret import read_password

TIMEOUT = 30.0
"""Seconds that one delivery may take."""

_FOR_GOOD = 500


async def mail(message: EmailMessage, mta: Mta) -> None:
    """Give a mail to the MTA. Raises NoticeError.

    Its envelope sender is null: nobody is charged for it, no bounce and no holiday reply comes back.
    """
    client = aiosmtplib.SMTP(
        hostname=mta.host, port=mta.port, timeout=TIMEOUT, start_tls=False, local_hostname=socket.gethostname()
    )
    try:
        async with client:
            await client.sendmail("", [str(message["To"])], message.as_bytes())
    except aiosmtplib.SMTPRecipientsRefused as error:
        refused = error.recipients[0]
        raise NoticeError(f"{refused.code} {refused.message}", for_good=refused.code >= _FOR_GOOD) from error
    except aiosmtplib.SMTPResponseException as error:
        raise NoticeError(f"{error.code} {error.message}", for_good=error.code >= _FOR_GOOD) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise NoticeError(f"{mta}: {error}") from error


async def post(body: bytes, hook: Webhook) -> None:
    """Post a signed event. Raises NoticeError."""
    try:
        signed = signature(read_password(hook.secret_file), body)
        headers = {"Content-Type": "application/json", "X-Policyd-Signature": signed}
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(hook.url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            status = answer.status
    except SecretError as error:
        raise NoticeError(f"notify.webhook.secret_file {error}") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NoticeError(f"{hook.url}: {error}") from error
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise NoticeError(f"{hook.url}: answered {status}")
