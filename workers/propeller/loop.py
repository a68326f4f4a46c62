"""The propeller's loop: takes commands of one partition, decides, commits, indexes."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from domain.text_limits import envelope_violation
from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import FencedError, PermanentError
from infra.eventlog.contract import OwnedPartition, Received
from infra.held_messages import HeldMessages
from infra.retry import RETRY_S, retry_transient
from schemas import topics
from schemas.ids import attempt_id
from schemas.levels import newest_level
from schemas.messages import commands as c
from schemas.messages.execution_events import StreamResumed
from schemas.wire.codec import UndecodableMessageError, UnknownSchemaError
from workers.propeller.backpressure import ProjectionLagThrottle
from workers.propeller.batch import Batch, InternalCommand, internal_command
from workers.propeller.command_check import violation, with_envelope_defaults
from workers.propeller.handler import CommandHandler
from workers.propeller.kinds.contract import AnyStream
from workers.propeller.leases import Leases
from workers.propeller.loading.stream_cache import StreamCache
from workers.propeller.snapshots import Snapshots
from workers.propeller.stream_kinds import StreamKinds
from workers.propeller.ticks import LEVEL as TICKS_LEVEL
from workers.propeller.ticks import Ticks
from workers.propeller.timers import Moment, Timers

log_ = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much one transaction takes, and how long the loop waits.

    `snapshot_read_s` is how long it waits for commands while a round of snapshots is
    being written, `yield_every` after how many commands others get their turn.
    """

    commands_max: int = 200
    records_max: int = 4000
    bytes_max: int = 16 * 2**20
    yield_every: int = 20
    lease_check_s: float = 1.0
    retry_s: float = RETRY_S
    snapshot_read_s: float = 0.005


@dataclass(slots=True, kw_only=True)
class Propeller:
    """The loop over one owned partition of the commands topic."""

    kinds: StreamKinds
    streams: StreamCache
    leases: Leases
    clock: Clock = SYSTEM_CLOCK
    bounds: Bounds = Bounds()
    timers: Timers = field(default_factory=Timers)
    snapshots: Snapshots = field(default_factory=Snapshots)
    throttle: ProjectionLagThrottle = field(default_factory=ProjectionLagThrottle)
    format_level: Callable[[], int] = newest_level
    held: HeldMessages = field(default_factory=HeldMessages)
    dead_letters: int = 0
    handler: CommandHandler = field(init=False)
    ticks: Ticks = field(init=False)
    _leases_due_s: float = 0.0
    _passed: int | None = None

    def __post_init__(self) -> None:
        """Make the handler of the same streams."""
        self.snapshots.format_level = self.format_level
        self.handler = CommandHandler(
            streams=self.streams,
            messages=self.kinds.messages,
            clock=self.clock,
            retry_s=self.bounds.retry_s,
            format_level=self.format_level,
        )
        self.ticks = Ticks(messages=self.kinds.messages, clock=self.clock)

    async def restore(self, streams: Sequence[str]) -> None:
        """Load active streams before the first command: their leases need watching.

        One that can't be restored costs only itself: its commands are dead letters. One
        of which something can't be loaded is parked by the next that needs it.
        """
        for name in streams:
            try:
                stream = await self.handler.stream(name)
            except (UndecodableMessageError, FencedError):
                raise
            except Exception:
                log_.exception("stream_not_restored", stream=name)
                known = self.streams.known(name)
                if known is None:
                    continue
                stream = known
            self.adopt_stream(name, stream)

    def adopt_stream(self, name: str, stream: AnyStream) -> None:
        """Store a restored stream; if it is active, watch its leases and timers."""
        self.streams.put(name, stream)
        if not stream.state.is_terminal:
            kind, state = stream.kind, stream.state
            self.leases.restore(name, kind.leases.held(state), self.clock.monotonic())
            self.timers.add(name, kind.timers.pending(state), self._moment(stream))

    def _moment(self, stream: AnyStream) -> Moment:
        """Return now, by the monotonic clock and by the times of a stream."""
        now_us = max(self.clock.now_us(), stream.last_us)
        return Moment(self.clock.monotonic(), now_us)

    async def serve(self, partition: OwnedPartition, stop: asyncio.Event) -> None:
        """Handle the commands of a partition until `stop`."""
        pending: deque[Received] = deque()
        while not stop.is_set():
            await self.throttle.wait()
            if not pending:
                pending.extend(await self._read(partition))
            await self._process_batch(partition, pending)
            if self.held.message is not None:
                await self.held.wait(topics.COMMANDS, partition.number, stop)
                continue
            await self.snapshots.write_next(partition, self.streams)
        await self.snapshots.write_all(partition, self.streams)

    async def _read(self, partition: OwnedPartition) -> Sequence[Received]:
        """Return the next commands; none once a timer, a tick or snapshots are due."""
        left_s = self._left_s()
        if left_s is None:
            return await partition.read(self.bounds.commands_max)
        try:
            async with self.clock.timeout(max(left_s, 0.0)):
                return await partition.read(self.bounds.commands_max)
        except TimeoutError:
            return ()

    def _left_s(self) -> float | None:
        """Return how long the loop may wait for commands; None for any time."""
        if self.snapshots.round is not None:
            return self.bounds.snapshot_read_s
        next_s = self.timers.next_s()
        timer_s = tick_s = math.inf
        if next_s is not None:
            timer_s = next_s - self.clock.monotonic()
        if self.leases.needs_ticks and self.ticks.left_s is not None:
            tick_s = self.ticks.left_s
        left_s = min(timer_s, tick_s)
        return None if left_s == math.inf else left_s

    async def _process_batch(
        self, partition: OwnedPartition, pending: deque[Received]
    ) -> None:
        """Handle what is pending, as far as one transaction holds it."""
        batch, taken = Batch(), list[Received]()
        for received in pending:
            await self._process_record(partition, batch, received)
            if self.held.message is not None:
                break
            taken.append(received)
            if batch.is_full(self.bounds.records_max, self.bounds.bytes_max):
                break
            if len(taken) % self.bounds.yield_every == 0:
                await asyncio.sleep(0)
        has_tick = self._add_tick(partition, batch)
        internal = [*self._lost_leases(), *self._due_timers()]
        for item in internal:
            await self.handler.handle_internal(batch, item)
        if batch.position is None and batch.records:
            batch.position = self._passed
        if batch.position is not None or batch.records:
            try:
                await self._commit(partition, batch)
                if has_tick:
                    self.ticks.mark_sent()
            except PermanentError as error:
                log_.warning("batch_rejected", error=str(error), commands=len(taken))
                await self._process_one_by_one(partition, [*taken, *internal])
        self._hold_timers(internal)
        for _ in taken:
            pending.popleft()

    def _add_tick(self, partition: OwnedPartition, batch: Batch) -> bool:
        """Add a tick to a batch if one is due; return whether."""
        if not (self.leases.needs_ticks and self.ticks.is_due):
            return False
        if self.format_level() < TICKS_LEVEL:
            self.ticks.pass_by()
            self._count_tick()
            return False
        batch.records.append(self.ticks.next(partition.number))
        return True

    def _count_tick(self) -> None:
        self.leases.tick()
        self._leases_due_s = 0.0

    async def _process_one_by_one(
        self, partition: OwnedPartition, items: Sequence[Received | InternalCommand]
    ) -> None:
        """Find what the log can't store: whatever led to it costs its stream only."""
        for item in items:
            batch = Batch()
            error = await self._try(partition, batch, item)
            if error is not None and batch.dead_letters:
                error = await self._try(partition, Batch(copies_bodies=False), item)
            if error is not None:
                await self._quarantine(partition, item, error)

    async def _try(
        self,
        partition: OwnedPartition,
        batch: Batch,
        item: Received | InternalCommand,
    ) -> PermanentError | None:
        """Handle one command in a transaction; return why the log can't store it."""
        if isinstance(item, InternalCommand):
            await self.handler.handle_internal(batch, item)
        else:
            await self._process_record(partition, batch, item)
        if batch.position is None and not batch.records:
            return None
        try:
            await self._commit(partition, batch)
        except PermanentError as error:
            return error
        return None

    async def _quarantine(
        self,
        partition: OwnedPartition,
        item: Received | InternalCommand,
        error: Exception,
    ) -> None:
        """Commit a dead letter and a parked stream instead of what is too large."""
        for copies_bodies in (True, False):
            batch = Batch(copies_bodies=copies_bodies)
            self.handler.fail(batch, item, error)
            if isinstance(item, Received):
                batch.position = item.position
            try:
                await self._commit(partition, batch)
            except PermanentError:
                if not copies_bodies:
                    raise
            else:
                return

    async def _commit(self, partition: OwnedPartition, batch: Batch) -> None:
        """Append everything with the position; then fold it into cache and indexes."""
        await retry_transient(
            lambda: partition.commit(batch.records, batch.position),
            "commit_delayed",
            self.bounds.retry_s,
            clock=self.clock,
        )
        if self._passed and (batch.position or 0) >= self._passed:
            self._passed = None
        self.dead_letters += batch.dead_letters
        self.throttle.committed += batch.count(topics.EVENTS)
        for name, stream in batch.states.items():
            self.streams.put(name, stream)
            self.snapshots.mark_changed(name, stream)
        for name, timers, moment in batch.timers:
            self.timers.add(name, timers, moment)
        now_s = self.clock.monotonic()
        for name, event in batch.events:
            stream = batch.states[name]
            kind, state = stream.kind, stream.state
            lease = kind.leases.change(event)
            if lease is not None:
                self.leases.change(name, lease, now_s)
            if state.is_terminal:
                self.timers.forget(name)
                continue
            if isinstance(event, StreamResumed):
                self.timers.release(name, self.clock.monotonic())

    async def _process_record(
        self, partition: OwnedPartition, batch: Batch, received: Received
    ) -> None:
        before = batch.position
        try:
            command = self.kinds.messages.decode(received.body)
        except UndecodableMessageError as error:
            if await self._holds(error):
                return
            batch.position = received.position
            await self.handler.handle_undecodable(batch, received, error)
            return
        batch.position = received.position
        if isinstance(command, c.Heartbeat):
            if self.leases.heartbeat(command, self.clock.monotonic()):
                self._leases_due_s = 0.0
            return
        if isinstance(command, c.Tick):
            if self.leases.needs_ticks:
                # It needs no commit of its own: the next tick comes soon.
                self._passed, batch.position = received.position, before
            if self.ticks.mark_read(command):
                self._count_tick()
            return
        stream = received.envelope.stream
        found = envelope_violation(received.envelope) or violation(
            command, received.key, stream, self.kinds
        )
        if found is None and not await partition.holds(received.key):
            found = (
                f"Expected key '{received.key}' in the partition that every client's "
                "own partitioner gives it among those that the engine is configured "
                f"with, but it is in {partition.number}"
            )
        if found is not None:
            self.handler.refuse(batch, received, command, found)
            return
        assert isinstance(command, c.Command)  # noqa: S101 - no violation was found
        received = with_envelope_defaults(received, command, self.kinds)
        await self.handler.handle(batch, received, command)

    async def _holds(self, error: UndecodableMessageError) -> bool:
        """Return whether the partition waits with what can't be decoded."""
        if not isinstance(error, UnknownSchemaError):
            return False
        return await self.held.takes(error.fingerprint)

    def _lost_leases(self) -> Sequence[InternalCommand]:
        """Return commands to streams whose runners are lost, now and then."""
        now_s = self.clock.monotonic()
        if now_s < self._leases_due_s:
            return ()
        self._leases_due_s = now_s + self.bounds.lease_check_s
        return [
            internal_command(
                stream,
                command,
                f"{attempt_id(stream, command.node_id, command.attempt)}"
                f"/{command.dispatch_no}/expired",
            )
            for stream, command in self.leases.expired(now_s)
        ]

    def _due_timers(self) -> Sequence[InternalCommand]:
        """Return a command to each active stream of which a timer is due."""
        return [
            internal_command(
                stream,
                c.TimeReached(timer_id=timer.id),
                f"{stream}/timer/{timer.id}",
                timer,
            )
            for stream, timer in self.timers.due(self.clock.monotonic())
            if self.streams.known(stream) is not None
        ]

    def _hold_timers(self, internal: Sequence[InternalCommand]) -> None:
        """Keep timers of parked streams, which weren't given theirs, until resumed."""
        for item in internal:
            name = item.envelope.stream
            stream = self.streams.known(name)
            if item.timer is None or stream is None:
                continue
            if stream.state.parked is not None:
                self.timers.hold(name, item.timer)
