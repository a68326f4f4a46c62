"""The contract of a log, held by each adapter."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from infra.errors import Fenced, InfraError, Permanent, Transient
from schemas import topics as t
from tests.contract.owning import kept, owning
from tests.contract.records import (
    STREAM,
    command,
    dispatch,
    fact,
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


@pytest.mark.sole
async def test_messages_come_as_they_were_appended(log: Any) -> None:
    """What is read equals what was appended, in order, with growing positions."""
    records = [command("c1"), fact(1), outcome("c9/outcome"), dispatch("d1"), fact(2)]
    await log.append(records[:2])
    await log.append(records[2:])
    found = await everything(log)
    assert plain(found) == records
    positions = [r.position for r in found]
    assert positions == sorted(set(positions))
    assert {r.partition for r in found} == {0}
    assert await log.end() == {0: positions[-1]}


@pytest.mark.sole
async def test_a_topic_has_an_end_of_its_own(log: Any) -> None:
    """Whoever follows some topics can tell when there is nothing more of them."""
    await log.append([command("c1"), fact(1), dispatch("d1"), dispatch("d2")])
    found = await everything(log)
    assert await log.end((t.EVENTS,)) == {0: found[1].position}
    assert await log.end((t.EVENTS, t.COMMANDS)) == {0: found[1].position}
    assert await log.end((t.ABORTS,)) == {0: 0}
    assert await log.end() == {0: found[3].position}


@pytest.mark.sole
async def test_appending_nothing_is_nothing(log: Any) -> None:
    """An empty append leaves no trace."""
    await log.append([])
    assert await log.end() == {0: 0}


@pytest.mark.sole
async def test_a_repeated_message_is_dropped(log: Any) -> None:
    """A message whose id is on its topic already is dropped, beside fresh ones."""
    await log.append([command("c1"), command("c1")])
    await log.append([command("c1", body=b"other"), command("c2")])
    await log.append([command("c2")])
    found = await everything(log)
    assert ids(found) == ["c1", "c2"]
    assert found[0].body == b"wish"


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


@pytest.mark.sole
async def test_one_callers_bad_record_is_its_own_trouble(log: Any) -> None:
    """A record that can't be kept fails its caller and nobody else."""
    results = await asyncio.gather(
        log.append([command("before")]),
        log.append([command("bad\0id"), command("with")]),
        log.append([command("after")]),
        return_exceptions=True,
    )
    assert [type(r) for r in results] == [type(None), Permanent, type(None)]
    assert sorted(ids(await everything(log))) == ["after", "before"]


async def test_a_commit_is_whole(log: Any) -> None:
    """Facts, work, aborts, wishes and the position come together."""
    await log.append([command("c1")])
    async with owning(log) as partition:
        (taken,) = await partition.read(10)
        records = [
            fact(1),
            fact(2),
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


@pytest.mark.sole
async def test_a_refused_commit_leaves_nothing(log: Any) -> None:
    """Where another wrote the fact, nothing is appended and the position stays."""
    await log.append([command("c1"), fact(1, body=b"theirs")])
    async with owning(log) as partition:
        (taken,) = await partition.read(10)
        with pytest.raises(Fenced):
            await partition.commit([dispatch("d1"), fact(1), fact(2)], taken.position)
    assert ids(await everything(log)) == ["c1", f"{STREAM}/1"]
    assert await kept(log) == 0


@pytest.mark.sole
async def test_half_repeated_facts_are_refused(log: Any) -> None:
    """Facts come whole: some there and some not is another's writing."""
    await log.append([fact(1)])
    async with owning(log) as partition:
        with pytest.raises(Fenced):
            await partition.commit([fact(1), fact(2)], None)
    assert len(await log.stream(STREAM)) == 1


async def test_a_commit_may_move_the_position_only(log: Any) -> None:
    """A command without facts is handled all the same."""
    await log.append([command("c1")])
    async with owning(log) as partition:
        (taken,) = await partition.read(10)
        await partition.commit([], taken.position)
        await partition.commit([], taken.position)
    assert await kept(log) == taken.position


@pytest.mark.sole
async def test_a_commit_behind_the_position_is_refused(log: Any) -> None:
    """New facts for commands that are handled already are another's business."""
    await log.append([command("c1"), command("c2")])
    async with owning(log) as partition:
        first, second = await partition.read(10)
        await partition.commit([fact(1)], second.position)
        with pytest.raises(Fenced):
            await partition.commit([fact(2)], first.position)
    assert len(await log.stream(STREAM)) == 1


@pytest.mark.sole
async def test_a_new_owner_fences_the_old(log: Any) -> None:
    """Who owned the partition before can commit no more."""
    async with owning(log) as old, owning(log) as new:
        with pytest.raises(Fenced):
            await old.commit([fact(1)], None)
        await new.commit([fact(1, body=b"new")], None)
    assert [r.body for r in await log.stream(STREAM)] == [b"new"]


@pytest.mark.sole
async def test_two_engines_cannot_share_a_log(kind: Any, log: Any) -> None:
    """A second engine gets a clear error until the first lets go."""
    with pytest.raises(Fenced, match="another engine"):
        await kind.open()
    await log.append([command("c1")])
    await log.close()
    second = await kind.open()
    await second.append([command("c2")])
    assert ids(await everything(second)) == ["c1", "c2"]


@pytest.mark.sole
async def test_an_engine_that_lost_its_log_is_fenced(kind: Any, log: Any) -> None:
    """Where another took over meanwhile, the old one can write nothing."""
    await log.append([command("c1")])
    kind.end_sessions()
    second = await kind.open()
    await second.append([command("c2")])
    with pytest.raises((Fenced, Transient)):
        await log.append([command("c3")])
    await second.close()
    async with owning(log) as partition:
        with pytest.raises((Fenced, Transient)):
            await partition.commit([fact(1)], None)
    third = await kind.open()
    assert ids(await everything(third)) == ["c1", "c2"]


@pytest.mark.sole
async def test_a_lost_answer_to_a_commit(kind: Any, log: Any) -> None:
    """A commit whose answer was lost is done once, when tried again."""
    await log.append([command("c1")])
    async with owning(log) as partition:
        (taken,) = await partition.read(10)
        records = [fact(1), dispatch("d1"), command("c2")]
        kind.lose_next_answer(log)
        with pytest.raises(Transient):
            await partition.commit(records, taken.position)
        await partition.commit(records, taken.position)
        assert ids(await partition.read(10)) == ["c2"]
        await partition.commit([fact(2)], taken.position + 1)
    assert ids(await everything(log)) == [
        "c1",
        f"{STREAM}/1",
        "d1",
        "c2",
        f"{STREAM}/2",
    ]


@pytest.mark.sole
async def test_a_lost_answer_without_position(kind: Any, log: Any) -> None:
    """The same for a commit that moves no position."""
    async with owning(log) as partition:
        kind.lose_next_answer(log)
        with pytest.raises(Transient):
            await partition.commit([fact(1)], None)
        await partition.commit([fact(1)], None)
    assert len(await log.stream(STREAM)) == 1


@pytest.mark.sole
async def test_a_lost_answer_hides_nothing_from_readers(kind: Any, log: Any) -> None:
    """What was appended is read although its sender was told otherwise."""
    async with log.consume("r", t.COMMANDS) as consumer:
        kind.lose_next_answer(log)
        with pytest.raises(Transient):
            await log.append([command("c1")])
        await log.append([command("c2")])
        found: list[str] = []
        async with asyncio.timeout(SOON_S):
            while len(found) < 2:
                found.extend(ids(await consumer.read(10)))
    assert found == ["c1", "c2"]


@pytest.mark.sole
async def test_a_cancelled_commit_hides_nothing_from_readers(log: Any) -> None:
    """Who waits no longer for a commit doesn't keep its records from others."""
    async with owning(log) as partition:
        task = asyncio.create_task(partition.commit([fact(1), command("c1")], None))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await log.append([command("c2")])
        found = ids(await everything(log))
    stored = [i.envelope.id for i in await log.stream(STREAM)]
    assert found == [*stored, *(["c1"] if stored else []), "c2"]


async def test_streams_are_read_by_sequence(log: Any) -> None:
    """A stream's facts come by sequence, within bounds; outcomes are no part of it."""
    other = "execution/p/d/two"
    await log.append([fact(1), fact(1, other), fact(2), outcome("o1"), fact(3)])
    assert [r.envelope.sequence for r in await log.stream(STREAM)] == [1, 2, 3]
    assert [r.envelope.sequence for r in await log.stream(STREAM, after=1)] == [2, 3]
    assert [r.envelope.sequence for r in await log.stream(STREAM, limit=1)] == [1]
    assert plain(await log.stream(other)) == [fact(1, other)]
    last = await log.last(STREAM)
    assert last is not None
    assert plain([last]) == [fact(3)]
    assert await log.last("execution/p/d/none") is None
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
        await partition.commit([fact(1)], first.position)
    await log.close()
    again = await kind.open()
    assert ids(await everything(again, (t.COMMANDS,))) == ["c1", "c2"]
    assert ids(await everything(again, (t.EVENTS,))) == [f"{STREAM}/1"]
    async with owning(again) as partition:
        (second,) = await partition.read(10)
        assert second.envelope.id == "c2"
        await partition.commit([fact(2)], second.position)
    assert len(await again.stream(STREAM)) == 2


@pytest.mark.sole
async def test_a_repeated_message_is_dropped_after_a_restart(
    kind: Any, log: Any
) -> None:
    """Ids are known as long as their messages are kept."""
    await log.append([command("c1"), command("c2")])
    await log.close()
    again = await kind.open()
    await again.append([command("c1")])
    assert len(await everything(again, (t.COMMANDS,))) == 2


async def test_news_wakes_a_reader(kind: Any) -> None:
    """A reader that waits gets news at once, not at its next poll."""
    log = await kind.open(poll_s=60)
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
    log = await kind.open(recent_max=10)
    await log.append([dispatch("first")])
    async with log.consume("r", t.DISPATCHES) as consumer:
        found = ids(await consumer.read(1))
        for number in range(30):
            await log.append([dispatch(f"d{number}"), fact(number + 1)])
            if number % 10 == 0:
                found.extend(ids(await consumer.read(3)))
        while batch := await consumer.read(4):
            found.extend(ids(batch))
        await log.append([dispatch("last")])
        found.extend(ids(await consumer.read(4)))
    assert found == ["first", *(f"d{n}" for n in range(30)), "last"]


@pytest.mark.sole
async def test_handled_messages_are_trimmed(log: Any) -> None:
    """Messages up to a position go, facts and the newest stay; ids are free again."""
    await log.append([command("c1"), fact(1), command("c2"), dispatch("d1")])
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


async def test_a_large_commit(log: Any) -> None:
    """One commit may hold more than one statement takes."""
    records = [fact(n, body=b"x" * 100) for n in range(1, 5001)]
    async with owning(log) as partition:
        await partition.commit(records, None)
    assert len(await log.stream(STREAM)) == 5000
    found = [r for b in [await everything(log, (t.EVENTS,))] for r in b]
    assert [r.envelope.sequence for r in found] == list(range(1, 5001))


@pytest.mark.sole
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
                assert isinstance(error, Transient)
    assert ids(await everything(log)) == ["c1", "c2"]


async def test_a_closed_log_refuses(log: Any) -> None:
    """Nobody waits for ever on a log that is closed."""
    await log.close()
    with pytest.raises(Permanent):
        await log.append([command("c1")])
