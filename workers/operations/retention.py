"""The sweeper: deletes old executions, and the blobs of deleted ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from domain.execution.state.saved_nodes import attempt_raw_outputs
from infra.blobs.files import Blobs, InvalidBlobPathError
from infra.clock import Clock
from infra.eventlog.contract import Log, Record
from infra.postgres.pool import Pool
from infra.retry import retry_transient
from infra.setting_sections import RetentionSettings
from projections.queries import retention
from schemas import topics
from schemas.envelope import Envelope
from schemas.ids import ExecutionRef, execution_of, execution_stream
from schemas.messages import node_events as ne
from schemas.messages.commands import DeleteExecution
from schemas.messages.execution_events import ExecutionCreated
from schemas.paths import OWN_FOLDERS, data_folder
from schemas.wire import codec

log_ = structlog.get_logger(__name__)

ACTOR = "retention"
REQUESTS = "metadata/requests"
_US = 1_000_000
_POLLS, _POLL_S = 20, 0.1


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

    async def run(self) -> None:
        """Do a round periodically, for ever."""
        while True:
            await self.clock.sleep(self.settings.interval_s)
            await retry_transient(self.round, "sweep_delayed", clock=self.clock)

    async def round(self) -> None:
        """Request the deletion of old executions; delete the blobs of deleted ones."""
        limit = self.settings.batch_max
        if self.settings.execution_ttl_s:
            age_s = self.settings.execution_ttl_s
            old = await retention.ended_before(self.pool, age_s, limit)
            await self._delete(old, DeleteExecution(principal=ACTOR))
        for stream in await self._due(limit):
            if await self._sweep(stream):
                await retention.mark_swept(self.pool, stream)
                self.swept += 1
        await self._delete_orphans()

    async def _due(self, limit: int) -> Sequence[str]:
        """Return streams whose blobs can be deleted; none while read models lag.

        They may have a deletion, and not yet a recovery that began before it in another
        partition.
        """
        if not await retention.unswept(self.pool, limit):
            return ()
        end = await self.log.end_positions((topics.EVENTS,))
        for _ in range(_POLLS):
            if await retention.read_models_have_reached(self.pool, end):
                return await retention.unswept(self.pool, limit)
            await self.clock.sleep(_POLL_S)
        return ()

    async def _sweep(self, stream: str) -> bool:
        """Delete an execution's blobs once its children are deleted; return whether."""
        events = [codec.decode(r.body) for r in await self.log.stream(stream)]
        children = [
            str(execution_stream(event.child))
            for event in events
            if isinstance(event, ne.ChildCreated)
        ]
        left = await retention.existing(self.pool, children)
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
