"""PagerDuty by Events API v2: a failure raises an alert, a success resolves it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256

import httpx
from pydantic import SecretStr

from infra.clock import Clock
from workers.notifier.channels.contract import Answer, Message, Result
from workers.notifier.channels.http import Reply, post

URL = "https://events.pagerduty.com/v2/enqueue"
KEY_MAX = 255
SUMMARY_MAX = 1024
_RATE_S = 180.0
"""PagerDuty asks for a pause of a few minutes."""


@dataclass(slots=True, kw_only=True)
class PagerDuty:
    """A service's integration, by its routing key; `instance` is part of its alerts."""

    client: httpx.AsyncClient
    clock: Clock
    routing_key: SecretStr
    url: str = URL
    instance: str = "flightlog"

    @property
    def is_ordered(self) -> bool:
        """A resolve whose alert hasn't arrived would be dropped, and that stay open."""
        return True

    async def send(self, message: Message) -> Answer:
        """Send an event."""
        content = json.dumps(self.event(message)).encode()
        headers = {"Content-Type": "application/json"}
        reply = await post(self.client, self.url, content, headers, self.clock.now_us())
        return reply if isinstance(reply, Answer) else _answer(reply)

    def event(self, message: Message) -> dict[str, object]:
        """Return the event of a message."""
        words = message.words
        event: dict[str, object] = {
            "routing_key": self.routing_key.get_secret_value(),
            "event_action": "resolve" if message.action == "resolve" else "trigger",
            "dedup_key": self.alert(message),
        }
        if message.action == "resolve":
            return event
        return event | {
            "client": "Flightlog",
            "client_url": words.links[0].url if words.links else "",
            "links": [{"href": link.url, "text": link.text} for link in words.links],
            "payload": {
                "summary": words.title[:SUMMARY_MAX],
                "source": self.instance,
                "severity": words.severity,
                "timestamp": words.at,
                "component": words.about,
                "custom_details": {"message": words.text, **dict(words.fields)},
            },
        }

    def alert(self, message: Message) -> str:
        """Return the key of an alert: by what fails, whichever execution it was."""
        key = f"{self.instance}/{message.subject}"
        return key if len(key) <= KEY_MAX else sha256(key.encode()).hexdigest()


def _answer(reply: Reply) -> Answer:
    if reply.status in (httpx.codes.ACCEPTED, httpx.codes.OK):
        return Answer(result=Result.SENT, text=reply.text)
    if reply.status == httpx.codes.TOO_MANY_REQUESTS:
        after_s = reply.after_s if reply.after_s is not None else _RATE_S
        return Answer(result=Result.WAIT, text=reply.text, after_s=after_s)
    if reply.status == httpx.codes.BAD_REQUEST:
        is_key = "routing_key" in reply.body
        return Answer(result=Result.GONE if is_key else Result.REFUSED, text=reply.text)
    if reply.status in (401, 403, 404):
        return Answer(result=Result.GONE, text=reply.text)
    if reply.status < httpx.codes.INTERNAL_SERVER_ERROR:
        return Answer(result=Result.REFUSED, text=reply.text)
    return Answer(result=Result.RETRY, text=reply.text, after_s=reply.after_s)
