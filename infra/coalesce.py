"""One question for many who ask at a time: put anew for those who come later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class CoalescedCall(Generic[T]):
    """Puts a question whose answer may only be older than nobody's asking.

    Who comes while it is being answered shares the next round with all others.
    """

    def __init__(self, question: Callable[[], Awaitable[T]]) -> None:
        """Put nothing yet."""
        self._question = question
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[T] | None = None

    async def result(self) -> T:
        """Return the answer to a question put after this call; raises what it did."""
        if self._next is None:
            self._next = asyncio.create_task(self._round())
        return await asyncio.shield(self._next)

    async def _round(self) -> T:
        async with self._turn:
            self._next = None
            return await self._question()
