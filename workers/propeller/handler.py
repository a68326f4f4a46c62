"""The handler: decides one command at a time, and puts what follows into a batch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from msgspec.structs import replace

from domain.decider import Outgoing, Send, parked_rejection
from domain.text_limits import cut
from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import FencedError
from infra.eventlog.contract import Received, Record
from infra.retry import RETRY_S, retry_transient
from schemas.envelope import Envelope
from schemas.levels import ANSWERED_DEAD_LETTERS, newest_level
from schemas.messages.commands import Command, ResumeStream
from schemas.messages.node_events import Event
from schemas.messages.outcomes import CommandHadNoEffect
from schemas.messages.rejections import Reason, Rejected
from schemas.wire.codec import Codec, UndecodableMessageError
from workers.dead_letters import ERROR_BYTES_MAX
from workers.propeller import records
from workers.propeller.batch import Batch, InternalCommand
from workers.propeller.kinds.contract import AnyStream, CommandMetadata, DecisionContext
from workers.propeller.loading.stream_cache import StreamCache, is_to_be_loaded
from workers.propeller.quarantine import Quarantine
from workers.propeller.timers import Moment

log_ = structlog.get_logger(__name__)

_DIGITS_MAX = 18
_T = TypeVar("_T")


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
        mark = len(batch.records)
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
            del batch.records[mark:]
            self.fail(batch, received, error)
        self.handled += 1

    async def handle_internal(self, batch: Batch, item: InternalCommand) -> None:
        """Decide a command of the propeller's own; a parked stream gets it later."""
        envelope, mark = item.envelope, len(batch.records)
        due_us = item.timer.due_us if item.timer is not None else 0
        try:
            stream = await self._current_stream(batch, envelope.stream)
            if stream.state.parked is None:
                context = stream.loaded.context(
                    self._metadata(stream, envelope, due_us)
                )
                self._decide(batch, envelope, item.command, stream, context)
        except (UndecodableMessageError, FencedError):
            raise
        except Exception as error:
            log_.exception("decide_failed", command=envelope.id)
            del batch.records[mark:]
            self.fail(batch, item, error)

    async def stream(self, stream: str) -> AnyStream:
        """Return a stream's state; waits while it can't be read."""
        return await self._retry_transient(lambda: self.streams.get(stream))

    async def _current_stream(self, batch: Batch, name: str) -> AnyStream:
        """Return a stream as the batch leaves it; waits while it can't be loaded."""
        stream = batch.states.get(name)
        if stream is None:
            return await self.stream(name)
        if not is_to_be_loaded(stream):
            return stream
        return await self._retry_transient(lambda: self.streams.with_loaded(stream))

    async def _retry_transient(self, action: Callable[[], Awaitable[_T]]) -> _T:
        return await retry_transient(
            action, "restore_delayed", self.retry_s, clock=self.clock
        )

    async def handle_undecodable(
        self, batch: Batch, received: Received, error: UndecodableMessageError
    ) -> None:
        """Store bytes that are no command as a dead letter; nobody waits for ever.

        Who requested what they asked for is told. A stream is parked that the answer
        to its own request can't reach.
        """
        rejected = Rejected(Reason.INVALID_ARGUMENT, str(error))
        told: Sequence[Send] = ()
        try:
            if await self._is_lost_answer(batch, received):
                self.fail(batch, received, error)
                return
            told = await self._told_of_request(received, str(error))
        except (UndecodableMessageError, FencedError):
            raise
        except Exception:
            log_.exception("requester_not_found", id=received.envelope.id)
        now_us = self.clock.now_us()
        self.quarantine.dead_letter(batch, received, rejected, now_us, told=told)

    def refuse(
        self, batch: Batch, received: Received, command: object, why: str
    ) -> None:
        """Store a command that isn't allowed as a dead letter.

        A stream is told that its own request was refused, wherever that was sent.
        """
        told: Sequence[Send] = ()
        if isinstance(command, Command):
            cause = received.envelope.causation.rpartition("/")[0]
            told = [m for m in self._told(command, why) if m.stream == cause]
        rejected = Rejected(Reason.INVALID_ARGUMENT, why)
        now_us = self.clock.now_us()
        self.quarantine.dead_letter(batch, received, rejected, now_us, told=told)

    def fail(
        self, batch: Batch, item: Received | InternalCommand, error: Exception
    ) -> None:
        """Quarantine what can't be handled, and its stream.

        Where there is no stream yet, those that wait for it are told.
        """
        name, now_us = item.envelope.stream, self.clock.now_us()
        stream = batch.states.get(name) or self.streams.known(name)
        told: Sequence[Send] = ()
        if isinstance(item, Received) and (stream is None or not stream.sequence):
            told = self._told_of_failure(item, repr(error))
        self.quarantine.fail(batch, item, stream, error, now_us, told=told)

    def _told_of_failure(self, received: Received, error: str) -> Sequence[Send]:
        try:
            command = self.messages.decode_as(received.body, Command)
        except UndecodableMessageError:
            return ()
        return self._told(command, error)

    def _told(self, command: Command, error: str) -> Sequence[Send]:
        """Return the commands that tell others that a command can't be handled."""
        if self.format_level() < ANSWERED_DEAD_LETTERS:
            return ()
        for kind in self.streams.kinds:
            if type(command) in kind.commands:
                return kind.react_to_failure(command, cut(error, ERROR_BYTES_MAX))
        return ()

    async def _is_lost_answer(self, batch: Batch, received: Received) -> bool:
        """Return whether bytes were the answer to a request of an active stream."""
        envelope, kind = received.envelope, self.streams.kinds.find(received.key)
        name = envelope.type.rpartition(".")[2]
        if kind is None or envelope.stream != received.key:
            return False
        if name not in {cls.__name__ for cls in kind.answers}:
            return False
        stream = await self._current_stream(batch, envelope.stream)
        return stream.sequence > 0 and not stream.state.is_terminal

    async def _told_of_request(self, received: Received, error: str) -> Sequence[Send]:
        """Return what tells a stream that its request can't be read, by its event."""
        envelope = received.envelope
        stream, _, sequence = envelope.causation.rpartition("/")
        kind = self.streams.kinds.find(stream)
        if kind is None or not _is_sequence(sequence):
            return ()
        event = await self._retry_transient(
            lambda: self.streams.event(stream, int(sequence))
        )
        if event is None:
            return ()
        for request in kind.requests(event, stream):
            if request.stream == envelope.stream:
                return self._told(request.command, error)
        return ()

    async def _load_and_decide(
        self, batch: Batch, received: Received, command: Command
    ) -> None:
        envelope = received.envelope
        stream = batch.states.get(envelope.stream)
        if stream is None:
            stream = await self.streams.get(envelope.stream)
        elif is_to_be_loaded(stream):
            stream = await self.streams.with_loaded(stream)
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


def _is_sequence(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX
