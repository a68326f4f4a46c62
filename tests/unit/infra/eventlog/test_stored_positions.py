"""From where a group reads on, and where it must not."""

from __future__ import annotations

import pytest
from aiokafka import TopicPartition

from infra.errors import PositionLostError
from infra.eventlog.kafka.stored_positions import (
    Extent,
    StoppedPartitions,
    start_position,
)

AT = TopicPartition("flightlog.commands", 3)


@pytest.mark.parametrize("stored", [10, 15, 20])
def test_what_is_there_is_read_on(stored: int) -> None:
    """From the first message that is left to the end."""
    assert start_position(AT, stored, Extent(10, 20)) == stored


@pytest.mark.parametrize(
    ("stored", "extent", "why"),
    [
        (9, Extent(10, 20), "deleted up to 10"),
        (0, Extent(1, 1), "deleted up to 1"),
        (21, Extent(10, 20), "ends at 20"),
        (None, Extent(10, 20), "the broker has none"),
        (None, Extent(0, 20), "the broker has none"),
    ],
)
def test_what_is_lost_stops(stored: int | None, extent: Extent, why: str) -> None:
    """The text says what is missing, and where."""
    with pytest.raises(PositionLostError, match=why) as lost:
        start_position(AT, stored, extent)
    assert "flightlog.commands/3" in str(lost.value)


def test_a_new_group_begins_at_the_beginning() -> None:
    """On a partition from which nobody can have read long ago."""
    assert start_position(AT, None, Extent(0, 20, is_new=True)) == 0


def test_partitions_stop_and_resume() -> None:
    """They are counted once; those of other processes aren't counted."""
    stopped, why = StoppedPartitions(), PositionLostError("gone")
    for number in (1, 1, 2):
        stopped.stop("t", number, why)
    stopped.stop("u", 1, why)
    assert len(stopped.found) == 3
    stopped.resume("t", 1)
    assert len(stopped.found) == 2
    stopped.forget("t")
    assert list(stopped.found) == [("u", 1)]
