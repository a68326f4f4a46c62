"""What the notifier stores, in durable transactions of its own tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import msgspec

from domain.notifying.due import SubjectKey
from domain.notifying.live_execution import LiveExecution
from domain.notifying.notice import Delivery
from domain.notifying.subjects import NOTHING_YET, Subject
from domain.text_limits import cut
from infra.eventlog.contract import Positions
from infra.postgres.pool import Connection, Pool, queries
from projections.columns import decode, key_text, without_nul
from projections.notification_rows import (
    DELIVERIES,
    NOTIFY_EXECUTIONS,
    NOTIFY_SUBJECTS,
    DeliveryRow,
    DeliveryState,
    NotifyExecutionRow,
    NotifySubjectRow,
)
from projections.projector.writer import insert_rows
from projections.rows import ExecutionRow
from projections.sql_files import SQL_FILES
from projections.views.changes import time_of
from workers.notifier.batch_fold import Changed

_TEXT_BYTES_MAX = 2_000
_SQL = queries(SQL_FILES / "notifications.sql")


class StoredPosition(msgspec.Struct, frozen=True):
    """How far a partition was read, by which rules."""

    log_partition: int
    position: int
    rules: str


async def positions(conn: Connection) -> dict[int, StoredPosition]:
    """Return the stored position of each partition, locked in a transaction."""
    cursor = await conn.execute(_SQL["positions"])
    rows = [decode(StoredPosition, row) for row in await cursor.fetchall()]
    return {row.log_partition: row for row in rows}


async def move(conn: Connection, to: Positions, rules: str) -> None:
    """Store positions, and the rules that were gone by."""
    moved = {"partitions": list(to), "to": list(to.values()), "rules": rules}
    await conn.execute(_SQL["move"], moved)


async def live_rows(conn: Connection, after: str, limit: int) -> list[ExecutionRow]:
    """Return live executions of the read models, by their streams."""
    page = {"after": after, "limit": limit}
    cursor = await conn.execute(_SQL["live_executions"], page)
    return [decode(ExecutionRow, row) for row in await cursor.fetchall()]


async def executions(
    conn: Connection, streams: Collection[str]
) -> dict[str, LiveExecution]:
    """Return what is known of live executions, by their streams."""
    keys = {key_text(stream): stream for stream in streams}
    cursor = await conn.execute(_SQL["executions"], (list(keys),))
    rows = [decode(NotifyExecutionRow, row) for row in await cursor.fetchall()]
    return {keys[row.stream]: row.live for row in rows}


async def lock_subjects(
    conn: Connection, keys: Iterable[SubjectKey]
) -> dict[SubjectKey, Subject]:
    """Return what is remembered of subjects; others wait for this transaction's end."""
    by_text = {(key_text(rule), key_text(plan)): (rule, plan) for rule, plan in keys}
    if not by_text:
        return {}
    ordered = sorted((rule or "", plan or "") for rule, plan in by_text)
    nothing = msgspec.msgpack.encode(NOTHING_YET)
    async with conn.pipeline():
        await conn.cursor().executemany(
            _SQL["add_subject"], [(*key, nothing) for key in ordered]
        )
    cursor = await conn.execute(
        _SQL["lock_subjects"],
        {
            "rules": [rule for rule, _ in ordered],
            "launch_plans": [plan for _, plan in ordered],
        },
    )
    rows = [decode(NotifySubjectRow, row) for row in await cursor.fetchall()]
    return {by_text[row.rule, row.launch_plan]: row.subject for row in rows}


async def write_executions(
    conn: Connection, changed: Mapping[str, Changed], ended: Collection[str]
) -> None:
    """Store live executions, and delete those that have ended."""
    rows = [
        NotifyExecutionRow(
            stream=stream,
            log_partition=one.partition,
            live=one.live,
            late_at=None if one.late_at_us is None else time_of(one.late_at_us),
        )
        for stream, one in changed.items()
    ]
    await insert_rows(conn.cursor(), NOTIFY_EXECUTIONS, rows)
    if ended:
        gone = [key_text(stream) for stream in ended]
        await conn.execute(_SQL["delete_executions"], (gone,))


async def write_due(
    conn: Connection,
    deliveries: Sequence[Delivery],
    subjects: Mapping[SubjectKey, Subject],
    now: datetime,
    max_age_s: float,
) -> None:
    """Store deliveries, once each, and what is remembered of subjects.

    What happened longer ago than `max_age_s` is told nobody.
    """
    await insert_rows(
        conn.cursor(),
        DELIVERIES,
        [
            DeliveryRow(
                id=one.id,
                channel=one.channel,
                rule=one.rule,
                stream=one.stream,
                event_id=one.event_id,
                subject=one.subject,
                action=one.action,
                notice=one.notice,
                state=_first_state(one, now, max_age_s),
                reason=one.refused,
                due_at=now,
                next_at=now,
            )
            for one in deliveries
        ],
    )
    await insert_rows(
        conn.cursor(),
        NOTIFY_SUBJECTS,
        [
            NotifySubjectRow(rule=rule, launch_plan=plan, subject=subject)
            for (rule, plan), subject in subjects.items()
        ],
    )


def _first_state(one: Delivery, now: datetime, max_age_s: float) -> DeliveryState:
    if one.refused:
        return DeliveryState.DEAD
    age_s = (now - time_of(one.notice.at_us)).total_seconds()
    is_old = age_s > max_age_s and one.action != "resolve"
    return DeliveryState.EXPIRED if is_old else DeliveryState.DUE


async def late_executions(
    conn: Connection, now: datetime, limit: int
) -> Sequence[NotifyExecutionRow]:
    """Return executions that are late, locked in a transaction."""
    cursor = await conn.execute(_SQL["late_executions"], {"now": now, "limit": limit})
    return [decode(NotifyExecutionRow, row) for row in await cursor.fetchall()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What somebody claims of a channel: until when, and how much at most.

    `ordered`: of one subject only the first.
    """

    channel: str
    owner: str
    now: datetime
    until: datetime
    limit: int
    ordered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What became of a try."""

    state: DeliveryState
    next_at: datetime | None = None
    sent_at: datetime | None = None
    reference: str = ""
    reason: str = ""
    recipients: str = ""
    maybe_sent: bool = False


async def claim(pool: Pool, wanted: Claim) -> list[DeliveryRow]:
    """Claim deliveries that are due, for one try each."""
    async with pool.connection() as conn:
        cursor = await conn.execute(_SQL["claim"], asdict(wanted))
        return [decode(DeliveryRow, row) for row in await cursor.fetchall()]


async def mark(pool: Pool, row: DeliveryRow, mark: Mark) -> bool:
    """Mark a claimed delivery; False if somebody else has claimed it since."""
    values = asdict(mark) | {
        "reference": without_nul(cut(mark.reference, _TEXT_BYTES_MAX)),
        "reason": without_nul(cut(mark.reason, _TEXT_BYTES_MAX)),
        "next_at": mark.next_at or row.next_at,
        "id": row.id,
        "owner": row.owner,
        "tries": row.tries,
    }
    async with pool.connection() as conn:
        cursor = await conn.execute(_SQL["mark"], values)
        return cursor.rowcount == 1
