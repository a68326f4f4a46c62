"""One POST over HTTP, without repeats of its own, and what its failures mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from workers.notifier.channels.contract import Answer, Result

CONNECT_S = 5.0
WHOLE_S = 15.0
_TEXT_MAX = 300
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_NEVER = (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError)


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: status, beginning of its body, how long it asks to wait."""

    status: int
    body: str
    after_s: float | None

    @property
    def text(self) -> str:
        """Return it in one line."""
        return f"HTTP {self.status}: {' '.join(self.body.split())[:_TEXT_MAX]}"


def new_client() -> httpx.AsyncClient:
    """Return a client that follows no redirects and repeats nothing."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(WHOLE_S, connect=CONNECT_S),
        follow_redirects=False,
        trust_env=True,
    )


async def post(
    client: httpx.AsyncClient,
    url: str,
    content: bytes,
    headers: Mapping[str, str],
    now_us: int,
) -> Reply | Answer:
    """Return the response; an answer where there is none."""
    try:
        response = await client.post(url, content=content, headers=dict(headers))
    except _NEVER as error:
        return Answer(result=Result.GONE, text=_said(error))
    except _NOT_SENT as error:
        return Answer(result=Result.RETRY, text=_said(error))
    except httpx.HTTPError as error:
        return Answer(result=Result.UNKNOWN, text=_said(error))
    after_s = retry_after_s(response.headers.get("Retry-After"), now_us)
    return Reply(response.status_code, response.text[: 10 * _TEXT_MAX], after_s)


def retry_after_s(text: str | None, now_us: int) -> float | None:
    """Return the seconds of a Retry-After, which are given, or a date."""
    if not text:
        return None
    try:
        seconds = float(text)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    now = datetime.fromtimestamp(now_us / 1e6, UTC)
    return max(0.0, (at.astimezone(UTC) - now).total_seconds())


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_TEXT_MAX]
