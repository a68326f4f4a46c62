"""Compacted topics on each kind of log: the newest record of each key is kept."""

from __future__ import annotations

import asyncio

import pytest

from infra.eventlog.contract import Log, OwnedPartition, Received, Record
from schemas import topics as t
from schemas.envelope import Envelope
from tests.contract.records import STREAM, command, event_record, ids

pytestmark = pytest.mark.timeout(120)


def _kept(key: str, body: bytes, name: str = "") -> Record:
    envelope = Envelope(id=name or key, type="flightlog.v1.Kept", stream=STREAM)
    return Record(topic=t.SNAPSHOTS, key=key, envelope=envelope, body=body, partition=0)


async def _newest(log: Log) -> dict[str, Received]:
    newest: dict[str, Received] = {}
    async for batch in log.read_compacted(t.SNAPSHOTS, 0):
        for received in batch:
            newest.pop(received.key, None)
            if received.body:
                newest[received.key] = received
    return newest


async def test_the_newest_of_each_key_is_read(log: Log) -> None:
    """Later records replace earlier ones, an empty one deletes its key."""
    await log.append([_kept("a", b"1"), _kept("b", b"2"), _kept("c", b"3")])
    await log.append([_kept("a", b"4", "other"), _kept("a", b"5"), _kept("b", b"")])
    found = await _newest(log)

    assert {key: r.body for key, r in found.items()} == {"a": b"5", "c": b"3"}
    assert {r.topic for r in found.values()} == {t.SNAPSHOTS}
    assert found["c"].envelope == _kept("c", b"").envelope


async def test_an_empty_topic_ends_at_once(log: Log) -> None:
    """Nothing is read where nothing was written; events aren't among it."""
    await log.append([event_record(1)])
    assert await _newest(log) == {}


async def test_it_is_kept_with_the_rest_of_a_transaction(log: Log) -> None:
    """Events, position and compacted records of an owner are there together."""
    await log.append([command("c1")])
    ends: list[int] = []
    stop = asyncio.Event()

    async def serve(partition: OwnedPartition, _: asyncio.Event) -> None:
        while not (taken := await partition.read(10)):
            pass
        ends.append(await partition.end_position(t.EVENTS))
        records = [event_record(1), _kept("a", b"1"), event_record(2)]
        await partition.commit(records, taken[-1].position)
        await partition.commit([_kept("b", b"2")], None)
        ends.append(await partition.end_position(t.EVENTS))
        stop.set()

    await log.own("g", t.COMMANDS, serve, stop)
    tail = [
        r async for batch in log.read_to_end(t.EVENTS, {0: ends[0]}, 10) for r in batch
    ]
    after = [r async for b in log.read_to_end(t.EVENTS, {0: ends[1]}, 10) for r in b]

    assert sorted(await _newest(log)) == ["a", "b"]
    assert ids(tail) == [f"{STREAM}/1", f"{STREAM}/2"]
    assert after == []


async def test_many_keys_are_read_page_by_page(log: Log) -> None:
    """More than one page is read completely."""
    for start in range(0, 2500, 500):
        await log.append(
            [_kept(f"k{number}", b"x") for number in range(start, start + 500)]
        )
    assert len(await _newest(log)) == 2500
