"""The sweeper: deletes old executions, and the blobs of deleted ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import structlog

from domain.execution.state.saved_nodes import attempt_raw_outputs
from infra.blobs.files import Blobs, InvalidBlobPathError
from infra.clock import Clock
from infra.errors import FencedError, TransientError
from infra.eventlog.contract import Log, Positions, Received, Record
from infra.outages import Attempts
from infra.postgres.failures import outages_are_transient
from infra.postgres.pool import Pool
from infra.retry import retry_transient
from infra.setting_sections.executions import RetentionSettings
from projections.positions import have_reached
from projections.queries import retention
from projections.queries.streams import passed_over
from schemas import topics
from schemas.envelope import Envelope
from schemas.ids import ExecutionRef, execution_of, execution_stream
from schemas.messages import node_events as ne
from schemas.messages.commands import DeleteExecution
from schemas.messages.execution_events import ExecutionCreated, ExecutionDeleted
from schemas.paths import OWN_FOLDERS, data_folder
from schemas.wire import codec

log_ = structlog.get_logger(__name__)

ACTOR = "retention"
REQUESTS = "metadata/requests"
_US = 1_000_000
_POLLS, _POLL_S = 20, 0.1
_PASSED_OVER_MAX = 100
"""Of more executions that are passed over it isn't read what they use."""


@dataclass(slots=True, kw_only=True)
class Sweeper:
    """Works in rounds of bounded size; one that was interrupted is repeated."""

    log: Log
    pool: Pool
    blobs: Blobs
    clock: Clock
    settings: RetentionSettings
    swept: int = 0
    orphans_due_s: float | None = None
    _ends: dict[str, Positions] = field(default_factory=dict)
    _passed: frozenset[str] = frozenset()
    _failed: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Do a round periodically, for ever; one that fails is repeated."""
        failures = Attempts("sweep_failed", clock=self.clock)
        while True:
            await self.clock.sleep(self.settings.interval_s)
            try:
                await retry_transient(self._round, "sweep_delayed", clock=self.clock)
            except FencedError:
                raise
            except Exception as error:  # noqa: BLE001 - nothing else depends on it
                failures.failed(error)
            else:
                failures.worked()

    async def _round(self) -> None:
        with outages_are_transient():
            await self.round()

    async def round(self) -> None:
        """Request the deletion of old executions; delete the blobs of deleted ones."""
        limit = self.settings.batch_max
        if self.settings.execution_ttl_s:
            age_s = self.settings.execution_ttl_s
            old = await retention.ended_before(self.pool, age_s, limit)
            await self._delete(old, DeleteExecution(principal=ACTOR))
        for stream in await self._due(limit):
            if await self._is_swept(stream):
                await retention.mark_swept(self.pool, stream)
                self.swept += 1
        await self._delete_orphans()

    async def _due(self, limit: int) -> Sequence[str]:
        """Return streams whose blobs can be deleted; none while read models lag.

        They may have a deletion, and not yet a recovery that began before it in another
        partition.
        """
        if not await self._unswept(limit):
            return ()
        end = await self.log.end_positions((topics.EVENTS,))
        for _ in range(_POLLS):
            if await retention.read_models_have_reached(self.pool, end):
                return await self._unswept(limit)
            await self.clock.sleep(_POLL_S)
        return ()

    async def _is_swept(self, stream: str) -> bool:
        """Sweep one execution; what it fails by costs the others nothing.

        It is tried again by the next process.
        """
        try:
            with outages_are_transient():
                return await self._sweep(stream)
        except (TransientError, FencedError):
            raise
        except Exception:
            log_.exception("not_swept", stream=stream)
            self._failed.add(stream)
            return False

    async def _unswept(self, limit: int) -> Sequence[str]:
        """Return streams to sweep, without those that failed here."""
        found = await retention.unswept(
            self.pool, limit + len(self._failed), passed_over_are_known=True
        )
        if not found:
            return ()
        used = await self._used_by_passed_over()
        if used is None:
            return ()
        return [s for s in found if s not in self._failed and s not in used]

    async def _used_by_passed_over(self) -> frozenset[str] | None:
        """Return whose blobs those need that are passed over; None if nobody knows.

        The read models don't have all of their events, so these are read.
        """
        self._passed = frozenset(row.stream for row in await passed_over(self.pool))
        if len(self._passed) > _PASSED_OVER_MAX:
            log_.warning("nothing_swept", passed_over=len(self._passed))
            return None
        used: set[str] = set()
        for stream in sorted(self._passed):
            found = await self.log.stream(stream)
            try:
                events = [codec.decode(received.body) for received in found]
            except codec.UndecodableMessageError:
                events = []
            if not events:
                log_.warning("nothing_swept", passed_over=stream)
                return None
            used.update(_used(events))
        return frozenset(used)

    async def _sweep(self, stream: str) -> bool:
        """Delete an execution's blobs once its children are deleted; return whether."""
        events = [codec.decode(r.body) for r in await self.log.stream(stream)]
        left = await self._children_left(stream, events)
        if left is None:
            return False
        if left:
            command = DeleteExecution(principal=ACTOR, with_parent=True)
            await self._delete(left, command)
            return False
        ref = execution_of(stream)
        for prefix in await self._prefixes(ref, events):
            try:
                await self.blobs.delete_prefix(self.blobs.uri(prefix))
            except InvalidBlobPathError:
                log_.info("blobs_not_deleted", stream=stream, prefix=prefix)
        return True

    async def _prefixes(
        self, ref: ExecutionRef, events: Sequence[object]
    ) -> Sequence[str]:
        """Return an execution's folders, but for those that others use, too.

        By older rules executions of one name share the folders of their attempts.
        """
        own = [f"metadata/{ref.text()}"]
        created = events[0] if events else None
        if not isinstance(created, ExecutionCreated):
            return own
        raw = {
            attempt_raw_outputs(created, event)
            for event in events
            if isinstance(event, ne.TaskQueued | ne.ArrayStarted)
        }
        data, has_own = data_folder(ref, created.rules), created.rules >= OWN_FOLDERS
        if not await retention.shares_folders(self.pool, ref, by_name=not has_own):
            return [*own, data, *raw]
        log_.info("blobs_shared", stream=execution_stream(ref))
        return [*own, *raw] if has_own else own

    async def _children_left(
        self, stream: str, events: Sequence[object]
    ) -> Sequence[str] | None:
        """Return the children that aren't deleted yet; None while that isn't known.

        One that was requested and never reported may have been created nevertheless, or
        may still be: that is read off the log, like those that are passed over.
        """
        created = set(_children(events, ne.ChildCreated)) - self._passed
        left = list(await retention.existing(self.pool, sorted(created)))
        for child in _children(events, ne.ChildRequested):
            if child in created:
                continue
            found = await self.log.stream(child)
            if not found and not await self._commands_were_handled(stream):
                return None
            found = found or await self.log.stream(child)
            if found and not isinstance(_last(found), ExecutionDeleted):
                left.append(child)
        self._ends.pop(stream, None)
        return left

    async def _commands_were_handled(self, stream: str) -> bool:
        """Return whether all commands were that were there at the first call."""
        ends = self._ends.get(stream)
        if ends is None:
            ends = await self.log.end_positions((topics.COMMANDS,))
            self._ends[stream] = ends
        group, topic = topics.PROPELLER_GROUP, topics.COMMANDS
        return have_reached(await self.log.positions(group, topic), ends)

    async def _delete(self, streams: Sequence[str], command: DeleteExecution) -> None:
        now_us = self.clock.now_us()
        await self.log.append(
            [
                Record(
                    topic=topics.COMMANDS,
                    key=stream,
                    envelope=Envelope(
                        id=f"{stream}/deletion/{now_us}",
                        type=codec.type_name(command),
                        stream=stream,
                        actor=ACTOR,
                        recorded_at_us=now_us,
                    ),
                    body=codec.encode(command),
                )
                for stream in streams
            ]
        )

    async def _delete_orphans(self) -> None:
        """Delete inputs of requests, parts of uploads and reservations nobody uses."""
        now_s = self.clock.monotonic()
        if self.orphans_due_s is not None and now_s < self.orphans_due_s:
            return
        age_s = self.settings.orphan_ttl_s
        self.orphans_due_s = now_s + age_s / 10
        before_s = self.clock.now_us() / _US - age_s
        for found in await self.blobs.list(self.blobs.uri(REQUESTS)):
            if found.modified_s < before_s:
                await self.blobs.delete(found.uri)
        await self.blobs.delete_unfinished(before_s)
        await retention.delete_expired_reservations(self.pool)


def _children(
    events: Sequence[object], kind: type[ne.ChildCreated | ne.ChildRequested]
) -> list[str]:
    """Return the streams of the children that events of a kind name."""
    return [
        execution_stream(event.child) for event in events if isinstance(event, kind)
    ]


def _used(events: Sequence[object]) -> Iterator[str]:
    """Yield the streams whose blobs an execution refers to, besides its own."""
    for event in events:
        match event:
            case ExecutionCreated() if event.recovers is not None:
                yield execution_stream(event.recovers)
            case ne.CacheLookedUp() if event.source is not None:
                yield execution_stream(event.source.execution)
            case _:
                pass


def _last(found: Sequence[Received]) -> object:
    return codec.decode(found[-1].body)
