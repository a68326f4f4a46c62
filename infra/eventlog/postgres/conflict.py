"""What a conflict of an insert means; pure.

A row that is there already was written by this very insert, whose reply was lost, by an
earlier one of the same message, or by another engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple, TypeAlias

from eventsourcing.persistence import StoredEvent

RowKey: TypeAlias = tuple[str, int]
"""The primary key of a row: originator and version; only events have one above 0."""


class Conflict(Enum):
    """What a conflict means for the insert."""

    DONE = "done"
    """Everything is on the log: nothing is left to do."""
    REPEATED = "repeated"
    """Some messages are known; the others can be inserted."""
    FENCED = "fenced"
    """Another engine wrote here."""
    REFUSED = "refused"
    """Nothing is known: the rows can't be stored."""


class Classified(NamedTuple):
    """A conflict's meaning, and the places of the rows that are left to insert.

    `foreign` is the place of the row that another engine wrote first, or 0.
    """

    conflict: Conflict
    left: Sequence[int] = ()
    foreign: int = 0


def row_key(row: StoredEvent) -> RowKey:
    """Return the primary key of a row."""
    return str(row.originator_id), row.originator_version


def classify(
    rows: Sequence[StoredEvent],
    known: Mapping[RowKey, bytes],
    *,
    tracks: bool,
    is_passed: bool,
) -> Classified:
    """Return what it means that an insert of rows conflicted.

    `known` are the rows on the log with keys of these, with their states. `tracks` says
    whether the insert moves a position, `is_passed` whether that is stored already.
    """
    left: dict[RowKey, int] = {}
    repeats_event = False
    for place, row in enumerate(rows):
        key = row_key(row)
        if key not in known and key not in left:
            left[key] = place
        elif row.originator_version > 0:
            first = left.get(key)
            state = known.get(key) if first is None else rows[first].state
            if state != row.state:
                return Classified(Conflict.FENCED, foreign=place)
            repeats_event = repeats_event or first is None
    if not left and (is_passed or not tracks):
        return Classified(Conflict.DONE)
    if repeats_event or is_passed:
        return Classified(Conflict.FENCED)
    if len(left) == len(rows):
        return Classified(Conflict.REFUSED)
    return Classified(Conflict.REPEATED, tuple(left.values()))
