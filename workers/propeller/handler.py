"""The handler: decides one command at a time, and puts what follows into a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from msgspec.structs import replace

from domain.decider import Outgoing, parked_rejection
from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import FencedError
from infra.eventlog.contract import Received, Record
from infra.retry import RETRY_S, retry_transient
from schemas.envelope import Envelope
from schemas.levels import newest_level
from schemas.messages.commands import Command, ResumeStream
from schemas.messages.node_events import Event
from schemas.messages.outcomes import CommandHadNoEffect
from schemas.messages.rejections import Rejected
from schemas.wire.codec import Codec, UndecodableMessageError
from workers.propeller import records
from workers.propeller.batch import Batch, InternalCommand
from workers.propeller.kinds.contract import AnyStream, CommandMetadata, DecisionContext
from workers.propeller.loading.stream_cache import StreamCache
from workers.propeller.quarantine import Quarantine
from workers.propeller.timers import Moment

log_ = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class CommandHandler:
    """Decides on the streams of one partition; whatever raises costs only its stream.

    `format_level` returns the open one. For metrics: `handled` counts commands,
    `dropped` those without events whose senders don't wait for an answer.
    """

    streams: StreamCache
    messages: Codec
    clock: Clock = SYSTEM_CLOCK
    retry_s: float = RETRY_S
    format_level: Callable[[], int] = newest_level
    handled: int = 0
    dropped: int = 0
    quarantine: Quarantine = field(init=False)

    def __post_init__(self) -> None:
        """Share the codec."""
        self.quarantine = Quarantine(self.messages)

    async def handle(self, batch: Batch, received: Received, command: Command) -> None:
        """Load what a command needs, and decide it.

        While that can't be reached the partition waits. An event that a newer version
        wrote must not be skipped: it ends the propeller.
        """
        try:
            await retry_transient(
                lambda: self._load_and_decide(batch, received, command),
                "command_delayed",
                self.retry_s,
                clock=self.clock,
            )
        except (UndecodableMessageError, FencedError):
            raise
        except Exception as error:
            log_.exception("decide_failed", command=received.envelope.id)
            self.fail(batch, received, error)
        self.handled += 1

    async def handle_internal(self, batch: Batch, item: InternalCommand) -> None:
        """Decide a command of the propeller's own; a parked stream gets it later."""
        envelope = item.envelope
        stream = batch.states.get(envelope.stream) or await self.stream(envelope.stream)
        if stream.state.parked is not None:
            return
        due_us = item.timer.due_us if item.timer is not None else 0
        try:
            context = stream.loaded.context(self._metadata(stream, envelope, due_us))
            self._decide(batch, envelope, item.command, stream, context)
        except Exception as error:
            log_.exception("decide_failed", command=envelope.id)
            self.fail(batch, item, error)

    async def stream(self, stream: str) -> AnyStream:
        """Return a stream's state; waits while it can't be read."""
        return await retry_transient(
            lambda: self.streams.get(stream),
            "restore_delayed",
            self.retry_s,
            clock=self.clock,
        )

    def fail(
        self,
        batch: Batch,
        item: Received | InternalCommand,
        error: Exception,
        *,
        with_body: bool = True,
    ) -> None:
        """Quarantine what can't be handled, and its stream."""
        name, now_us = item.envelope.stream, self.clock.now_us()
        stream = batch.states.get(name) or self.streams.known(name)
        self.quarantine.fail(batch, item, stream, error, now_us, with_body=with_body)

    async def _load_and_decide(
        self, batch: Batch, received: Received, command: Command
    ) -> None:
        envelope = received.envelope
        stream = batch.states.get(envelope.stream)
        if stream is None:
            stream = await self.streams.get(envelope.stream)
        metadata = self._metadata(stream, envelope)
        parked = stream.state.parked
        if parked is not None and not isinstance(command, ResumeStream):
            rejected = parked_rejection(envelope.stream, parked)
            self.quarantine.dead_letter(batch, received, rejected, metadata.now_us)
            return
        loader = stream.kind.loader
        if type(command) in loader.commands:
            stream, context = await loader.prepare(command, envelope, stream, metadata)
        else:
            context = stream.loaded.context(metadata)
        self._decide(batch, envelope, command, stream, context)

    def _metadata(
        self, stream: AnyStream, envelope: Envelope, due_us: int = 0
    ) -> CommandMetadata:
        """Return a command's metadata; time always moves on within a stream.

        So no two commands set timers to the same times, though the clock was set back.
        Nor is it earlier than a timer that has come.
        """
        now_us = max(self.clock.now_us(), stream.last_us + 1, due_us)
        level = self.format_level()
        return CommandMetadata(envelope.stream, envelope.id, now_us, level)

    def _decide(
        self,
        batch: Batch,
        envelope: Envelope,
        command: Command,
        stream: AnyStream,
        context: DecisionContext,
    ) -> None:
        kind = stream.kind
        outcome = kind.decider.decide(command, stream.state, context)
        if isinstance(outcome, Rejected):
            self._send(batch, envelope, kind.react_to_rejection(command, outcome))
            answer = records.rejection(envelope, outcome)
            self._answer(batch, envelope, answer, context.now_us)
        elif not outcome:
            found = kind.react_without_events(command, stream.state, context)
            self._send(batch, envelope, found)
            nothing = CommandHadNoEffect(
                command_id=envelope.id, command_type=envelope.type
            )
            self._answer(batch, envelope, nothing, context.now_us)
        else:
            self._append(batch, envelope, stream, outcome, context)

    def _append(
        self,
        batch: Batch,
        cause: Envelope,
        stream: AnyStream,
        events: Sequence[Event],
        context: DecisionContext,
    ) -> None:
        """Put events and what follows from them into the batch."""
        found: list[Record] = []
        messages, react = self.messages, stream.kind.decider.react
        cause = replace(cause, recorded_at_us=context.now_us)
        if not stream.sequence and not stream.correlation:
            stream = replace(stream, correlation=cause.correlation or cause.stream)
        for event in events:
            stream = stream.after(event)
            record = records.event_record(
                messages, event, cause, stream.sequence, stream.correlation
            )
            found.append(record)
            for number, message in enumerate(react(event, stream.state, context)):
                found.append(
                    records.outgoing(messages, message, record.envelope, number)
                )
            if cause.reply:
                cause = replace(cause, reply=False)
        batch.records.extend(found)
        batch.states[cause.stream] = stream
        batch.events.extend((cause.stream, event) for event in events)
        self._note_timers(batch, cause.stream, stream, events, context.now_us)

    def _note_timers(
        self,
        batch: Batch,
        name: str,
        stream: AnyStream,
        events: Sequence[Event],
        now_us: int,
    ) -> None:
        """Note timers while the command's time and the monotonic clock's are known."""
        for event in events:
            timers = stream.kind.timers.after(event, stream.state)
            if timers:
                moment = Moment(self.clock.monotonic(), now_us)
                batch.timers.append((name, timers, moment))

    def _send(
        self, batch: Batch, cause: Envelope, messages: Sequence[Outgoing]
    ) -> None:
        """Put into the batch what follows from a command without events."""
        for number, message in enumerate(messages):
            record = records.outgoing(self.messages, message, cause, number)
            batch.records.append(record)

    def _answer(
        self, batch: Batch, cause: Envelope, answer: records.Answer, now_us: int
    ) -> None:
        """Record what became of a command without events, if its sender waits."""
        if cause.reply:
            batch.records.append(records.answer(self.messages, cause, answer, now_us))
        else:
            self.dropped += 1
