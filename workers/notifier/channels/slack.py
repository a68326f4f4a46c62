"""Slack by incoming webhook: one message each."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import httpx
from pydantic import SecretStr

from domain.notifying.words import Words
from infra.clock import Clock
from workers.notifier.channels.contract import Answer, Message, Result
from workers.notifier.channels.http import Reply, post

TEXT_MAX = 3_900
HEADER_MAX = 150
SECTION_MAX = 2_900
FIELD_MAX = 900
"""Of ten, so that all blocks together stay below what Slack takes."""
FIELDS_MAX = 10
ACTIONS_MAX = 5
BUTTON_MAX = 75
URL_MAX = 3_000
_GONE = frozenset(
    {
        "action_prohibited", "invalid_token", "channel_not_found", "no_service",
        "no_team", "channel_is_archived", "no_service_id", "no_active_hooks",
        "team_disabled", "posting_to_general_channel_denied",
    }
)  # fmt: skip
_REFUSED = frozenset(
    {
        "invalid_payload", "invalid_blocks", "user_not_found", "no_text",
        "too_many_attachments", "invalid_blocks_format",
    }
)  # fmt: skip
_RETRY = frozenset({"rollup_error"})
_HALF_ESCAPE = re.compile("&[a-z]{0,3}$")


@dataclass(slots=True, kw_only=True)
class SlackWebhook:
    """A channel of Slack, by the URL of its incoming webhook, which is the secret."""

    client: httpx.AsyncClient
    clock: Clock
    url: SecretStr

    @property
    def is_ordered(self) -> bool:
        """Messages stand by themselves."""
        return False

    async def send(self, message: Message) -> Answer:
        """Post a message."""
        reply = await post(
            self.client,
            self.url.get_secret_value(),
            json.dumps(payload(message.words)).encode(),
            {"Content-Type": "application/json; charset=utf-8"},
            self.clock.now_us(),
        )
        return reply if isinstance(reply, Answer) else _answer(reply)


def payload(words: Words) -> dict[str, object]:
    """Return the message: `text` says all, since some clients show only that."""
    fields = [
        cut(f"*{escape(name)}*: {escape(value)}", FIELD_MAX)
        for name, value in words.fields[:FIELDS_MAX]
    ]
    links = [link for link in words.links[:ACTIONS_MAX] if len(link.url) <= URL_MAX]
    blocks: list[dict[str, object]] = [
        {"type": "header", "text": _plain(words.title[:HEADER_MAX])},
    ]
    if words.text:
        blocks.append(
            {"type": "section", "text": _mrkdwn(_fenced(words.text, SECTION_MAX))}
        )
    if fields:
        blocks.append({"type": "section", "fields": [_mrkdwn(one) for one in fields]})
    if links:
        buttons = [
            {"type": "button", "text": _plain(one.text[:BUTTON_MAX]), "url": one.url}
            for one in links
        ]
        blocks.append({"type": "actions", "elements": buttons})
    lines = [f"*{cut(escape(words.title), FIELD_MAX)}*"]
    if words.text:
        lines.append(_fenced(words.text, TEXT_MAX // 2))
    lines += [f"<{one.url}|{escape(one.text)[:BUTTON_MAX]}>" for one in links]
    return {"text": cut("\n".join((*lines, *fields)), TEXT_MAX), "blocks": blocks}


def _fenced(text: str, characters_max: int) -> str:
    return f"```{cut(escape(text), characters_max)}```"


def cut(text: str, characters_max: int) -> str:
    """Return the beginning of an escaped text, without half an escape at its end."""
    if len(text) <= characters_max:
        return text
    return _HALF_ESCAPE.sub("", text[: characters_max - 1]) + "…"


def escape(text: str) -> str:
    """Return a text that calls nobody and makes no link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str) -> dict[str, object]:
    return {"type": "plain_text", "text": text}


def _mrkdwn(text: str) -> dict[str, object]:
    return {"type": "mrkdwn", "text": text}


def _answer(reply: Reply) -> Answer:
    """Return what an answer means: the body's word decides where it is known."""
    word = reply.body.strip()
    if reply.status == httpx.codes.OK:
        return Answer(result=Result.SENT, text=word)
    if reply.status == httpx.codes.TOO_MANY_REQUESTS:
        return Answer(result=Result.WAIT, text=reply.text, after_s=reply.after_s or 1.0)
    if word in _GONE:
        return Answer(result=Result.GONE, text=reply.text)
    if word in _REFUSED:
        return Answer(result=Result.REFUSED, text=reply.text)
    if word in _RETRY or reply.status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Answer(result=Result.RETRY, text=reply.text, after_s=reply.after_s)
    if reply.status in (403, 404, 410):
        return Answer(result=Result.GONE, text=reply.text)
    return Answer(result=Result.REFUSED, text=reply.text)
