"""Ticks: what the owner of a partition sends to itself, to count its runners' silence.

A tick that was read back says that all heartbeats before it were read, too. The next
one is sent `TICK_S` after that, so that a count of ticks is a time that the log, this
process and its machine were there for.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from infra.clock import SYSTEM_CLOCK, Clock
from infra.eventlog.contract import Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages.commands import Tick
from schemas.wire.codec import Codec
from workers.propeller.leases import TICK_S

LEVEL = 2
"""The format level that brings ticks: before it, the owner counts by itself."""


@dataclass(slots=True, kw_only=True)
class Ticks:
    """The ticks of one owner of a partition; those of others don't count."""

    messages: Codec
    clock: Clock = SYSTEM_CLOCK
    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    _number: int = 0
    _is_sent: bool = False
    _due_s: float = 0.0

    @property
    def left_s(self) -> float | None:
        """Return the time until the next tick; None while one is to be read back."""
        if self._is_sent:
            return None
        return max(self._due_s - self.clock.monotonic(), 0.0)

    @property
    def is_due(self) -> bool:
        """Return whether the next tick may be sent."""
        return self.left_s == 0

    def next(self, partition: int) -> Record:
        """Return the next tick for a partition; `mark_sent` once it is on the log."""
        message = Tick(owner=self.owner, number=self._number + 1)
        stream, now_us = f"propeller/{partition}", self.clock.now_us()
        envelope = Envelope(
            id=f"{stream}/{self.owner}/{message.number}",
            type=self.messages.type_name(message),
            stream=stream,
            recorded_at_us=now_us,
        )
        return Record(
            topic=topics.COMMANDS,
            key=stream,
            envelope=envelope,
            body=self.messages.encode(message),
            partition=partition,
        )

    def mark_sent(self) -> None:
        """Note that the next tick is on the log."""
        self._number += 1
        self._is_sent = True

    def mark_read(self, tick: Tick) -> bool:
        """Return whether a tick that was read is the one that this owner sent last."""
        is_own = (tick.owner, tick.number) == (self.owner, self._number)
        if not is_own or not self._is_sent:
            return False
        self.pass_by()
        return True

    def pass_by(self) -> None:
        """Begin the time until the next tick."""
        self._is_sent = False
        self._due_s = self.clock.monotonic() + TICK_S
