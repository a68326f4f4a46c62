"""Planning a redrive: what goes back in a round, by what was read; pure."""

from __future__ import annotations

from msgspec.structs import replace

from schemas import topics
from schemas.messages import commands as c
from schemas.messages.dead_letters import DeadLetter
from schemas.wire import codec
from workers.operations.redrive import (
    Redriven,
    RedrivePlan,
    RedriveRequest,
    StoredDeadLetter,
    plan_redrive,
)

ONE, TWO = "execution/p/d/one", "execution/p/d/two"
STOP = codec.encode(c.TerminateExecution(cause="enough"))
BEAT = codec.encode(c.Heartbeat(runner="r", incarnation="i", occurred_at_us=1))


def stored(
    position: int, stream: str = ONE, body: bytes = STOP, topic: str = topics.COMMANDS
) -> StoredDeadLetter:
    """Return the dead letter of the message at a position."""
    dead_letter = DeadLetter(
        topic=topic,
        partition=0,
        position=position,
        key=stream,
        error="it broke",
        id=f"c{position}",
        type="?",
        stream=stream,
        correlation="",
        causation="",
        actor="",
        sent_at_us=0,
        traceparent="",
        occurred_at_us=1,
        body=body,
    )
    return StoredDeadLetter(id=f"{topic}/0/{position}", letter=dead_letter)


def plan(
    *found: StoredDeadLetter,
    streams: tuple[str, ...] = (),
    ids: tuple[str, ...] = (),
    done: Redriven | None = None,
) -> RedrivePlan:
    """Return the plan of a round."""
    request = RedriveRequest(frozenset(streams), frozenset(ids))
    return plan_redrive(found, request, done or Redriven(), codec.ENGINE)


def test_a_command_stands_for_all_of_its_stream() -> None:
    """Its stream's others go too, in their order, and its stream is resumed."""
    first, other, last = stored(1), stored(2, TWO), stored(3)
    found = plan(first, other, last, ids=(last.id,))

    assert found.redrive == [first, last]
    assert found.resume == {ONE: last.id}
    assert found.following.streams == {ONE}


def test_a_dispatch_stands_for_itself() -> None:
    """Named by its id it goes alone: its stream isn't parked because of it."""
    dispatch, command = stored(1, topic=topics.DISPATCHES), stored(2)
    found = plan(dispatch, command, ids=(dispatch.id,))

    assert found.redrive == [dispatch]
    assert not found.resume


def test_what_was_redriven_is_left_alone() -> None:
    """A dead letter goes back once."""
    assert not plan(replace(stored(1), redriven=True), streams=(ONE,)).redrive


def test_what_cannot_be_read_goes_back_by_its_id_alone() -> None:
    """Garbage would be dead-lettered again, unless somebody knows better."""
    garbage = stored(1, body=b"garbage")

    assert plan(garbage, streams=(ONE,)).left == [garbage.id]
    assert plan(garbage, ids=(garbage.id,)).redrive == [garbage]
    assert not plan(garbage, ids=(garbage.id,)).resume
    later = plan(garbage, streams=(ONE,), done=Redriven(left=[garbage.id]))
    assert (later.redrive, later.left) == ([], [])


def test_a_heartbeat_resumes_nothing() -> None:
    """It belongs to a runner, not to a stream that could be parked."""
    found = plan(stored(1, body=BEAT), streams=(ONE,))

    assert len(found.redrive) == 1
    assert not found.resume


def test_a_stream_that_failed_again_is_left_to_its_user() -> None:
    """A redriven command that is a dead letter once more ends the rounds for it."""
    first = stored(1)
    back = stored(7)
    back = replace(back, letter=replace(back.letter, id=f"{first.id}/redriven"))
    other = stored(8, TWO)
    done = Redriven(redriven=[first.id])
    found = plan(back, other, streams=(ONE, TWO), done=done)

    assert found.parked_again == [ONE]
    assert found.redrive == [other]
    assert found.following.streams == {TWO}
