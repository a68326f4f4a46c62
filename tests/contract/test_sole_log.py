"""What only a log with one writer and one order promises: not Kafka's."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import Any

import pytest

from infra.errors import FencedError, InfraError, PermanentError, TransientError
from schemas import topics as t
from tests.contract.owning import kept, owning
from tests.contract.records import (
    STREAM,
    command,
    dispatch,
    event_record,
    ids,
    outcome,
    plain,
)
from tests.contract.test_log import SOON_S, everything

pytestmark = pytest.mark.sole


async def test_messages_come_as_they_were_appended(log: Any) -> None:
    """What is read equals what was appended, in order, with growing positions."""
    records = [
        command("c1"),
        event_record(1),
        outcome("c9/outcome"),
        dispatch("d1"),
        event_record(2),
    ]
    await log.append(records[:2])
    await log.append(records[2:])
    found = await everything(log)
    assert plain(found) == records
    positions = [r.position for r in found]
    assert positions == sorted(set(positions))
    assert {r.partition for r in found} == {0}
    assert await log.end_positions() == {0: positions[-1]}


async def test_a_topic_has_an_end_of_its_own(log: Any) -> None:
    """A reader of some topics knows when it has read them to their end."""
    await log.append([command("c1"), event_record(1), dispatch("d1"), dispatch("d2")])
    found = await everything(log)
    assert await log.end_positions((t.EVENTS,)) == {0: found[1].position}
    assert await log.end_positions((t.EVENTS, t.COMMANDS)) == {0: found[1].position}
    assert await log.end_positions((t.ABORTS,)) == {0: 0}
    assert await log.end_positions() == {0: found[3].position}


async def test_appending_nothing_is_nothing(log: Any) -> None:
    """An empty append leaves no trace."""
    await log.append([])
    assert await log.end_positions() == {0: 0}


async def test_a_repeated_message_is_dropped(log: Any) -> None:
    """A message whose id is on its topic already is dropped, beside fresh ones."""
    await log.append([command("c1"), command("c1")])
    await log.append([command("c1", body=b"other"), command("c2")])
    await log.append([command("c2")])
    found = await everything(log)
    assert ids(found) == ["c1", "c2"]
    assert found[0].body == b"command"


async def test_one_callers_bad_record_is_its_own_trouble(log: Any) -> None:
    """A record that can't be kept fails its caller and nobody else."""
    results = await asyncio.gather(
        log.append([command("before")]),
        log.append([command("bad\0id"), command("with")]),
        log.append([command("after")]),
        return_exceptions=True,
    )
    assert [type(r) for r in results] == [type(None), PermanentError, type(None)]
    assert sorted(ids(await everything(log))) == ["after", "before"]


async def test_an_id_that_no_index_holds_blocks_nothing(log: Any) -> None:
    """It is stored, or refused as permanent: a caller would repeat an outage."""
    with contextlib.suppress(PermanentError):
        await log.append([command(secrets.token_hex(5_000))])
    await log.append([command("c1")])

    assert ids(await everything(log))[-1] == "c1"


async def test_a_refused_commit_leaves_nothing(log: Any) -> None:
    """Where another wrote the event, nothing is appended and the position stays."""
    await log.append([command("c1"), event_record(1, body=b"theirs")])
    async with owning(log) as partition:
        (taken,) = await partition.read(10)
        with pytest.raises(FencedError):
            await partition.commit(
                [dispatch("d1"), event_record(1), event_record(2)], taken.position
            )
    assert ids(await everything(log)) == ["c1", f"{STREAM}/1"]
    assert await kept(log) == 0


async def test_half_repeated_events_are_refused(log: Any) -> None:
    """Events are appended together: if only some are known, another wrote them."""
    await log.append([event_record(1)])
    async with owning(log) as partition:
        with pytest.raises(FencedError):
            await partition.commit([event_record(1), event_record(2)], None)
    assert len(await log.stream(STREAM)) == 1


async def test_a_commit_behind_the_position_is_refused(log: Any) -> None:
    """New events for commands that are handled already are another's business."""
    await log.append([command("c1"), command("c2")])
    async with owning(log) as partition:
        first, second = await partition.read(10)
        await partition.commit([event_record(1)], second.position)
        with pytest.raises(FencedError):
            await partition.commit([event_record(2)], first.position)
    assert len(await log.stream(STREAM)) == 1


async def test_a_new_owner_fences_the_old(log: Any) -> None:
    """Who owned the partition before can commit no more."""
    async with owning(log) as old, owning(log) as new:
        with pytest.raises(FencedError):
            await old.commit([event_record(1)], None)
        await new.commit([event_record(1, body=b"new")], None)
    assert [r.body for r in await log.stream(STREAM)] == [b"new"]


async def test_two_engines_cannot_share_a_log(kind: Any, log: Any) -> None:
    """A second engine gets a clear error until the first releases the log."""
    with pytest.raises(FencedError, match="another engine"):
        await kind.open()
    await log.append([command("c1")])
    await log.close()
    second = await kind.open()
    await second.append([command("c2")])
    assert ids(await everything(second)) == ["c1", "c2"]


async def test_an_engine_that_lost_its_log_is_fenced(kind: Any, log: Any) -> None:
    """Where another took over meanwhile, the old one can write nothing."""
    await log.append([command("c1")])
    kind.end_sessions()
    second = await kind.open()
    await second.append([command("c2")])
    with pytest.raises((FencedError, TransientError)):
        await log.append([command("c3")])
    await second.close()
    async with owning(log) as partition:
        with pytest.raises((FencedError, TransientError)):
            await partition.commit([event_record(1)], None)
    third = await kind.open()
    assert ids(await everything(third)) == ["c1", "c2"]


async def test_a_lost_answer_to_a_commit(kind: Any, log: Any) -> None:
    """A commit whose answer was lost is done once, when tried again."""
    await log.append([command("c1")])
    async with owning(log) as partition:
        (taken,) = await partition.read(10)
        records = [event_record(1), dispatch("d1"), command("c2")]
        kind.lose_next_answer(log)
        with pytest.raises(TransientError):
            await partition.commit(records, taken.position)
        await partition.commit(records, taken.position)
        assert ids(await partition.read(10)) == ["c2"]
        await partition.commit([event_record(2)], taken.position + 1)
    assert ids(await everything(log)) == [
        "c1",
        f"{STREAM}/1",
        "d1",
        "c2",
        f"{STREAM}/2",
    ]


async def test_a_lost_answer_without_position(kind: Any, log: Any) -> None:
    """The same for a commit that moves no position."""
    async with owning(log) as partition:
        kind.lose_next_answer(log)
        with pytest.raises(TransientError):
            await partition.commit([event_record(1)], None)
        await partition.commit([event_record(1)], None)
    assert len(await log.stream(STREAM)) == 1


async def test_a_lost_answer_hides_nothing_from_readers(kind: Any, log: Any) -> None:
    """What was appended is read although its sender got an error."""
    async with log.consume("r", t.COMMANDS) as consumer:
        kind.lose_next_answer(log)
        with pytest.raises(TransientError):
            await log.append([command("c1")])
        await log.append([command("c2")])
        found: list[str] = []
        async with asyncio.timeout(SOON_S):
            while len(found) < 2:
                found.extend(ids(await consumer.read(10)))
    assert found == ["c1", "c2"]


async def test_a_cancelled_commit_hides_nothing_from_readers(log: Any) -> None:
    """Who waits no longer for a commit doesn't keep its records from others."""
    async with owning(log) as partition:
        task = asyncio.create_task(
            partition.commit([event_record(1), command("c1")], None)
        )
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await log.append([command("c2")])
        found = ids(await everything(log))
    stored = [i.envelope.id for i in await log.stream(STREAM)]
    assert found == [*stored, *(["c1"] if stored else []), "c2"]


async def test_a_repeated_message_is_dropped_after_a_restart(
    kind: Any, log: Any
) -> None:
    """Ids are known as long as their messages are kept."""
    await log.append([command("c1"), command("c2")])
    await log.close()
    again = await kind.open()
    await again.append([command("c1")])
    assert len(await everything(again, (t.COMMANDS,))) == 2


async def test_handled_messages_are_trimmed(log: Any) -> None:
    """Messages up to a position go, events and the newest stay; ids are free again."""
    await log.append([command("c1"), event_record(1), command("c2"), dispatch("d1")])
    found = await everything(log)
    handled = found[2].position
    assert await log.trim({t.COMMANDS: handled}, 1) == 1
    assert await log.trim({t.COMMANDS: handled}, 0) == 1
    assert await log.trim({t.COMMANDS: handled}, 0) == 0
    assert len(await log.stream(STREAM)) == 1
    await log.append([command("c1")])
    async with log.consume("r", t.COMMANDS) as consumer:
        await consumer.commit({0: handled})
    async with log.consume("r", t.COMMANDS) as consumer:
        assert ids(await consumer.read(9)) == ["c1"]
    async with log.consume("r2", t.DISPATCHES) as consumer:
        assert ids(await consumer.read(9)) == ["d1"]


async def test_a_lost_session_heals(kind: Any, log: Any) -> None:
    """When Postgres ends our sessions and nobody else came, the log goes on."""
    await log.append([command("c1")])
    kind.end_sessions()
    async with asyncio.timeout(30):
        while True:
            try:
                await log.append([command("c2")])
                break
            except InfraError as error:
                assert isinstance(error, TransientError)
    assert ids(await everything(log)) == ["c1", "c2"]
