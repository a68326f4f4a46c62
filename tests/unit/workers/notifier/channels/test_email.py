"""E-mail: against a real server, over TLS, with everything that it may answer."""

from __future__ import annotations

import asyncio
import datetime as dt
import email
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from infra.clock import SystemClock
from tests.unit.workers.notifier.channels.test_webhooks import message
from workers.notifier.channels.contract import Answer, Result
from workers.notifier.channels.email import Email

SENT, RETRY, WAIT, REFUSED, GONE, UNKNOWN = Result


@dataclass
class Server:
    """A mail server's rules: what it answers, and what it got."""

    recipients: dict[str, str] = field(default_factory=dict)
    data: str = "250 OK"
    got: list[Any] = field(default_factory=list)

    async def handle_RCPT(
        self, _s: Any, _n: Any, envelope: Any, to: str, _o: Any
    ) -> str:
        """Take a recipient, or refuse it."""
        answer = self.recipients.get(to, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(to)
        return answer

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:
        """Take a mail."""
        self.got.append(envelope)
        if self.data == "close":
            server.transport.close()
        return self.data


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return contexts of a server that is called localhost, and of who trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=36_500))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "both.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))


@asynccontextmanager
async def serving(server: Server, **of: Any) -> AsyncIterator[int]:
    """Run a mail server; yield its port."""
    controller = Controller(server, hostname="localhost", port=0, **of)
    controller.factory = lambda: SMTP(server, **of)  # type: ignore[method-assign]
    loop = asyncio.get_running_loop()
    running = await loop.create_server(controller.factory, "localhost", 0)
    async with running:
        yield running.sockets[0].getsockname()[1]


def channel(port: int, trusts: ssl.SSLContext | None = None, **of: Any) -> Email:
    """Return a channel to a server of this machine."""
    found = {
        "tls": "starttls", "sender": "Flightlog <flightlog@example.com>",
        "recipients": ("a@example.com", "b@example.com"),
    }  # fmt: skip
    return Email(
        clock=SystemClock(),
        host="localhost",
        port=port,
        context=trusts,
        **{**found, **of},  # type: ignore[arg-type]
    )


async def send(server: Server, tmp_path: Path, **of: Any) -> Answer:
    """Send a mail to a server over TLS."""
    context, trusts = certificate(tmp_path)
    async with serving(server, tls_context=context) as port:
        return await channel(port, trusts).send(message(**of))


async def test_a_mail_over_tls(tmp_path: Path) -> None:
    """Text first, then HTML; its id is the delivery's, its thread the subject's."""
    server = Server()
    assert (await send(server, tmp_path)).result is SENT

    mail: Any = email.message_from_bytes(server.got[0].content, policy=policy.default)
    plain, html = mail.iter_parts()
    assert mail["Message-ID"] == "<msg_0@example.com>"
    assert mail["Subject"] == "flows.wf (p/d) failed: one"
    assert mail["To"] == "a@example.com, b@example.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["In-Reply-To"] == mail["References"]
    assert "<!channel>" in plain.get_content()
    assert "&lt;!channel&gt;" in html.get_content()
    assert "<!channel>" not in html.get_content()


async def test_recipients_that_are_refused_in_part(tmp_path: Path) -> None:
    """Those to be tried again are left; those refused for good are named."""
    server = Server({"a@example.com": "451 later", "c@example.com": "550 nobody"})
    to = ("a@example.com", "b@example.com", "c@example.com")
    found = await send(server, tmp_path, recipients=to)

    assert found.result is SENT
    assert (found.left, found.refused) == (("a@example.com",), ("c@example.com",))
    assert server.got[0].rcpt_tos == ["b@example.com"]


@pytest.mark.parametrize(
    ("answer", "result"), [("550 nobody", REFUSED), ("451 later", RETRY)]
)
async def test_recipients_that_are_all_refused(
    answer: str, result: Result, tmp_path: Path
) -> None:
    """For good, or for now."""
    server = Server(dict.fromkeys(("a@example.com", "b@example.com"), answer))

    assert (await send(server, tmp_path)).result is result


@pytest.mark.parametrize(
    ("data", "result"),
    [("554 no", REFUSED), ("452 full", RETRY), ("close", UNKNOWN)],
)
async def test_mails_that_are_refused(
    data: str, result: Result, tmp_path: Path
) -> None:
    """A server that hung up after the mail may have it."""
    assert (await send(Server(data=data), tmp_path)).result is result


async def test_a_server_that_cannot_be_trusted(tmp_path: Path) -> None:
    """No password and no mail goes to it; the channel is wrong, not the mail."""
    server = Server()
    context, _ = certificate(tmp_path)
    async with serving(server, tls_context=context) as port:
        untrusted = await channel(port).send(message())
    async with serving(server) as port:
        plain = await channel(port).send(message())

    assert untrusted.result is GONE
    assert plain.result is GONE
    assert not server.got


async def test_a_server_that_is_away() -> None:
    """Certainly not sent."""
    async with serving(Server()) as port:
        pass
    found = await channel(port, tls="none").send(message())

    assert found.result is RETRY


async def test_a_password_is_asked_for(tmp_path: Path) -> None:
    """A wrong one is the channel's fault."""
    context, trusts = certificate(tmp_path)
    async with serving(Server(), tls_context=context, auth_required=True) as port:
        found = await channel(
            port, trusts, username="me", password=SecretStr("wrong")
        ).send(message())

    assert found.result is GONE


@pytest.mark.parametrize("to", [("a@x\r\nBcc: all@x",), ()])
async def test_recipients_that_no_header_may_hold(to: tuple[str, ...]) -> None:
    """Refused, without a server."""
    found = await channel(1, tls="none", recipients=()).send(message(recipients=to))

    assert found.result is REFUSED


async def test_a_body_of_the_plans_author_is_sent_as_it_is(tmp_path: Path) -> None:
    """As Flyte's notifications have it: HTML."""
    server = Server()
    await send(server, tmp_path, body="<b>{{ 7 * 7 }}</b>", recipients=("x@y.org",))

    mail: Any = email.message_from_bytes(server.got[0].content, policy=policy.default)
    assert mail.get_content_type() == "text/html"
    assert mail.get_content().strip() == "<b>{{ 7 * 7 }}</b>"
