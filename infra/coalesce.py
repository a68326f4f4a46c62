"""Calls that are coalesced: concurrent callers share one call's result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class CoalescedCall(Generic[T]):
    """Calls a function whose result must not be older than the caller's request.

    Callers that arrive while a call is running share the next one.
    """

    def __init__(self, function: Callable[[], Awaitable[T]]) -> None:
        """Prepare; nothing is called yet."""
        self._function = function
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[T] | None = None

    async def result(self) -> T:
        """Return the result of a call that began after this one; raises its error."""
        if self._next is None:
            self._next = asyncio.create_task(self._call())
        return await asyncio.shield(self._next)

    async def _call(self) -> T:
        async with self._turn:
            self._next = None
            return await self._function()
