"""Positions of what was taken off a log: those up to which all is settled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from infra.eventlog.contract import Received

Place = tuple[int, int]
"""A partition, and a position on it."""


def place_of(received: Received) -> Place:
    """Return where a message lies on its topic."""
    return received.partition, received.position


@dataclass(slots=True)
class _Partition:
    taken: int = 0
    open: dict[int, None] = field(default_factory=dict)

    @property
    def settled(self) -> int:
        first = next(iter(self.open), None)
        return self.taken if first is None else first - 1


@dataclass(slots=True)
class Positions:
    """Taken in the order of each partition, settled in any order."""

    _partitions: dict[int, _Partition] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many are taken and not settled."""
        return sum(len(p.open) for p in self._partitions.values())

    def take(self, place: Place) -> bool:
        """Note a place as read; False if it was read here before."""
        partition = self._partitions.setdefault(place[0], _Partition())
        if place[1] <= partition.taken:
            return False
        partition.open[place[1]] = None
        partition.taken = place[1]
        return True

    def settle(self, places: Iterable[Place]) -> None:
        """Note that these need not be read again; repeating it changes nothing."""
        for number, position in places:
            partition = self._partitions.get(number)
            if partition is not None:
                partition.open.pop(position, None)

    @property
    def settled(self) -> Mapping[int, int]:
        """Return the positions up to which nothing needs to be read again."""
        return {n: p.settled for n, p in self._partitions.items()}
