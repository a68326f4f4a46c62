"""What a notifier begins with: the live executions of the read models.

At a first start, with a lost position and after the rules have changed. What ended
before sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from hashlib import sha256

import msgspec
import structlog

from domain.notifying.due import Policy, late_at_us, subject_keys
from domain.notifying.live_execution import LiveExecution, with_spec
from infra.postgres.pool import Connection, Pool
from projections.positions import stored_positions
from projections.rows import ExecutionRow
from schemas.ids import ExecutionRef, execution_of
from workers.notifier import store
from workers.notifier.batch_fold import Changed

log_ = structlog.get_logger(__name__)

_PAGE = 500
_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"


def digest(policy: Policy) -> str:
    """Return a text that other rules don't have."""
    return sha256(msgspec.msgpack.encode(policy.rules)).hexdigest()[:16]


async def begin(
    pool: Pool,
    policy: Policy,
    now_us: int,
    partition_of: Callable[[str], int] = lambda _stream: 0,
) -> dict[int, int]:
    """Return where to begin, once what must be known of live executions is stored.

    That is all that was stored, unless there is no position, or other rules were.
    """
    rules = digest(policy)
    async with pool.connection() as conn, conn.transaction():
        await conn.execute(_SNAPSHOT)
        stored = await store.positions(conn)
        if stored and all(one.rules == rules for one in stored.values()):
            return {number: one.position for number, one in stored.items()}
        taken = await _take_live(conn, policy, now_us, partition_of)
        to = {number: one.position for number, one in stored.items()}
        if not stored:
            to = await stored_positions(conn)
        await store.move(conn, to, rules)
    why = "rules_changed" if stored else "first_start"
    log_.warning("notifications_begin", why=why, live_executions=taken, positions=to)
    return to


async def _take_live(
    conn: Connection,
    policy: Policy,
    now_us: int,
    partition_of: Callable[[str], int],
) -> int:
    """Store the live executions that could lead to a notification; return how many.

    One that is late already is not told of: it was late before anybody was asked.
    """
    taken, after = 0, ""
    while rows := await store.live_rows(conn, after, _PAGE):
        after = rows[-1].stream
        known = await store.executions(conn, {row.stream for row in rows})
        lives = {row.stream: known.get(row.stream) or _live(row) for row in rows}
        keys = {key for live in lives.values() for key in subject_keys(policy, live)}
        subjects = await store.lock_subjects(conn, keys)
        changed = {
            stream: Changed(
                live=live,
                partition=partition_of(stream),
                late_at_us=late_at_us(policy, live, subjects, after_us=now_us),
            )
            for stream, live in lives.items()
            if policy.concerns(live)
        }
        await store.write_executions(conn, changed, ())
        taken += len(changed)
    return taken


def _live(row: ExecutionRow) -> LiveExecution:
    live = LiveExecution(
        execution=ExecutionRef(
            project=row.execution_project,
            domain=row.execution_domain,
            name=row.execution_name,
        ),
        launch_plan=row.launch_plan,
        workflow=row.workflow,
        principal=row.user,
        parent=execution_of(row.parent_stream) if row.parent_stream else None,
        created_at_us=_us(row.created_at),
        started_at_us=None if row.started_at is None else _us(row.started_at),
    )
    return with_spec(live, row.spec)


def _us(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)
