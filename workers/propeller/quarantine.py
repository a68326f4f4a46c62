"""Quarantine: dead letters, and parked streams.

A message that can't be read or handled is stored as a dead letter. A stream of which a
command can't be handled is parked: it takes no commands until it is resumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from domain.decider import Send
from domain.text_limits import cut
from infra.eventlog.contract import Received
from schemas.envelope import Envelope
from schemas.messages.execution_events import StreamParked
from schemas.messages.rejections import Reason, Rejected
from schemas.wire.codec import Codec
from workers.dead_letters import ERROR_BYTES_MAX, dead_letter_record, shortened
from workers.propeller import records
from workers.propeller.batch import Batch, InternalCommand
from workers.propeller.kinds.contract import AnyStream

_ERROR_BYTES_MAX = 2000


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Puts into a batch what becomes of messages that can't be handled."""

    messages: Codec

    def dead_letter(
        self,
        batch: Batch,
        received: Received,
        rejected: Rejected,
        now_us: int,
        *,
        error: str | None = None,
        told: Sequence[Send] = (),
    ) -> None:
        """Store a message as a dead letter, and answer its sender.

        `error` is the error of the dead letter, if not the text of the answer. Those
        that are `told` by commands wait for what the message asked for.
        """
        batch.dead_letters += 1
        batch.records.append(
            dead_letter_record(
                received,
                error or rejected.detail,
                now_us,
                with_body=batch.copies_bodies,
                answered=told[0].stream if told else "",
            )
        )
        if not batch.copies_bodies:
            received = shortened(received)
        cause = replace(received.envelope, recorded_at_us=now_us)
        for number, message in enumerate(told):
            record = records.outgoing(self.messages, message, cause, number)
            batch.records.append(record)
        if cause.reply:
            detail = cut(rejected.detail, ERROR_BYTES_MAX)
            answer = records.rejection(cause, Rejected(rejected.reason, detail))
            batch.records.append(records.answer(self.messages, cause, answer, now_us))

    def fail(
        self,
        batch: Batch,
        item: Received | InternalCommand,
        stream: AnyStream | None,
        error: Exception,
        now_us: int,
        *,
        told: Sequence[Send] = (),
    ) -> None:
        """Park the stream of what can't be handled, and store the message.

        A stream without events, one that has ended, or that is parked, isn't parked. A
        command of the propeller's own is given again once the stream is resumed.
        """
        if stream is not None and _can_be_parked(stream):
            at_us = max(now_us, stream.last_us)
            self._park(batch, item.envelope, stream, error, at_us)
        if isinstance(item, Received):
            detail = f"Expected to handle the command, but: {error!r}"
            rejected = Rejected(Reason.INTERNAL, detail)
            self.dead_letter(
                batch, item, rejected, now_us, error=repr(error), told=told
            )

    def _park(
        self,
        batch: Batch,
        envelope: Envelope,
        stream: AnyStream,
        error: Exception,
        now_us: int,
    ) -> None:
        parked = StreamParked(
            occurred_at_us=now_us,
            command_id=envelope.id,
            command_type=envelope.type,
            error=cut(repr(error), _ERROR_BYTES_MAX),
        )
        stream = stream.after(parked)
        cause = replace(envelope, recorded_at_us=now_us, reply=False)
        batch.records.append(
            records.event_record(
                self.messages, parked, cause, stream.sequence, stream.correlation
            )
        )
        batch.states[envelope.stream] = stream
        batch.events.append((envelope.stream, parked))


def _can_be_parked(stream: AnyStream) -> bool:
    state = stream.state
    return stream.sequence > 0 and not state.is_terminal and state.parked is None
