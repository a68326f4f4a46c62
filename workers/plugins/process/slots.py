"""Slots of a runner: who waits for one gets it in turn, execution by execution."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque


class Slots:
    """So many at once; free ones go round the owners that wait, one to each in turn.

    An owner of thousands that wait doesn't keep others from the next slot.
    """

    def __init__(self, count: int) -> None:
        """Begin with all of them free."""
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
        """Give a slot back: to whoever's turn it is."""
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
