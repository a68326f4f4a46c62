"""What a conflict of an insert means, for each way in which rows can be known."""

from __future__ import annotations

import pytest
from eventsourcing.persistence import StoredEvent

from infra.eventlog.postgres.conflict import Classified, Conflict, classify, row_key

STREAM = "execution/p/d/one"


def event(sequence: int, state: bytes = b"ours") -> StoredEvent:
    """The row of an event."""
    return StoredEvent(STREAM, sequence, "flightlog.events", state)


def message(name: str, state: bytes = b"ours") -> StoredEvent:
    """The row of another message."""
    return StoredEvent(f"flightlog.commands:{name}", 0, "flightlog.commands", state)


def of(
    *rows: StoredEvent,
    known: tuple[StoredEvent, ...] = (),
    tracks: bool = True,
    is_passed: bool = False,
) -> Classified:
    """Classify a conflict of rows with known ones."""
    return classify(
        rows,
        {row_key(row): row.state for row in known},
        tracks=tracks,
        is_passed=is_passed,
    )


@pytest.mark.parametrize("tracks", [True, False])
def test_a_lost_reply(tracks: bool) -> None:
    """All of it is known, and its position passed: it was done."""
    rows = (event(1), message("c1"))
    found = of(*rows, known=rows, tracks=tracks, is_passed=tracks)
    assert found.conflict is Conflict.DONE


def test_known_events_with_an_unpassed_position_are_anothers() -> None:
    """Events and position share a transaction: only another can have split them."""
    rows = (event(1), message("c1"))
    assert of(*rows, known=rows).conflict is Conflict.FENCED


def test_another_event_with_this_sequence() -> None:
    """The row that another engine wrote first is named."""
    found = of(message("c1"), event(1), event(2), known=(event(2, b"theirs"),))
    assert found == Classified(Conflict.FENCED, foreign=2)


def test_events_that_are_known_in_part() -> None:
    """Events are inserted together: another engine wrote the first."""
    assert of(event(1), event(2), known=(event(1),)).conflict is Conflict.FENCED


def test_new_rows_behind_a_passed_position() -> None:
    """Its commands were handled by another."""
    assert of(event(2), is_passed=True).conflict is Conflict.FENCED


@pytest.mark.parametrize("state", [b"ours", b"theirs"])
def test_known_messages_are_left_out(state: bytes) -> None:
    """Their id decides, whatever their bytes; one repeated in an insert counts once."""
    rows = (message("c1"), message("c2"), event(1), message("c2"))
    found = of(*rows, known=(message("c1", state),))
    assert found == Classified(Conflict.REPEATED, (1, 2))


def test_known_messages_alone_still_move_the_position() -> None:
    """Nothing is left to insert but the position."""
    found = of(message("c1"), known=(message("c1"),))
    assert found == Classified(Conflict.REPEATED, ())


def test_an_event_twice_in_one_insert() -> None:
    """The same bytes count once; different ones can't both be this sequence."""
    assert of(event(1), event(1)) == Classified(Conflict.REPEATED, (0,))
    assert of(event(1), event(1, b"other")).conflict is Conflict.FENCED


def test_rows_of_which_none_is_known() -> None:
    """The conflict has another reason: they can't be stored."""
    assert of(event(1), message("c1")).conflict is Conflict.REFUSED
