"""Group commit: shared transactions, errors for each caller, waiting callers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain

import pytest

from infra.errors import PermanentError, TransientError
from infra.eventlog.contract import Record
from infra.eventlog.postgres.group_commit import GroupAppend
from tests.contract.records import command


class Store:
    """What is inserted, transaction by transaction; refuses what is named bad."""

    def __init__(self) -> None:
        self.transactions: list[list[str]] = []
        self.error: Exception | None = None

    async def insert(self, records: Sequence[Record]) -> None:
        await asyncio.sleep(0)
        names = [r.envelope.id for r in records]
        if self.error is not None:
            raise self.error
        if "bad" in names:
            raise PermanentError("bad")
        self.transactions.append(names)


async def test_callers_at_once_share_a_transaction() -> None:
    """While one transaction is under way the others gather for the next."""
    store = Store()
    group = GroupAppend(store.insert, 100)
    await asyncio.gather(*(group.append([command(f"c{n}")]) for n in range(20)))
    assert list(chain.from_iterable(store.transactions)) == [f"c{n}" for n in range(20)]
    assert len(store.transactions) <= 2


async def test_a_transaction_has_a_bound_in_records_and_bytes() -> None:
    """A caller with more has one of its own."""
    store = Store()
    group = GroupAppend(store.insert, 100, records_max=3, bytes_max=1000)
    sizes = [1, 1, 1, 1, 600, 500, 5000, 1]
    await asyncio.gather(
        *(group.append([command(f"c{n}", body=b"x" * s)]) for n, s in enumerate(sizes))
    )
    together = [[int(name[1:]) for name in names] for names in store.transactions]
    assert together == [[0, 1, 2], [3, 4], [5], [6], [7]]


async def test_a_bad_record_is_its_callers_trouble() -> None:
    """The others of its transaction are inserted without it."""
    store = Store()
    group = GroupAppend(store.insert, 100)
    results = await asyncio.gather(
        *(group.append([command(name)]) for name in ("a", "bad", "b")),
        return_exceptions=True,
    )
    assert [type(r) for r in results] == [type(None), PermanentError, type(None)]
    assert list(chain.from_iterable(store.transactions)) == ["a", "b"]


@pytest.mark.parametrize("error", [TransientError("away"), RuntimeError("a defect")])
async def test_everybody_hears_of_a_failure(error: Exception) -> None:
    """No caller waits forever, whatever is raised; later appends are served."""
    store = Store()
    store.error = error
    group = GroupAppend(store.insert, 100)
    results = await asyncio.gather(
        *(group.append([command(f"c{n}")]) for n in range(3)), return_exceptions=True
    )
    assert results == [error] * 3
    store.error = None
    await group.append([command("later")])
    assert store.transactions == [["later"]]


async def test_too_many_callers_wait_their_turn() -> None:
    """A transaction never holds more callers than are let in."""
    store = Store()
    group = GroupAppend(store.insert, 2)
    await asyncio.gather(*(group.append([command(f"c{n}")]) for n in range(10)))
    assert max(map(len, store.transactions)) <= 2
    assert len(list(chain.from_iterable(store.transactions))) == 10


async def test_a_cancelled_caller_takes_nobody_along() -> None:
    """Its record may be there or not; the others' are."""
    store = Store()
    group = GroupAppend(store.insert, 100)
    first = asyncio.create_task(group.append([command("a")]))
    second = asyncio.create_task(group.append([command("b")]))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert first.cancelled()
    assert "b" in list(chain.from_iterable(store.transactions))


async def test_close_finishes_what_was_taken() -> None:
    """What waits is inserted, what comes later is refused."""
    store = Store()
    group = GroupAppend(store.insert, 100)
    waiting = asyncio.create_task(group.append([command("a")]))
    await asyncio.sleep(0)
    await group.close()
    await waiting
    with pytest.raises(PermanentError):
        await group.append([command("b")])
    assert store.transactions == [["a"]]
