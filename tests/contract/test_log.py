"""The contract of a log, held by each adapter."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from infra.errors import PermanentError
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

ALL = (t.COMMANDS, t.EVENTS, t.DISPATCHES, t.ABORTS)
SOON_S = 5


async def everything(log: Any, topics: tuple[str, ...] = ALL) -> list[Any]:
    """Read the topics to their end."""
    found: list[Any] = []
    async for batch in log.tail(topics, {}, 7):
        if not batch:
            break
        found.extend(batch)
    return found


async def test_ids_are_of_their_topic(log: Any) -> None:
    """The same id on two topics names two messages."""
    await log.append([dispatch("x"), dispatch("x", t.ABORTS), command("x")])
    assert len(await everything(log)) == 3


async def test_appends_at_once_lose_and_double_nothing(log: Any) -> None:
    """Each caller's messages are there once and in its order."""

    async def caller(name: int) -> None:
        for number in range(10):
            await log.append(
                [command(f"{name}.{number}"), command(f"{name}.{number}b")]
            )

    await asyncio.gather(*(caller(name) for name in range(20)))
    found = ids(await everything(log))
    assert len(found) == len(set(found)) == 400
    for name in range(20):
        mine = [i for i in found if i.startswith(f"{name}.")]
        assert mine == [f"{name}.{n}{s}" for n in range(10) for s in ("", "b")]


async def test_a_commit_is_whole(log: Any) -> None:
    """Events, dispatches, aborts, commands and the position come together."""
    await log.append([command("c1")])
    async with owning(log) as partition:
        (taken,) = await partition.read(10)
        records = [
            event_record(1),
            event_record(2),
            dispatch("d1"),
            dispatch("a1", t.ABORTS),
            command("c2"),
        ]
        await partition.commit(records, taken.position)
        assert ids(await partition.read(10)) == ["c2"]
    for topic in ALL:
        there = plain(await everything(log, (topic,)))
        assert there[topic == t.COMMANDS :] == [r for r in records if r.topic == topic]
    assert await kept(log) == taken.position


async def test_a_commit_may_move_the_position_only(log: Any) -> None:
    """A command without events is handled all the same."""
    await log.append([command("c1")])
    async with owning(log) as partition:
        (taken,) = await partition.read(10)
        await partition.commit([], taken.position)
        await partition.commit([], taken.position)
    assert await kept(log) == taken.position


async def test_streams_are_read_by_sequence(log: Any) -> None:
    """A stream's events come by sequence, within bounds; outcomes are no part of it."""
    other = "execution/p/d/two"
    await log.append(
        [
            event_record(1),
            event_record(1, other),
            event_record(2),
            outcome("o1"),
            event_record(3),
            outcome("o2"),
        ]
    )
    assert [r.envelope.sequence for r in await log.stream(STREAM)] == [1, 2, 3]
    assert [r.envelope.sequence for r in await log.stream(STREAM, after=1)] == [2, 3]
    assert [r.envelope.sequence for r in await log.stream(STREAM, limit=1)] == [1]
    assert plain(await log.stream(other)) == [event_record(1, other)]
    last = await log.last_event(STREAM)
    assert last is not None
    assert plain([last]) == [event_record(3)]
    assert await log.last_event("execution/p/d/none") is None
    assert list(await log.stream("execution/p/d/none")) == []


async def test_groups_keep_positions_of_their_own(log: Any) -> None:
    """A consumer goes on after its kept position; an older commit changes nothing."""
    await log.append([dispatch(f"d{n}") for n in range(4)])
    async with log.consume("r1", t.DISPATCHES) as consumer:
        found = await consumer.read(3)
        assert ids(found) == ["d0", "d1", "d2"]
        await consumer.commit({0: found[1].position})
        await consumer.commit({0: found[0].position})
        assert ids(await consumer.read(3)) == ["d3"]
    async with log.consume("r1", t.DISPATCHES) as consumer:
        assert ids(await consumer.read(9)) == ["d2", "d3"]
    async with log.consume("r2", t.DISPATCHES) as consumer:
        assert len(await consumer.read(9)) == 4


async def test_all_is_there_after_a_restart(kind: Any, log: Any) -> None:
    """Records, positions and streams outlive the log that wrote them."""
    await log.append([command("c1"), command("c2")])
    async with owning(log) as partition:
        first, _ = await partition.read(10)
        await partition.commit([event_record(1)], first.position)
    await log.close()
    again = await kind.open()
    assert ids(await everything(again, (t.COMMANDS,))) == ["c1", "c2"]
    assert ids(await everything(again, (t.EVENTS,))) == [f"{STREAM}/1"]
    async with owning(again) as partition:
        (second,) = await partition.read(10)
        assert second.envelope.id == "c2"
        await partition.commit([event_record(2)], second.position)
    assert len(await again.stream(STREAM)) == 2


async def test_news_wakes_a_reader(kind: Any) -> None:
    """A reader that waits gets news at once, not at its next poll."""
    log = await kind.open(poll_interval_s=60)
    async with log.consume("r", t.DISPATCHES) as consumer:
        waiting = asyncio.create_task(consumer.read(10))
        await asyncio.sleep(0.05)
        await log.append([command("c1")])
        await asyncio.sleep(0.05)
        assert not waiting.done(), "woken by another topic's news"
        await log.append([dispatch("d1")])
        async with asyncio.timeout(SOON_S):
            assert ids(await waiting) == ["d1"]


async def test_a_reader_without_news_returns(log: Any) -> None:
    """A wait has a bound: then the batch is empty."""
    async with owning(log) as partition:
        async with asyncio.timeout(SOON_S):
            assert not await partition.read(10)


async def test_a_slow_reader_misses_nothing(kind: Any) -> None:
    """Who fell behind what is kept in memory reads all, in order."""
    log = await kind.open(recent_records_max=10)
    await log.append([dispatch("first")])
    async with log.consume("r", t.DISPATCHES) as consumer:
        found = ids(await consumer.read(1))
        for number in range(30):
            await log.append([dispatch(f"d{number}"), event_record(number + 1)])
            if number % 10 == 0:
                found.extend(ids(await consumer.read(3)))
        while batch := await consumer.read(4):
            found.extend(ids(batch))
        await log.append([dispatch("last")])
        found.extend(ids(await consumer.read(4)))
    assert found == ["first", *(f"d{n}" for n in range(30)), "last"]


async def test_a_large_commit(log: Any) -> None:
    """One commit may hold more than one statement takes."""
    records = [event_record(n, body=b"x" * 100) for n in range(1, 5001)]
    async with owning(log) as partition:
        await partition.commit(records, None)
    assert len(await log.stream(STREAM)) == 5000
    found = [r for b in [await everything(log, (t.EVENTS,))] for r in b]
    assert [r.envelope.sequence for r in found] == list(range(1, 5001))


async def test_a_closed_log_refuses(log: Any) -> None:
    """No caller waits forever on a log that is closed."""
    await log.close()
    with pytest.raises(PermanentError):
        await log.append([command("c1")])
