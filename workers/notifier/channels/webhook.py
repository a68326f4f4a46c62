"""Webhooks: CloudEvents bodies with the signature of Standard Webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
from pydantic import SecretStr

from infra.clock import Clock
from workers.notifier.channels.contract import Answer, Message, Result
from workers.notifier.channels.http import Reply, post

SECRET_PREFIX = "whsec_"  # noqa: S105 - what secrets begin with
_GONE = frozenset({401, 403, 404, 410})
_WAIT = frozenset({408, 409, 425, 429, 502, 503, 504})


@dataclass(slots=True, kw_only=True)
class Webhook:
    """An endpoint; several secrets while they are rotated, none for no signature."""

    client: httpx.AsyncClient
    clock: Clock
    url: SecretStr
    secrets: Sequence[SecretStr] = ()
    instance: str = "flightlog"

    @property
    def is_ordered(self) -> bool:
        """Messages stand by themselves."""
        return False

    async def send(self, message: Message) -> Answer:
        """Post a message."""
        now_us = self.clock.now_us()
        content = json.dumps(self.body(message)).encode()
        reply = await post(
            self.client,
            self.url.get_secret_value(),
            content,
            self.headers(message.id, content, now_us // 1_000_000),
            now_us,
        )
        return reply if isinstance(reply, Answer) else _answer(reply)

    def headers(self, message_id: str, content: bytes, at_s: int) -> dict[str, str]:
        """Return the headers of a try, which sign the bytes that are sent."""
        headers = {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "webhook-id": message_id,
            "webhook-timestamp": str(at_s),
        }
        if self.secrets:
            signed = f"{message_id}.{at_s}.".encode() + content
            headers["webhook-signature"] = " ".join(
                signature(secret.get_secret_value(), signed) for secret in self.secrets
            )
        return headers

    def body(self, message: Message) -> dict[str, object]:
        """Return the CloudEvent of a message."""
        words = message.words
        event: dict[str, object] = {
            "specversion": "1.0",
            "id": message.id,
            "source": f"/flightlog/{self.instance}",
            "type": f"flightlog.v1.{words.kind}",
            "subject": words.execution,
            "time": words.at,
            "datacontenttype": "application/json",
            "data": {
                "title": words.title,
                "text": words.text,
                "reason": words.reason,
                **dict(words.fields),
                "links": {link.text: link.url for link in words.links},
            },
        }
        if message.traceparent:
            event["traceparent"] = message.traceparent
        return event


def signature(secret: str, signed: bytes) -> str:
    """Return the signature of Standard Webhooks; ValueError for a wrong secret."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _answer(reply: Reply) -> Answer:
    status = reply.status
    if httpx.codes.is_success(status):
        return Answer(result=Result.SENT, text=reply.text)
    if status in _GONE:
        return Answer(result=Result.GONE, text=reply.text)
    if status in _WAIT:
        is_asked = reply.after_s is not None
        result = Result.WAIT if is_asked else Result.RETRY
        return Answer(result=result, text=reply.text, after_s=reply.after_s)
    if status < httpx.codes.INTERNAL_SERVER_ERROR:
        return Answer(result=Result.REFUSED, text=reply.text)
    return Answer(result=Result.RETRY, text=reply.text)
