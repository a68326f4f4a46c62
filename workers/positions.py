"""Positions of what was taken off a log: the one up to which all is settled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Positions:
    """Taken in order, settled in any order."""

    taken: int
    _open: dict[int, None] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many are taken and not settled."""
        return len(self._open)

    def take(self, position: int) -> None:
        """Note a position as read; each is larger than the one before."""
        self._open[position] = None
        self.taken = position

    def settle(self, positions: Iterable[int]) -> None:
        """Note that these need not be read again; repeating it changes nothing."""
        for position in positions:
            self._open.pop(position, None)

    @property
    def settled(self) -> int:
        """Return the position up to which nothing needs to be read again."""
        first = next(iter(self._open), None)
        return self.taken if first is None else first - 1
