"""Slots of a runner: a fair semaphore that serves executions round robin."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque


class Slots:
    """A bounded number of slots; free ones go to the waiting owners in turn.

    An owner with thousands of waiters doesn't keep others from the next slot.
    """

    def __init__(self, count: int) -> None:
        """Start with all slots free."""
        self._free = count
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def acquire(self, owner: str) -> None:
        """Take a slot, once it is this owner's turn."""
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Give a slot back: it goes to the next waiter, if there is one."""
        while self._waiting:
            owner, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[owner] = turns
            if not turn.done():
                turn.set_result(None)
                return
            if turns:
                self._waiting.move_to_end(owner, last=False)
        self._free += 1
