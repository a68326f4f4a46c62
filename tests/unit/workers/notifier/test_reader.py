"""The reader: deliveries once each, whatever is read again; a first start; lateness."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from domain.notifying.due import Policy
from domain.notifying.rules import FAILURES, Rule, default_rules
from infra.errors import ConflictError
from infra.postgres.pool import Pool
from projections.notification_rows import DeliveryRow
from projections.queries import deliveries
from schemas.ids import execution_stream
from schemas.messages import execution_events as e
from schemas.messages.node_events import NodeRetryScheduled
from schemas.wire import codec
from tests.support.clocks import FixedClock
from tests.support.harness.read_models import ReadModels
from tests.support.memory_log import MemoryLog
from tests.support.notifying import FAILURE, SECOND_US, created, failed, live, succeeded
from workers.notifier.batch_fold import ReadEvent
from workers.notifier.reader import Reader

DEFAULT = Policy(channels=frozenset({"slack"}), rules=default_rules("slack"))


def reader(
    log: MemoryLog, pool: Pool, policy: Policy = DEFAULT, at_us: int = 0
) -> Reader:
    """Return a reader of a log."""
    return Reader(log=log, pool=pool, policy=policy, clock=FixedClock(at_us))


async def read_all(found: Reader) -> list[DeliveryRow]:
    """Run a reader until it has read everything; return all deliveries."""
    running = asyncio.create_task(found.run())
    ends = await found.log.end_positions(("flightlog.events",))
    async with asyncio.timeout(10):
        while not (
            found._late_s  # It has looked for what is late.
            and all(found.positions.get(p, 0) >= end for p, end in ends.items())
        ):
            await asyncio.sleep(0.01)
            assert not running.done(), running.result()
    running.cancel()
    await asyncio.wait([running])
    return await deliveries.list_deliveries(found.pool, "", None, 100)


def given(log: MemoryLog, name: str, *events: e.ExecutionEvent) -> None:
    """Put the events of an execution on a log."""
    log.add(execution_stream(live(name).execution), created(name), *events)


async def test_failures_are_due_once(pool: Pool) -> None:
    """Another reader, and the same events again, add nothing."""
    log = MemoryLog()
    given(log, "one", e.ExecutionStarted(occurred_at_us=1), failed())
    given(log, "two", succeeded())

    (first,) = await read_all(reader(log, pool))
    again = await read_all(reader(log, pool))

    assert first.id == "execution/p/d/one/3/slack: failed/slack"
    assert (first.state, first.tries) == ("due", 0)
    assert again == [first]


async def test_events_that_are_read_after_a_crash_are_due_once(pool: Pool) -> None:
    """The position is stored with what is due, or neither is."""
    log = MemoryLog()
    given(log, "one", failed())
    before = await read_all(reader(log, pool))
    with psycopg.connect(str(pool.conninfo)) as conn:
        conn.execute("UPDATE notify_positions SET position = 0")

    assert await read_all(reader(log, pool)) == before


async def test_a_reader_that_was_overtaken_gives_up(pool: Pool) -> None:
    """Two of them would count failures twice."""
    log = MemoryLog()
    given(log, "one", failed())
    found = reader(log, pool)
    await read_all(found)
    with psycopg.connect(str(pool.conninfo)) as conn:
        conn.execute("UPDATE notify_positions SET position = position + 1")
    given(log, "two", failed())

    with pytest.raises(ConflictError, match="the only reader of partition 0"):
        await found.apply_batch(log.records[2:])


async def test_a_first_start_tells_nothing_of_the_past(
    pool: Pool, read_models: ReadModels
) -> None:
    """What is live by then is told of once it ends; what ended before isn't."""
    log = read_models.log
    given(log, "old", e.ExecutionStarted(occurred_at_us=1), failed())
    given(log, "live", e.ExecutionStarted(occurred_at_us=1))
    await read_models.follow()

    assert not await read_all(reader(log, pool))
    log.add("execution/p/d/live", failed())
    (found,) = await read_all(reader(log, pool))

    assert found.stream == "execution/p/d/live"
    assert found.notice.live.started_at_us is not None


async def test_a_replay_tells_nothing(pool: Pool, read_models: ReadModels) -> None:
    """The notifier's tables are no read models."""
    given(read_models.log, "one", failed())
    before = await read_all(reader(read_models.log, pool))
    await read_models.follow()
    with psycopg.connect(str(pool.conninfo)) as conn:
        conn.execute("TRUNCATE executions")
        conn.execute("DELETE FROM projector_positions")
    await read_models.follow()

    assert await read_all(reader(read_models.log, pool)) == before


async def test_other_rules_take_over_what_is_live(
    pool: Pool, read_models: ReadModels
) -> None:
    """No rule was about it when it began."""
    log = read_models.log
    given(log, "one", e.ExecutionStarted(occurred_at_us=1))
    await read_models.follow()
    assert not await read_all(reader(log, pool, Policy()))
    log.add("execution/p/d/one", failed())

    assert len(await read_all(reader(log, pool))) == 1


async def test_late_executions_are_told_of_once(pool: Pool) -> None:
    """Once it is late; an end takes it away."""
    rule = Rule(name="r", channels=("slack",), running_us=10 * SECOND_US)
    policy = Policy(channels=frozenset({"slack"}), rules=(rule,))
    log = MemoryLog()
    given(log, "one", e.ExecutionStarted(occurred_at_us=SECOND_US))
    given(log, "two", e.ExecutionStarted(occurred_at_us=SECOND_US), succeeded())

    assert not await read_all(reader(log, pool, policy, at_us=10 * SECOND_US))
    for _ in range(2):
        found = await read_all(reader(log, pool, policy, at_us=99 * SECOND_US))

    assert [(row.stream, row.notice.reason) for row in found] == [
        ("execution/p/d/one", "running_long")
    ]


async def test_what_cannot_be_delivered_is_dead_with_the_reason(pool: Pool) -> None:
    """A channel that a plan names, and that isn't set any more."""
    log = MemoryLog()
    log.add("execution/p/d/one", created(asks="gone on failed"), failed())
    (found,) = await read_all(reader(log, pool, Policy()))

    assert found.state == "dead"
    assert found.reason == "Expected a channel that is set, but 'gone' isn't"


async def test_what_happened_long_ago_is_told_nobody(pool: Pool) -> None:
    """A notifier that was off for months tells nothing of them."""
    log = MemoryLog()
    given(log, "one", failed())
    (found,) = await read_all(reader(log, pool, at_us=8 * 86_400 * SECOND_US))

    assert found.state == "expired"


async def test_a_lost_answer_of_a_commit_is_no_conflict(pool: Pool) -> None:
    """What was committed is found there, and isn't written again."""
    log = MemoryLog()
    given(log, "one", failed())
    found = reader(log, pool)
    (before,) = await read_all(found)
    given(log, "two", failed())
    batch = log.records[2:]
    events = [ReadEvent(received=r, event=codec.decode(r.body)) for r in batch]  # type: ignore[arg-type]
    to = {0: batch[-1].position}

    await found._store(events, to)
    found._stored = dict(found.positions)
    await found._store(events, to)

    after = await deliveries.list_deliveries(pool, "", None, 100)
    assert after[1:] == [before]
    assert len(after) == 2


async def test_other_rules_keep_what_is_known(pool: Pool) -> None:
    """Retries were counted before the rules changed."""
    log = MemoryLog()
    retry = NodeRetryScheduled(
        occurred_at_us=2, node_id="n0", attempt=0, failure=FAILURE
    )
    given(log, "one", e.ExecutionStarted(occurred_at_us=1), retry)
    await read_all(reader(log, pool))
    rule = Rule(name="r", channels=("slack",), phases=FAILURES)
    other = Policy(channels=frozenset({"slack"}), rules=(rule,))
    log.add("execution/p/d/one", failed())
    (found,) = await read_all(reader(log, pool, other))

    assert found.notice.live.retries == 1
