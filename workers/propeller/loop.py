"""The propeller: takes commands of one partition, decides, appends what follows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from msgspec.structs import replace

from domain.execution.context import NOT_ADMITTED, Context, Limits
from domain.execution.decide import execution
from domain.execution.outcomes import parking
from domain.execution.react import react_to_refusal
from infra.clock import Clock
from infra.errors import FencedError, PermanentError
from infra.eventlog.contract import OwnedPartition, Received, Record
from infra.retry import RETRY_S, retry_transient
from schemas import topics
from schemas.envelope import Envelope
from schemas.ids import attempt_id
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages import outcomes
from schemas.messages.rejections import Reason, Rejected
from schemas.wire import codec
from workers.propeller import command_check
from workers.propeller import records as outbox
from workers.propeller.backpressure import ProjectionLagThrottle
from workers.propeller.batch import Batch, InternalCommand, internal_command
from workers.propeller.leases import Leases
from workers.propeller.loading.admission import Admission, CommandLoader
from workers.propeller.loading.stream_cache import StreamCache, StreamState
from workers.propeller.snapshots import Snapshots
from workers.propeller.timers import Timers

log_ = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much one transaction takes, and how long is waited."""

    commands_max: int = 200
    records_max: int = 4000
    turn: int = 20
    lease_check_s: float = 1.0
    retry_s: float = RETRY_S
    glance_s: float = 0.005


@dataclass(slots=True)
class Propeller:
    """The loop over one owned partition of the commands topic."""

    streams: StreamCache
    loader: CommandLoader
    clock: Clock
    leases: Leases
    timers: Timers = field(default_factory=Timers)
    bounds: Bounds = Bounds()
    limits: Limits = field(default_factory=Limits)
    snapshots: Snapshots = field(default_factory=Snapshots)
    pace: ProjectionLagThrottle = field(default_factory=ProjectionLagThrottle)
    handled: int = 0
    dropped: int = 0
    dead_letters: int = 0
    leases_due_us: int = 0

    async def restore(self, streams: Sequence[str]) -> None:
        """Load live streams before the first command: their leases need watching.

        One that can't be restored costs only itself: its commands are dead letters.
        """
        for stream in streams:
            try:
                live = await self._stream(stream)
            except (codec.UndecodableMessageError, FencedError):
                raise
            except Exception:
                log_.exception("stream_not_restored", stream=stream)
                continue
            self.adopt_stream(stream, live)

    def adopt_stream(self, stream: str, live: StreamState) -> None:
        """Keep a restored stream; if it lives, its leases and timers are watched."""
        self.streams.put(stream, live)
        if not live.state.is_terminal:
            self.leases.restore(stream, live.state, self.clock.now_us())
            self.timers.restore(stream, live.state)

    async def serve(self, partition: OwnedPartition, stop: asyncio.Event) -> None:
        """Handle the commands of a partition until `stop`."""
        pending: deque[Received] = deque()
        while not stop.is_set():
            await self.pace.keep()
            if not pending:
                pending.extend(await self._read(partition))
            await self._process_batch(partition, pending)
            await self.snapshots.turn(partition, self.streams)
        await self.snapshots.leave(partition, self.streams)

    async def _read(self, partition: OwnedPartition) -> Sequence[Received]:
        """Return the next commands; none once a timer is due or snapshots are."""
        next_us = self.timers.next_us()
        if next_us is None and self.snapshots.going is None:
            return await partition.read(self.bounds.commands_max)
        left_s = self.bounds.glance_s
        if self.snapshots.going is None and next_us is not None:
            left_s = (next_us - self.clock.now_us()) / 1_000_000
        try:
            async with self.clock.timeout(max(left_s, 0.0)):
                return await partition.read(self.bounds.commands_max)
        except TimeoutError:
            return ()

    async def _process_batch(
        self, partition: OwnedPartition, pending: deque[Received]
    ) -> None:
        batch, taken = Batch(), list[Received]()
        for received in pending:
            await self._take(partition, batch, received)
            taken.append(received)
            if len(batch.records) >= self.bounds.records_max:
                break
            if len(taken) % self.bounds.turn == 0:
                await asyncio.sleep(0)
        wishes = [*self._lost_leases(), *self._due_timers()]
        for wish in wishes:
            await self._handle_internal(batch, wish)
        if taken or batch.records:
            try:
                await self._commit(partition, batch)
            except PermanentError as error:
                log_.warning("batch_rejected", error=str(error), commands=len(taken))
                await self._one_by_one(partition, taken, wishes)
        for _ in taken:
            pending.popleft()

    async def _one_by_one(
        self,
        partition: OwnedPartition,
        taken: Sequence[Received],
        wishes: Sequence[InternalCommand],
    ) -> None:
        """Find what the log can't keep: whatever led to it costs its stream only."""
        items: list[Received | InternalCommand] = [*taken, *wishes]
        for item in items:
            batch = Batch()
            if isinstance(item, InternalCommand):
                await self._handle_internal(batch, item)
            else:
                await self._take(partition, batch, item)
            try:
                await self._commit(partition, batch)
            except PermanentError as error:
                await self._commit_aside(partition, item, error)

    async def _commit_aside(
        self,
        partition: OwnedPartition,
        item: Received | InternalCommand,
        error: Exception,
    ) -> None:
        for whole in (True, False):
            batch = Batch()
            self._quarantine(batch, item, error, whole=whole)
            if isinstance(item, Received):
                batch.position = item.position
            try:
                await self._commit(partition, batch)
            except PermanentError:
                if not whole:
                    raise
            else:
                return

    async def _commit(self, partition: OwnedPartition, batch: Batch) -> None:
        """Append everything with the position; wait out what passes by itself."""
        await retry_transient(
            lambda: partition.commit(batch.records, batch.position),
            "commit_delayed",
            self.bounds.retry_s,
            clock=self.clock,
        )
        self.dead_letters += batch.dead_letters
        self.pace.committed += batch.count(topics.EVENTS)
        for stream, live in batch.states.items():
            self.streams.put(stream, live)
            self.snapshots.note(stream, live)
        for stream, event in batch.events:
            self.leases.fold(stream, event)
            live = batch.states[stream]
            if live.state.is_terminal:
                self.timers.forget(stream)
                continue
            self.timers.fold(stream, event, live.state)
            if isinstance(event, e.StreamResumed):
                self.timers.restore(stream, live.state)

    async def _take(
        self, partition: OwnedPartition, batch: Batch, received: Received
    ) -> None:
        batch.position = received.position
        try:
            command = codec.decode(received.body)
        except codec.UndecodableMessageError as error:
            self._dead_letter(batch, received, str(error))
            return
        if isinstance(command, c.Heartbeat):
            if self.leases.heard(command, self.clock.now_us()):
                self.leases_due_us = 0
            return
        found = command_check.validate_command(
            command, received.key, received.envelope.stream
        )
        if not found and not await partition.holds(received.key):
            found = (
                f"Expected key '{received.key}' in the partition that every client's "
                f"own partitioner gives it, but it is in {partition.number}"
            )
        if found:
            self._dead_letter(batch, received, found)
            return
        await self._handle(
            batch, command_check.with_envelope_defaults(received, command), command
        )

    async def _handle(self, batch: Batch, received: Received, command: Any) -> None:
        """Hydrate and decide one command; whatever raises costs only its stream.

        What passes by itself is waited out: the partition pauses. An event that a newer
        version wrote must not be skipped: it ends the propeller.
        """
        try:
            await retry_transient(
                lambda: self._hydrate_and_decide(batch, received, command),
                "command_delayed",
                self.bounds.retry_s,
                clock=self.clock,
            )
        except (codec.UndecodableMessageError, FencedError):
            raise
        except Exception as error:
            log_.exception("decide_failed", command=received.envelope.id)
            self._quarantine(batch, received, error)
        self.handled += 1

    async def _hydrate_and_decide(
        self, batch: Batch, received: Received, command: Any
    ) -> None:
        envelope = received.envelope
        live = batch.states.get(envelope.stream)
        if live is None:
            live = await self.streams.get(envelope.stream)
        now_us = max(self.clock.now_us(), live.last_us)
        if live.state.parked is not None and not isinstance(command, c.ResumeStream):
            context = Context(now_us=now_us, stream=envelope.stream)
            refused = parking.refusal(live.state.parked, context)
            batch.put_aside(received, refused.detail, refused, now_us)
            return
        if isinstance(command, c.ReportTaskExpanded):
            inside = await self.loader.load(command.inside)
            live = live.with_dynamic_closure(command, inside)
        admission: Admission | Rejected = NOT_ADMITTED
        if isinstance(command, c.CreateExecution) and not live.sequence:
            admission = await self.loader.admit(command, envelope, now_us)
        if isinstance(admission, Admission):
            live = StreamState(
                definition=admission.definition,
                correlation=admission.created.root or envelope.stream,
                recovery=admission.recovery,
            )
            self._decide(batch, envelope, command, live, admission.created, now_us)
        else:
            self._decide(batch, envelope, command, live, admission, now_us)

    def _decide(
        self,
        batch: Batch,
        envelope: Envelope,
        command: Any,
        live: StreamState,
        admission: e.ExecutionCreated | Rejected,
        now_us: int,
    ) -> None:
        context = Context(
            now_us=now_us,
            command_id=envelope.id,
            stream=envelope.stream,
            definition=live.definition,
            frontier=live.frontier,
            admission=admission,
            recovery=live.recovery,
            limits=self.limits,
        )
        outcome = execution.decide(command, live.state, context)
        if isinstance(outcome, Rejected):
            for number, message in enumerate(react_to_refusal(command, outcome)):
                batch.records.append(outbox.outgoing(message, envelope, number))
            self._answer(batch, envelope, outbox.refusal(envelope, outcome), now_us)
        elif not outcome:
            nothing = outcomes.CommandHadNoEffect(
                command_id=envelope.id, command_type=envelope.type
            )
            self._answer(batch, envelope, nothing, now_us)
        else:
            self._append(batch, envelope, live, outcome, context)

    def _append(
        self,
        batch: Batch,
        cause: Envelope,
        live: StreamState,
        events: Sequence[e.ExecutionEvent],
        context: Context,
    ) -> None:
        """Put events and what follows from them into the batch."""
        records: list[Record] = []
        cause = replace(cause, recorded_at_us=context.now_us)
        for event in events:
            live = live.after(event)
            record = outbox.event_record(event, cause, live.sequence, live.correlation)
            records.append(record)
            for number, message in enumerate(
                execution.react(event, live.state, context)
            ):
                records.append(outbox.outgoing(message, record.envelope, number))
            if cause.reply:
                cause = replace(cause, reply=False)
        batch.records.extend(records)
        batch.states[cause.stream] = live
        batch.events.extend((cause.stream, event) for event in events)

    def _answer(
        self, batch: Batch, cause: Envelope, message: outbox.Answer, now_us: int
    ) -> None:
        """Record what became of a command without events, if its sender waits."""
        if cause.reply:
            batch.records.append(outbox.answer(cause, message, now_us))
        else:
            self.dropped += 1

    def _quarantine(
        self,
        batch: Batch,
        item: Received | InternalCommand,
        error: Exception,
        *,
        whole: bool = True,
    ) -> None:
        stream = item.envelope.stream
        live = batch.states.get(stream) or self.streams.known(stream)
        batch.fail(item, live, error, self.clock.now_us(), whole=whole)

    def _dead_letter(self, batch: Batch, received: Received, error: str) -> None:
        """Put aside what is no command for this partition."""
        refused = Rejected(Reason.INVALID_ARGUMENT, error)
        batch.put_aside(received, error, refused, self.clock.now_us())

    def _lost_leases(self) -> Sequence[InternalCommand]:
        """Return wishes for streams whose runners are gone."""
        now_us = self.clock.now_us()
        if now_us < self.leases_due_us:
            return ()
        self.leases_due_us = now_us + round(self.bounds.lease_check_s * 1_000_000)
        return [
            internal_command(
                stream,
                command,
                f"{attempt_id(stream, command.node_id, command.attempt)}"
                f"/{command.dispatch_no}/expired",
            )
            for stream, command in self.leases.expired(now_us)
        ]

    def _due_timers(self) -> Sequence[InternalCommand]:
        """Return a wish for each live stream whose timer is due."""
        return [
            internal_command(
                stream, c.TimeReached(timer_id=timer.id), f"{stream}/timer/{timer.id}"
            )
            for stream, timer in self.timers.due(self.clock.now_us())
            if self.streams.known(stream) is not None
        ]

    async def _handle_internal(self, batch: Batch, wish: InternalCommand) -> None:
        """Decide a wish of our own; a parked stream takes it up when it resumes."""
        stream = wish.envelope.stream
        live = batch.states.get(stream) or await self._stream(stream)
        if live.state.parked is not None:
            return
        now_us = max(self.clock.now_us(), live.last_us)
        try:
            self._decide(batch, wish.envelope, wish.command, live, NOT_ADMITTED, now_us)
        except Exception as error:
            log_.exception("decide_failed", command=wish.envelope.id)
            self._quarantine(batch, wish, error)

    async def _stream(self, stream: str) -> StreamState:
        return await retry_transient(
            lambda: self.streams.get(stream), "restore_delayed", self.bounds.retry_s
        )
