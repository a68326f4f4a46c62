"""Submitting: one outcome for each command, however the news of it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc
import msgspec
import pytest

from gateway.services import submit as submitting
from gateway.services.errors import RpcError
from gateway.services.submit import CHANNEL, Submit
from infra.postgres.pool import Pool, open_pool
from projections.queries import executions
from projections.rows import Outcome
from schemas import topics
from schemas.messages.commands import TerminateExecution
from schemas.wire import codec
from tests.support.components.postgres import migrated_database
from tests.support.fakes import MemoryLog

pytestmark = pytest.mark.integration

STREAM = "execution/p/d/run"
COMMAND = TerminateExecution(cause="enough")


@pytest.fixture
def url() -> str:
    """Return a database of this test's own."""
    return migrated_database()


@pytest.fixture
async def pool(url: str) -> AsyncIterator[Pool]:
    """Open a pool on it."""
    opened = await open_pool(url, size=2)
    yield opened
    await opened.close()


@pytest.fixture
async def log() -> MemoryLog:
    """Return a log of nothing."""
    log = MemoryLog()
    await log.open()
    return log


@asynccontextmanager
async def submitted(submit: Submit) -> AsyncIterator[asyncio.Task[str]]:
    """Submit a command, and leave it waiting."""
    task = asyncio.create_task(submit(STREAM, COMMAND, actor="me", now_us=7))
    try:
        while not submit.in_flight:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


def command_id(log: MemoryLog) -> str:
    """Return the id of the only command on the log."""
    (record,) = log.data.records
    return record.envelope.id


async def write(pool: Pool, command: str, kind: str, *, notify: bool = False) -> None:
    """Write an outcome as the projector of another process does."""
    async with pool.connection() as conn, conn.transaction():
        await conn.execute(
            "INSERT INTO outcomes (command_id, kind, event_id, reason, detail)"
            " VALUES (%s, %s, 'event', 'NOT_FOUND', 'Expected x, but y')",
            (command, kind),
        )
        if notify:
            await conn.execute("SELECT pg_notify(%s, %s)", (CHANNEL, command))


async def test_a_command_is_settled_in_this_process(log: MemoryLog, pool: Pool) -> None:
    """A projector in this process settles at once; the envelope asks for a reply."""
    submit = Submit(log, pool, timeout_s=5)
    async with submitted(submit) as task:
        (record,) = log.data.records
        outcome = Outcome(
            command_id=record.envelope.id,
            kind="done",
            event_id="execution/p/d/run/1",
        )
        submit.settle(outcome)
        assert "execution/p/d/run/1" == await task
    assert topics.COMMANDS == record.topic
    assert (STREAM, "me", 7, True) == (
        record.envelope.stream, record.envelope.actor, record.envelope.recorded_at_us,
        record.envelope.reply,
    )  # fmt: skip
    assert COMMAND == codec.decode(record.body)
    assert 0 == submit.in_flight


async def test_a_rejection_is_raised(log: MemoryLog, pool: Pool) -> None:
    """A rejected command ends with its reason's status and detail."""
    submit = Submit(log, pool, timeout_s=5)
    async with submitted(submit) as task:
        outcome = Outcome(
            command_id=command_id(log),
            kind="rejected",
            reason="FAILED_PRECONDITION",
            detail="Expected x, but y",
        )
        submit.settle(outcome)
        with pytest.raises(RpcError, match="Expected x, but y") as refused:
            await task
    assert grpc.StatusCode.FAILED_PRECONDITION is refused.value.code


async def test_the_table_is_read_now_and_then(
    log: MemoryLog, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost news is found in the table, for all who wait."""
    monkeypatch.setattr("gateway.services.submit.POLL_INTERVAL_S", 0.05)
    submit = Submit(log, pool, timeout_s=5)
    async with submitted(submit) as task:
        await write(pool, command_id(log), "done")
        assert "event" == await task


async def test_news_of_another_process_is_heard(
    log: MemoryLog, pool: Pool, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway process of its own listens: no poll is needed."""
    monkeypatch.setattr("gateway.services.submit.POLL_INTERVAL_S", 30.0)
    submit = Submit(log, pool, timeout_s=5)
    listening = asyncio.create_task(submit.listen(url))
    await asyncio.sleep(0.2)
    async with submitted(submit) as task:
        await write(pool, command_id(log), "rejected", notify=True)
        with pytest.raises(RpcError) as refused:
            await task
    assert grpc.StatusCode.NOT_FOUND is refused.value.code
    listening.cancel()
    await asyncio.wait([listening])


async def test_a_listener_survives_its_connection(
    log: MemoryLog, pool: Pool, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is cut is opened again, and what was missed is read."""
    monkeypatch.setattr("gateway.services.submit.POLL_INTERVAL_S", 30.0)
    monkeypatch.setattr("gateway.services.submit.RECONNECT_PAUSE_S", 0.05)
    submit = Submit(log, pool, timeout_s=5)
    listening = asyncio.create_task(submit.listen(url))
    await asyncio.sleep(0.2)
    async with submitted(submit) as task:
        await write(pool, command_id(log), "done")
        async with pool.connection() as conn:
            await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE query LIKE 'LISTEN %' AND datname = current_database()"
            )
        assert "event" == await task
    listening.cancel()
    await asyncio.wait([listening])


async def test_at_the_limit_the_client_learns_that_the_command_stands(
    log: MemoryLog, pool: Pool
) -> None:
    """DEADLINE_EXCEEDED, never UNAVAILABLE: clients would repeat what stands."""
    submit = Submit(log, pool, timeout_s=0.1)
    with pytest.raises(RpcError, match="was accepted and will be processed") as refused:
        await submit(STREAM, COMMAND, actor="", now_us=0)
    assert grpc.StatusCode.DEADLINE_EXCEEDED is refused.value.code
    assert command_id(log) in refused.value.detail


async def test_a_database_that_is_away_is_no_unavailable(
    log: MemoryLog, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once appended, trouble with the table must not invite a repetition."""
    monkeypatch.setattr("gateway.services.submit.POLL_INTERVAL_S", 0.02)
    await pool.close()
    submit = Submit(log, pool, timeout_s=0.1)
    with pytest.raises(RpcError) as refused:
        await submit(STREAM, COMMAND, actor="", now_us=0)
    assert grpc.StatusCode.DEADLINE_EXCEEDED is refused.value.code


async def test_a_lost_answer_appends_once(log: MemoryLog, pool: Pool) -> None:
    """An append whose answer was lost is repeated with the same id."""
    log.lose_next_answer = True
    submit = Submit(log, pool, timeout_s=5)
    async with submitted(submit) as task:
        await asyncio.sleep(0.1)
        submit.settle(Outcome(command_id=command_id(log), kind="no_effect"))
        assert "" == await task
    assert 1 == len(log.data.records)


async def test_too_many_waiting_commands_are_turned_away(
    log: MemoryLog, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway has a limit, and says that nothing was submitted."""
    monkeypatch.setattr("gateway.services.submit.IN_FLIGHT_MAX", 1)
    submit = Submit(log, pool, timeout_s=5)
    async with submitted(submit):
        with pytest.raises(
            RpcError, match=r"in flight \(limit 1\)\. The command was not submitted"
        ) as refused:
            await submit(STREAM, COMMAND, actor="", now_us=0)
    assert grpc.StatusCode.RESOURCE_EXHAUSTED is refused.value.code
    assert 1 == len(log.data.records)


async def test_an_outcome_that_cannot_be_read_costs_its_own_call(
    log: MemoryLog, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails at once; the others, read in the same poll, have their outcomes."""

    async def read(pool: Pool, command_ids: Sequence[str]) -> list[Outcome]:
        if bad in command_ids:
            raise msgspec.ValidationError("Expected `str`, got `int`")
        return await get_outcomes(pool, command_ids)

    get_outcomes = executions.get_outcomes
    monkeypatch.setattr(executions, "get_outcomes", read)
    monkeypatch.setattr(submitting, "POLL_INTERVAL_S", 0.05)
    submit, bad = Submit(log, pool, timeout_s=10), ""
    async with submitted(submit) as broken:
        bad = command_id(log)
        async with submitted(submit) as other:
            while len(log.data.records) < 2:
                await asyncio.sleep(0.01)
            await write(pool, log.data.records[1].envelope.id, "done")
            assert await other == "event"
        with pytest.raises(RpcError, match="can't be read") as failed:
            await broken
    assert failed.value.code is grpc.StatusCode.INTERNAL


async def test_a_reason_of_a_newer_version_is_a_rejection(
    log: MemoryLog, pool: Pool
) -> None:
    """What it says reaches the client."""
    submit = Submit(log, pool, timeout_s=5)
    async with submitted(submit) as task:
        outcome = Outcome(
            command_id=command_id(log), kind="rejected", reason="TOO_LATE", detail="no"
        )
        submit.settle(outcome)
        with pytest.raises(RpcError, match="no") as refused:
            await task
    assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION
