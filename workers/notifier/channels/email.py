"""E-mail by SMTP with TLS: one mail each, for all of its recipients."""

from __future__ import annotations

import html
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256
from typing import Literal, TypeAlias

import aiosmtplib
from aiosmtplib import SMTPResponse
from pydantic import SecretStr

from domain.notifying.words import Words
from infra.clock import Clock
from workers.notifier.channels.contract import Answer, Message, Result

Tls: TypeAlias = Literal["starttls", "tls", "none"]
NO_SECRET = SecretStr("")
_COMMAND_S = 10.0
_SUBJECT_MAX = 200
_PERMANENT = 500
_GONE_CODES = frozenset({530, 534, 535})


@dataclass(slots=True, kw_only=True)
class Email:
    """A mail server, and who mails are from and, unless they say, to."""

    clock: Clock
    host: str
    port: int
    tls: Tls
    sender: str
    recipients: Sequence[str] = ()
    username: str = ""
    password: SecretStr = NO_SECRET
    instance: str = "flightlog"
    context: ssl.SSLContext | None = None

    @property
    def is_ordered(self) -> bool:
        """Mails stand by themselves."""
        return False

    async def send(self, message: Message) -> Answer:
        """Send a mail."""
        recipients = list(message.recipients or self.recipients)
        if not recipients:
            return Answer(result=Result.REFUSED, text="the mail has no recipients")
        try:
            mail = self.mail(message, recipients)
        except ValueError as error:  # line breaks in a header
            return Answer(result=Result.REFUSED, text=str(error))
        return await self._sent(mail, recipients)

    def mail(self, message: Message, recipients: Sequence[str]) -> EmailMessage:
        """Return the mail of a message; ValueError for what no header may hold."""
        words, domain = message.words, self.sender.rpartition("@")[2].strip(" >")
        thread = sha256(message.subject.encode()).hexdigest()[:32]
        mail = EmailMessage()
        mail["From"] = self.sender
        mail["To"] = ", ".join(recipients)
        mail["Subject"] = " ".join(words.title.split())[:_SUBJECT_MAX]
        now = datetime.fromtimestamp(self.clock.now_us() / 1e6, UTC)
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = f"<{message.id}@{domain or self.instance}>"
        mail["References"] = f"<{thread}@{domain or self.instance}>"
        mail["In-Reply-To"] = f"<{thread}@{domain or self.instance}>"
        mail["List-Id"] = f"Flightlog <notifications.{self.instance}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Auto-Response-Suppress"] = "All"
        if message.body:
            mail.set_content(message.body, subtype="html")
            return mail
        mail.set_content(plain(words))
        mail.add_alternative(as_html(words), subtype="html")
        return mail

    async def _sent(self, mail: EmailMessage, recipients: Sequence[str]) -> Answer:
        is_sending = False
        client = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            timeout=_COMMAND_S,
            use_tls=self.tls == "tls",
            start_tls=self.tls == "starttls",
            tls_context=self.context,
            username=self.username or None,
            password=self.password.get_secret_value() or None,
        )
        try:
            await client.connect()
            is_sending = True
            errors, said = await client.send_message(
                mail, sender=self.sender, recipients=list(recipients)
            )
        except Exception as error:  # noqa: BLE001 - each becomes an answer
            return _answer(error, is_sending=is_sending)
        finally:
            client.close()
        return _answer_in_part(errors, said)


def plain(words: Words) -> str:
    """Return a message as plain text."""
    fields = [f"{name}: {value}" for name, value in words.fields]
    links = [f"{link.text}: {link.url}" for link in words.links]
    parts = (words.title, words.text, "\n".join(fields), "\n".join(links))
    return "\n\n".join(part for part in parts if part) + "\n"


def as_html(words: Words) -> str:
    """Return a message as HTML."""
    text = f"<pre>{html.escape(words.text)}</pre>" if words.text else ""
    fields = "".join(
        f"<tr><th align=left>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in words.fields
    )
    links = " · ".join(
        f'<a href="{html.escape(link.url)}">{html.escape(link.text)}</a>'
        for link in words.links
    )
    return (
        f"<html><body><h3>{html.escape(words.title)}</h3>{text}"
        f"<table>{fields}</table><p>{links}</p></body></html>"
    )


def _answer_in_part(errors: Mapping[str, SMTPResponse], said: str) -> Answer:
    """Return what became of a mail that was taken, maybe not for all recipients."""
    refused = tuple(who for who, why in errors.items() if why.code >= _PERMANENT)
    left = tuple(who for who, why in errors.items() if why.code < _PERMANENT)
    text = "; ".join(f"{who}: {why.code} {why.message}" for who, why in errors.items())
    return Answer(result=Result.SENT, text=text or said, refused=refused, left=left)


def _answer(error: Exception, *, is_sending: bool) -> Answer:
    """Return what a failure means."""
    text = f"{type(error).__name__}: {error}"[:300]
    if _is_certificate(error):
        return Answer(result=Result.GONE, text=text)
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            codes = [refused.code for refused in error.recipients]
            is_final = all(code >= _PERMANENT for code in codes)
            return Answer(
                result=Result.REFUSED if is_final else Result.RETRY, text=text
            )
        case aiosmtplib.SMTPConnectError() | aiosmtplib.SMTPConnectTimeoutError():
            return Answer(result=Result.RETRY, text=text)
        case aiosmtplib.SMTPNotSupported() | ValueError():
            return Answer(result=Result.REFUSED, text=text)
        case aiosmtplib.SMTPReadTimeoutError() | aiosmtplib.SMTPServerDisconnected():
            result = Result.UNKNOWN if is_sending else Result.RETRY
            return Answer(result=result, text=text)
        case aiosmtplib.SMTPResponseException():
            if error.code in _GONE_CODES:
                return Answer(result=Result.GONE, text=text)
            is_final = error.code >= _PERMANENT
            return Answer(
                result=Result.REFUSED if is_final else Result.RETRY, text=text
            )
        case aiosmtplib.SMTPException():
            return Answer(result=Result.GONE, text=text)
        case _:
            result = Result.UNKNOWN if is_sending else Result.RETRY
            return Answer(result=result, text=text)


def _is_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__
    return False
