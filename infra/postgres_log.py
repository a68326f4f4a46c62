"""The log on Postgres: one partition, on the recorders of `eventsourcing`.

A fact's originator is its stream and its version the sequence, so the primary key
keeps sequences without gap or repeat; other messages have version 0 under their id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
import structlog
from eventsourcing.persistence import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    StoredEvent,
    Tracking,
)

from infra.errors import Fenced, Permanent, Transient
from infra.log import Consumer, OwnedPartition, Received, Record
from infra.recent import Recent
from infra.recorder import Recorder, datastore
from infra.settings import LogSettings
from schemas import topics as t
from schemas.envelope import Envelope

log_ = structlog.get_logger(__name__)

PARTITION = 0
_FENCE = 0x666C6C6F67
_APPEND_MAX = 2000


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """What a row's state holds: the envelope flat, without what the row says."""

    key: str
    id: str
    type: str
    stream: str
    correlation: str
    causation: str
    actor: str
    recorded_at_us: int
    reply: bool
    traceparent: str
    body: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Stored)


def to_row(record: Record) -> StoredEvent:
    """Return the row of a record."""
    e = record.envelope
    state = _encoder.encode(
        _Stored(
            record.key, e.id, e.type, e.stream, e.correlation, e.causation, e.actor,
            e.recorded_at_us, e.reply, e.traceparent, record.body,
        )
    )  # fmt: skip
    is_fact = record.topic == t.EVENTS and e.sequence > 0
    return StoredEvent(
        originator_id=e.stream if is_fact else f"{record.topic}:{e.id}",  # type: ignore[arg-type]
        originator_version=e.sequence if is_fact else 0,
        topic=record.topic,
        state=state,
    )


def from_row(topic: str, sequence: int, state: bytes, position: int) -> Received:
    """Return the message in a row."""
    s = _decoder.decode(state)
    return Received(
        topic=topic,
        key=s.key,
        envelope=Envelope(
            id=s.id,
            type=s.type,
            stream=s.stream,
            sequence=sequence,
            correlation=s.correlation,
            causation=s.causation,
            actor=s.actor,
            recorded_at_us=s.recorded_at_us,
            reply=s.reply,
            traceparent=s.traceparent,
        ),
        body=s.body,
        partition=PARTITION,
        position=position,
    )


class PostgresLog:
    """One writer, any number of readers in this process."""

    def __init__(self, url: str, settings: LogSettings) -> None:
        """Prepare; `open` connects."""
        self._settings = settings
        self._datastore = datastore(url, connections=6)
        self._recorder = Recorder(
            self._datastore,
            events_table_name="flightlog_log",
            tracking_table_name="flightlog_positions",
        )
        self._writer = ThreadPoolExecutor(1, "log-writer")
        self._readers = ThreadPoolExecutor(2, "log-reader")
        self._news = asyncio.Event()
        self._pending: list[tuple[Sequence[Record], asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._recent = Recent(0, settings.recent_max)
        self._fence: Any = None

    async def open(self) -> None:
        """Create the tables and take the fence; raises Fenced if it is held."""
        await self._write(self._open)

    def _open(self) -> None:
        self._recorder.create_table()
        self._fence = self._datastore.pool.getconn()
        self._fence.autocommit = True
        row = self._fence.execute(
            "SELECT pg_try_advisory_lock(%s) AS held", (_FENCE,)
        ).fetchone()
        if not row["held"]:
            message = "Expected to own this log, but another engine runs on its data"
            raise Fenced(message)
        end = self._recorder.max_notification_id() or 0
        self._recent = Recent(end, self._settings.recent_max)

    async def close(self) -> None:
        """Finish what was begun, and let go of the fence."""
        if self._flusher is not None:
            await asyncio.wait([self._flusher])
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        if self._fence is not None:
            self._datastore.pool.putconn(self._fence)
        self._datastore.close()

    async def append(self, records: Sequence[Record]) -> None:
        """Append; callers at the same time share a transaction."""
        if not records:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((records, done))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        await done

    async def _flush(self) -> None:
        while self._pending:
            taken: list[tuple[Sequence[Record], asyncio.Future[None]]] = []
            size = 0
            while self._pending and size < _APPEND_MAX:
                taken.append(self._pending.pop(0))
                size += len(taken[-1][0])
            records = [r for some, _ in taken for r in some]
            error: Exception | None = None
            try:
                await self._insert(records, None)
            except (Transient, Permanent, Fenced) as raised:
                error = raised
            for _, done in taken:
                if done.done():
                    continue
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)

    async def _insert(
        self, records: Sequence[Record], tracking: Tracking | None
    ) -> None:
        received = await self._write(self._insert_rows, records, tracking)
        if received is None:
            self._recent = Recent(
                await self._read(self._max_position), self._settings.recent_max
            )
        else:
            self._recent.push(received)
        self._wake()

    def _insert_rows(
        self, records: Sequence[Record], tracking: Tracking | None
    ) -> list[Received] | None:
        """Insert; None if it had been done before, so that positions aren't known."""
        rows = [to_row(record) for record in records]
        try:
            return self._insert_once(records, rows, tracking)
        except IntegrityError as error:
            return self._look(records, rows, tracking, error)
        except (OperationalError, InterfaceError) as error:
            raise Transient(str(error)) from error

    def _insert_once(
        self,
        records: Sequence[Record],
        rows: Sequence[StoredEvent],
        tracking: Tracking | None,
    ) -> list[Received]:
        if not rows:
            if tracking is not None:
                self._recorder.insert_tracking(tracking)
            return []
        extra = {} if tracking is None else {"tracking": tracking}
        ids = self._recorder.insert_events(rows, **extra)
        return [
            Received(
                topic=record.topic,
                key=record.key,
                envelope=record.envelope,
                body=record.body,
                partition=PARTITION,
                position=position,
            )
            for record, position in zip(records, ids, strict=True)
        ]

    def _look(
        self,
        records: Sequence[Record],
        rows: Sequence[StoredEvent],
        tracking: Tracking | None,
        error: IntegrityError,
    ) -> list[Received] | None:
        """Find out what a conflict means; never repeat blindly."""
        if tracking is not None:
            kept = self._recorder.max_tracking_id(tracking.application_name) or 0
            if kept >= tracking.notification_id:
                return None
        known = self._known([str(row.originator_id) for row in rows])
        fresh: dict[tuple[str, int], Record] = {}
        for record, row in zip(records, rows, strict=True):
            key = (str(row.originator_id), row.originator_version)
            if key in known and row.originator_version > 0:
                message = f"Expected to append {record.envelope.id}, but it is there"
                raise Fenced(message) from error
            if key not in known:
                fresh.setdefault(key, record)
        if len(fresh) == len(records):
            raise Permanent(str(error)) from error
        left = list(fresh.values())
        return self._insert_once(left, [to_row(r) for r in left], tracking)

    def _known(self, originators: list[str]) -> set[tuple[str, int]]:
        with self._datastore.get_connection() as conn:
            rows = conn.execute(
                "SELECT originator_id, originator_version FROM flightlog_log "
                "WHERE originator_id = ANY(%s)",
                (originators,),
            ).fetchall()
        return {(row["originator_id"], row["originator_version"]) for row in rows}

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def read(
        self, topics: Sequence[str], after: int, limit: int, *, wait: bool = True
    ) -> Sequence[Received]:
        """Return messages after a position; waits up to `poll_s` if there are none."""
        news = self._news
        found = self._recent.read(topics, after, limit)
        if found is None:
            found = await self._read(self._select, topics, after, limit)
        if found or not wait:
            return found
        try:
            async with asyncio.timeout(self._settings.poll_s):
                await news.wait()
        except TimeoutError:
            return ()
        return self._recent.read(topics, after, limit) or ()

    def _select(
        self, topics: Sequence[str], after: int, limit: int
    ) -> Sequence[Received]:
        rows = self._recorder.select_notifications(
            after, limit, topics=list(topics), inclusive_of_start=False
        )
        return [
            from_row(row.topic, row.originator_version, row.state, row.id)
            for row in rows
        ]

    def own(
        self, group: str, topic: str
    ) -> AbstractAsyncContextManager[OwnedPartition]:
        """Own the one partition; the advisory lock has fenced it already."""
        return self._positioned(group, topic)

    def consume(self, group: str, topic: str) -> AbstractAsyncContextManager[Consumer]:
        """Read a topic from the group's kept position."""
        return self._positioned(group, topic)

    @asynccontextmanager
    async def _positioned(self, group: str, topic: str) -> AsyncIterator[Any]:
        position = await self._read(self._recorder.max_tracking_id, group) or 0
        if topic == t.COMMANDS:
            yield _Owned(self, group, topic, position)
        else:
            yield _Consumer(self, group, topic, position)

    async def tail(
        self, topics: Sequence[str], after: Mapping[int, int], limit: int
    ) -> AsyncIterator[Sequence[Received]]:
        """Follow topics from a position on, for ever."""
        position = after.get(PARTITION, 0)
        while True:
            batch = await self.read(topics, position, limit)
            if batch:
                position = batch[-1].position
            yield batch

    async def stream(
        self, stream: str, after: int = 0, limit: int | None = None
    ) -> Sequence[Received]:
        """Return the facts of a stream, by sequence; positions are not known (0)."""
        rows = await self._read(
            lambda: self._recorder.select_events(stream, gt=after or None, limit=limit)  # type: ignore[arg-type]
        )
        return [from_row(r.topic, r.originator_version, r.state, 0) for r in rows]

    async def last(self, stream: str) -> Received | None:
        """Return the last fact of a stream."""
        rows = await self._read(
            lambda: self._recorder.select_events(stream, desc=True, limit=1)  # type: ignore[arg-type]
        )
        found = [from_row(r.topic, r.originator_version, r.state, 0) for r in rows]
        return found[0] if found else None

    async def end(self) -> Mapping[int, int]:
        """Return the last position."""
        return {PARTITION: await self._read(self._max_position)}

    def _max_position(self) -> int:
        return self._recorder.max_notification_id() or 0

    async def keep_position(self, group: str, position: int) -> None:
        """Keep a consumer's position; an older one changes nothing."""

        def keep() -> None:
            try:
                self._recorder.insert_tracking(Tracking(group, position))
            except IntegrityError:
                log_.debug("position_kept_before", group=group, position=position)

        await self._write(keep)

    async def trim(self, positions: Mapping[str, int], keep: int) -> int:
        """Delete handled messages of topics, but for the newest `keep` positions."""

        def delete() -> int:
            count = 0
            with self._datastore.get_connection() as conn:
                for topic, position in positions.items():
                    cursor = conn.execute(
                        "DELETE FROM flightlog_log WHERE topic = %s "
                        "AND notification_id <= %s",
                        (topic, position - keep),
                    )
                    count += cursor.rowcount
            return count

        return await self._write(delete)

    async def position(self, group: str) -> int:
        """Return a group's kept position."""
        return await self._read(self._recorder.max_tracking_id, group) or 0

    async def _write(self, function: Any, *args: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer, function, *args)

    async def _read(self, function: Any, *args: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, function, *args)


class _Owned:
    """The partition of commands, owned."""

    number = PARTITION

    def __init__(self, log: PostgresLog, group: str, topic: str, position: int) -> None:
        self._log, self._group, self._topic = log, group, topic
        self._position = position

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next commands."""
        batch = await self._log.read((self._topic,), self._position, limit)
        if batch:
            self._position = batch[-1].position
        return batch

    async def commit(self, records: Sequence[Record], position: int | None) -> None:
        """Append and move the position in one transaction."""
        tracking = None if position is None else Tracking(self._group, position)
        await self._log._insert(records, tracking)  # noqa: SLF001 - one module


class _Consumer:
    """A reader with a kept position."""

    def __init__(self, log: PostgresLog, group: str, topic: str, position: int) -> None:
        self._log, self._group, self._topic = log, group, topic
        self._position = position

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next messages."""
        batch = await self._log.read((self._topic,), self._position, limit)
        if batch:
            self._position = batch[-1].position
        return batch

    async def commit(self, position: int) -> None:
        """Keep the position."""
        await self._log.keep_position(self._group, position)
