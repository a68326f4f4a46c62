"""Questions that many ask at a time are put once for all of them."""

from __future__ import annotations

import asyncio

import pytest

from infra.coalesce import CoalescedCall
from infra.errors import TransientError


class Slow:
    """A function whose results the test gives: the number of the call."""

    def __init__(self) -> None:
        """Wait for `go`."""
        self.put = 0
        self.go = asyncio.Event()

    async def ask(self) -> int:
        """Answer with the number of the round."""
        self.put += 1
        number = self.put
        await self.go.wait()
        return number


async def _some_turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_comes_later_shares_the_next_round() -> None:
    """No answer was begun before its asker came; there are two rounds for all."""
    slow = Slow()
    rounds = CoalescedCall(slow.ask)
    first = asyncio.create_task(rounds.result())
    await _some_turns()
    later = [asyncio.create_task(rounds.result()) for _ in range(50)]
    await _some_turns()
    assert slow.put == 1
    slow.go.set()

    assert await first == 1
    assert await asyncio.gather(*later) == [2] * 50
    assert await rounds.result() == 3


async def test_one_who_gives_up_leaves_the_round_to_others() -> None:
    """One of those who share a call can be cancelled alone."""
    slow = Slow()
    rounds = CoalescedCall(slow.ask)
    one, other = (asyncio.create_task(rounds.result()) for _ in range(2))
    await _some_turns()
    one.cancel()
    slow.go.set()

    assert await other == 1
    assert one.cancelled()


async def test_a_round_that_fails_is_over() -> None:
    """All who share it get the error; the next one calls again."""
    answers = iter([TransientError("away"), 7])

    async def ask() -> int:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    rounds = CoalescedCall(ask)
    for result in await asyncio.gather(
        rounds.result(), rounds.result(), return_exceptions=True
    ):
        assert isinstance(result, TransientError)
    assert await rounds.result() == 7


async def test_nothing_is_asked_without_an_asker() -> None:
    """Rounds that nobody waits for don't go on."""
    slow = Slow()
    slow.go.set()
    rounds = CoalescedCall(slow.ask)
    await rounds.result()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    assert slow.put == 1
