"""The sender of one channel: claims what is due, sends it, and marks what became of it.

The row decides: who claims it begins a try, and only its owner marks it.
Each wait has a bound, so that one slow channel delays no other and no shutdown.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from domain.notifying.notice import message_id
from domain.notifying.words import words
from infra.clock import Clock
from infra.postgres.failures import retry_outages
from infra.postgres.pool import Pool
from projections.notification_rows import DeliveryRow, DeliveryState
from projections.views.changes import time_of
from workers.notifier import store
from workers.notifier.channels.contract import Answer, Channel, Message, Result

log_ = structlog.get_logger(__name__)

PAUSES_S = (1.0, 5.0, 30.0, 120.0, 600.0, 1_800.0, 3_600.0)
"""Before the second try and the later ones; the last one is repeated."""
_JITTER = 0.2
_TRY_S = 20.0
_IDLE_S = 1.0
_DELAYED = "deliveries_delayed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a channel sends at once, and when it gives up."""

    at_once: int = 8
    claim_s: float = 60.0
    give_up_s: float = 86_400.0
    max_age_s: float = 604_800.0


@dataclass(slots=True, kw_only=True)
class Sender:
    """Sends what is due on one channel; `wake` is called when something is.

    For metrics: `sent` and `dead` count deliveries.
    """

    name: str
    channel: Channel
    pool: Pool
    clock: Clock
    owner: str
    base_url: str
    limits: Limits = field(default_factory=Limits)
    random: Callable[[], float] = random.random
    sent: int = 0
    dead: int = 0
    _due: asyncio.Event = field(default_factory=asyncio.Event)
    _open_after_s: float = 0.0
    _gone: int = 0

    def wake(self) -> None:
        """Look for what is due soon."""
        self._due.set()

    async def run(self) -> None:
        """Send for ever."""
        while True:
            self._due.clear()
            if await self.send_due():
                continue
            try:
                async with self.clock.timeout(_IDLE_S):
                    await self._due.wait()
            except TimeoutError:
                pass

    async def send_due(self) -> int:
        """Send what is due now, as much as may go out at once; return how many."""
        if self.clock.monotonic() < self._open_after_s:
            return 0
        rows = await self._claim()
        results = await asyncio.gather(*map(self._send, rows))
        if results and set(results) == {Result.GONE}:
            self._open_circuit()
        elif results:
            self._close_circuit()
        return len(rows)

    async def _claim(self) -> list[DeliveryRow]:
        now_us = self.clock.now_us()
        claim = store.Claim(
            channel=self.name,
            owner=self.owner,
            now=time_of(now_us),
            until=time_of(now_us) + timedelta(seconds=self.limits.claim_s),
            limit=1 if self._gone else self.limits.at_once,
            ordered=self.channel.is_ordered,
        )
        return await retry_outages(
            lambda: store.claim(self.pool, claim), _DELAYED, clock=self.clock
        )

    async def _send(self, row: DeliveryRow) -> Result | None:
        """Try once, and mark what became of it; return that, None without a try."""
        age_s = (time_of(self.clock.now_us()) - row.due_at).total_seconds()
        if age_s > self.limits.max_age_s and row.action != "resolve":
            await self._mark(row, store.Mark(state=DeliveryState.EXPIRED))
            return None
        try:
            async with self.clock.timeout(_TRY_S):
                answer = await self.channel.send(self._message(row))
        except TimeoutError:
            answer = Answer(result=Result.UNKNOWN, text=f"no answer in {_TRY_S:g} s")
        except Exception as error:
            log_.exception("delivery_failed", delivery=row.id)
            answer = Answer(result=Result.REFUSED, text=repr(error))
        await self._mark(row, self._after(row, answer, age_s))
        return answer.result

    def _message(self, row: DeliveryRow) -> Message:
        notice = row.notice
        mail = notice.mail
        return Message(
            id=message_id(row.id),
            action=row.action,
            subject=row.subject,
            words=words(notice, row.rule, self.base_url),
            recipients=_recipients(row),
            body=mail.template if mail is not None else "",
            traceparent=notice.live.traceparent,
        )

    def _after(self, row: DeliveryRow, answer: Answer, age_s: float) -> store.Mark:
        """Return what becomes of a row by the answer."""
        now = time_of(self.clock.now_us())
        if answer.result is Result.SENT and not answer.left:
            return store.Mark(
                state=DeliveryState.SENT,
                sent_at=now,
                reference=answer.reference,
                reason=answer.text if answer.refused else "",
            )
        log_.warning(
            "delivery_not_sent",
            channel=self.name,
            delivery=row.id,
            tries=row.tries,
            answer=answer.text,
        )
        is_over = answer.result is not Result.GONE and self._gives_up(row, age_s)
        if answer.result is Result.REFUSED or is_over:
            return store.Mark(
                state=DeliveryState.DEAD, reason=answer.text, recipients=row.recipients
            )
        pause_s = self._pause_s(row.tries)
        if answer.after_s is not None:
            pause_s = min(answer.after_s, PAUSES_S[-1])
        return store.Mark(
            state=DeliveryState.DUE,
            next_at=now + timedelta(seconds=pause_s),
            reason=answer.text,
            recipients="\n".join(answer.left) or row.recipients,
            maybe_sent=answer.result is Result.UNKNOWN,
        )

    def _gives_up(self, row: DeliveryRow, age_s: float) -> bool:
        """Return whether it is too late: not for an alert that would stay open."""
        return age_s > self.limits.give_up_s and row.action != "resolve"

    def _pause_s(self, tries: int) -> float:
        pause_s = PAUSES_S[min(tries, len(PAUSES_S)) - 1]
        return pause_s * (1 + _JITTER * (2 * self.random() - 1))

    def _open_circuit(self) -> None:
        """Keep what is due: the channel takes nothing."""
        self._gone += 1
        pause_s = self._pause_s(self._gone + 1)
        self._open_after_s = self.clock.monotonic() + pause_s
        if self._gone == 1:
            log_.error("channel_gone", channel=self.name)

    def _close_circuit(self) -> None:
        if self._gone:
            log_.warning("channel_back", channel=self.name)
        self._gone, self._open_after_s = 0, 0.0

    async def _mark(self, row: DeliveryRow, mark: store.Mark) -> None:
        await retry_outages(
            lambda: store.mark(self.pool, row, mark), _DELAYED, clock=self.clock
        )
        self.sent += mark.state is DeliveryState.SENT
        self.dead += mark.state in (DeliveryState.DEAD, DeliveryState.EXPIRED)


def _recipients(row: DeliveryRow) -> tuple[str, ...]:
    """Return to whom a mail goes: those that are left, or that the author named."""
    if row.recipients:
        return tuple(row.recipients.split("\n"))
    return () if row.notice.mail is None else row.notice.mail.recipients
