"""Slack, PagerDuty and webhooks: what they are sent, and what their answers mean."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook as Verifier

from domain.notifying.notice import Notice
from domain.notifying.words import Link, Words, words
from infra.clock import SystemClock
from schemas.phases import ExecutionPhase
from schemas.values import Failure
from tests.support.engine import NOON_US
from tests.support.notifying import Receiver, Request, live, receiving, response
from workers.notifier.channels.contract import Answer, Channel, Message, Result
from workers.notifier.channels.http import new_client, retry_after_s
from workers.notifier.channels.pagerduty import PagerDuty
from workers.notifier.channels.slack import SlackWebhook, payload
from workers.notifier.channels.webhook import Webhook

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
SENT, RETRY, WAIT, REFUSED, GONE, UNKNOWN = Result
FAILURE = Failure(
    code="USER:ValueError", message='<!channel> {{ name }} & "x"\r\nto be', kind="USER"
)
Build = Callable[[str, Any], Channel]
NOTICE = Notice(
    reason="ended", live=live(), at_us=NOON_US, phase=ExecutionPhase.FAILED,
    failure=FAILURE,
)  # fmt: skip


def message(**of: Any) -> Message:
    """Return a message about a failure."""
    found = {
        "id": "msg_0", "action": "tell", "subject": "rule/p/d/flows.wf",
        "words": words(NOTICE, "rule", "https://here"),
    }  # fmt: skip
    return Message(**{**found, **of})  # type: ignore[arg-type]


def slack(url: str, client: Any) -> Channel:
    """Return a channel of Slack."""
    return SlackWebhook(client=client, clock=SystemClock(), url=SecretStr(url))


def pagerduty(url: str, client: Any) -> Channel:
    """Return a channel of PagerDuty."""
    key = SecretStr("R" * 32)
    return PagerDuty(client=client, clock=SystemClock(), routing_key=key, url=url)


def webhook(url: str, client: Any) -> Channel:
    """Return an endpoint whose secret is being rotated."""
    secrets = (SecretStr(KEY), SecretStr(OTHER))
    return Webhook(
        client=client, clock=SystemClock(), url=SecretStr(url), secrets=secrets
    )


async def sent(
    build: Build, answer: Callable[[Request], bytes | None], what: Message
) -> tuple[Answer, Receiver]:
    """Return what a provider answers, and what it got."""
    async with receiving(answer) as receiver, new_client() as client:
        found = await build(f"{receiver.url}/hook", client).send(what)
    return found, receiver


@pytest.mark.parametrize(
    ("build", "status", "body", "result"),
    [
        (slack, 200, "ok", SENT),
        (slack, 400, "invalid_blocks", REFUSED),
        (slack, 400, "no_service", GONE),
        (slack, 403, "action_prohibited", GONE),
        (slack, 404, "something_new", GONE),
        (slack, 410, "channel_is_archived", GONE),
        (slack, 500, "rollup_error", RETRY),
        (slack, 429, "", WAIT),
        (slack, 302, "", REFUSED),
        (pagerduty, 202, '{"status": "success"}', SENT),
        (pagerduty, 400, '{"errors": ["routing_key is wrong"]}', GONE),
        (pagerduty, 400, '{"errors": ["payload is wrong"]}', REFUSED),
        (pagerduty, 429, "", WAIT),
        (pagerduty, 503, "", RETRY),
        (webhook, 204, "", SENT),
        (webhook, 301, "", REFUSED),
        (webhook, 400, "", REFUSED),
        (webhook, 401, "", GONE),
        (webhook, 410, "", GONE),
        (webhook, 409, "", RETRY),
        (webhook, 503, "", RETRY),
        (webhook, 500, "", RETRY),
    ],
)
async def test_answers(build: Build, status: int, body: str, result: Result) -> None:
    """Each is sorted by what can be done about it."""
    found, receiver = await sent(build, lambda _: response(status, body), message())

    assert found.result is result
    assert len(receiver.got) == 1


@pytest.mark.parametrize("build", [slack, pagerduty, webhook])
async def test_a_connection_that_ends_after_the_request_is_no_failure(
    build: Build,
) -> None:
    """It may have been taken: the same key goes out again."""
    found, receiver = await sent(build, lambda _: None, message())

    assert found.result is UNKNOWN
    assert len(receiver.got) == 1


@pytest.mark.parametrize("build", [slack, pagerduty, webhook])
async def test_a_receiver_that_is_away(build: Build) -> None:
    """Certainly not sent."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with new_client() as client:
        found = await build(f"http://127.0.0.1:{port}/hook", client).send(message())

    assert found.result is RETRY


@pytest.mark.parametrize("build", [slack, pagerduty, webhook])
async def test_retry_after(build: Build) -> None:
    """Seconds, or a date."""
    answer = response(429, Retry_After="37")
    found, _ = await sent(build, lambda _: answer, message())

    assert (found.result, found.after_s) == (WAIT, 37.0)
    assert (
        retry_after_s("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_770 * 1_000_000) == 7.0
    )
    for odd in ("soon", "inf", "nan", "1e999"):
        assert retry_after_s(odd, 0) is None


async def test_webhooks_are_signed_by_both_secrets_while_they_are_rotated() -> None:
    """A receiver's own library verifies what came; the body is a CloudEvent."""
    _, receiver = await sent(
        webhook, lambda _: response(200), message(traceparent="00-1")
    )
    (got,) = receiver.got

    for secret in (KEY, OTHER):
        event = Verifier(secret).verify(got.body, dict(got.headers))
    assert got.headers["content-type"].startswith("application/cloudevents+json")
    assert event["id"] == got.headers["webhook-id"] == "msg_0"
    assert event["specversion"] == "1.0"
    assert event["type"] == "flightlog.v1.ExecutionFailed"
    assert event["subject"] == "execution/p/d/one"
    assert event["traceparent"] == "00-1"
    assert event["data"]["links"] == {
        "Execution": "https://here/api/v1/executions/p/d/one"
    }


async def test_alerts_of_pagerduty_are_those_of_what_fails() -> None:
    """Not of an execution; a resolution names the same alert."""
    _, first = await sent(pagerduty, lambda _: response(202), message())
    _, second = await sent(
        pagerduty, lambda _: response(202), message(id="msg_1", action="resolve")
    )
    raised, resolved = (json.loads(r.got[0].body) for r in (first, second))

    assert raised["event_action"] == "trigger"
    assert resolved["event_action"] == "resolve"
    assert raised["dedup_key"] == resolved["dedup_key"] == "flightlog/rule/p/d/flows.wf"
    assert raised["payload"]["severity"] == "error"
    assert set(resolved) == {"routing_key", "event_action", "dedup_key"}


async def test_long_names_stay_within_pagerdutys_limits() -> None:
    """Keys of 255 characters, summaries of 1,024."""
    long = message(subject="s" * 2_000, words=Words(title="t" * 5_000))
    _, receiver = await sent(pagerduty, lambda _: response(202), long)
    event = json.loads(receiver.got[0].body)

    assert len(event["dedup_key"]) <= 255
    assert len(event["payload"]["summary"]) <= 1_024


def test_slack_is_sent_text_and_blocks_that_call_nobody() -> None:
    """Values are escaped; the text alone says all."""
    found = payload(message().words)
    text = str(found["text"])

    assert "<!channel>" not in json.dumps(found)
    assert "&lt;!channel&gt; {{ name }} &amp;" in text
    assert "flows.wf (p/d) failed: one" in text
    assert "https://here/api/v1/executions/p/d/one" in text


def test_slacks_limits() -> None:
    """With the longest names and messages that there can be."""
    longest = Words(
        title="&" * 5_000,
        text="<" * 100_000,
        fields=[("&" * 600, "&" * 100_000)] * 30,
        links=[Link("&" * 500, "https://" + "u" * 5_000), Link("ok", "https://u")] * 9,
    )
    found = payload(longest)
    blocks: Any = found["blocks"]

    assert len(str(found["text"])) <= 4_000
    assert len(blocks) <= 50
    assert sum(len(json.dumps(block)) for block in blocks) < 40_000
    header, section, fields, actions = blocks
    assert len(header["text"]["text"]) <= 150
    assert len(section["text"]["text"]) <= 3_000
    assert len(fields["fields"]) <= 10
    assert all(len(one["text"]) <= 2_000 for one in fields["fields"])
    assert len(actions["elements"]) <= 25
    assert all(len(one["url"]) <= 3_000 for one in actions["elements"])
    assert all(len(one["text"]["text"]) <= 75 for one in actions["elements"])
    whole = " ".join(
        [header["text"]["text"], section["text"]["text"]]
        + [one["text"] for one in fields["fields"]]
    )
    assert len(whole) <= 13_200
    assert not re.search("&(?!amp;|lt;|gt;)", whole.removeprefix("&" * 150))
