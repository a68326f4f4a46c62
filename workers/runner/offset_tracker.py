"""Positions of records that were read: how far all of them have been handled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from infra.eventlog.contract import Positions, Received

Location = tuple[int, int]
"""The partition of a record on its topic, and its position there."""


def location_of(received: Received) -> Location:
    """Return where a record is on its topic."""
    return received.partition, received.position


@dataclass(slots=True)
class _Partition:
    last: int = 0
    in_flight: dict[int, int] = field(default_factory=dict)

    @property
    def committable(self) -> int:
        first = next(iter(self.in_flight), None)
        return self.last if first is None else first - 1


@dataclass(slots=True)
class OffsetTracker:
    """Records are read in the order of their partition, and handled in any order.

    `size` has the bytes of those in flight.
    """

    size: int = 0
    _partitions: dict[int, _Partition] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many records are in flight: read, and not handled."""
        return sum(len(p.in_flight) for p in self._partitions.values())

    def track(self, location: Location, size: int = 0) -> bool:
        """Note that a record was read; False if it had been read before."""
        number, position = location
        partition = self._partitions.setdefault(number, _Partition())
        if position <= partition.last:
            return False
        partition.in_flight[position] = size
        self.size += size
        partition.last = position
        return True

    def mark_handled(self, locations: Iterable[Location]) -> None:
        """Note that records need not be read again; repeating it changes nothing."""
        for number, position in locations:
            partition = self._partitions.get(number)
            if partition is not None:
                self.size -= partition.in_flight.pop(position, 0)

    @property
    def committable(self) -> Positions:
        """Return the position of each partition up to which all records are handled."""
        return {n: p.committable for n, p in self._partitions.items()}
