"""Which dispatches a runner starts, and which tasks it cancels."""

from __future__ import annotations

import asyncio

from workers.runner.attempts import AttemptTracker


def test_a_dispatch_is_accepted_once() -> None:
    """The same number again is stale, so is a lower one; a higher one is not."""
    attempts = AttemptTracker()
    assert attempts.accept("a", 1)

    assert [attempts.accept("a", number) for number in (1, 0, 2)] == [
        False,
        False,
        True,
    ]
    assert attempts.accept("b", 0)


def test_reported_dispatches_are_stale() -> None:
    """Only the dispatch that was reported on: its attempt may be dispatched again."""
    attempts = AttemptTracker()
    attempts.mark_reported("a", 0)

    assert not attempts.accept("a", 0)
    assert not attempts.accept("a", 0)
    assert attempts.accept("a", 1)


def test_a_report_is_kept_until_its_dispatch_was_read() -> None:
    """What is remembered is bounded by what is still to be read."""
    attempts = AttemptTracker()
    attempts.mark_reported("a", 1)
    attempts.mark_reported("a", 0)
    attempts.mark_reported("b", 0)
    assert not attempts.accept("a", 0)
    assert set(attempts.reported) == {"a", "b"}
    assert not attempts.accept("a", 1)
    assert attempts.accept("b", 1)

    assert not attempts.reported


def test_dispatches_of_aborted_attempts_are_stale() -> None:
    """Whatever their number is."""
    attempts = AttemptTracker()
    attempts.mark_aborted("a")

    assert attempts.is_aborted("a")
    assert not attempts.accept("a", 7)


async def test_a_task_is_running_until_it_is_done() -> None:
    """A task that was replaced doesn't take its successor along."""
    attempts = AttemptTracker()
    older, newer = (asyncio.create_task(asyncio.sleep(60)) for _ in range(2))
    attempts.add_running("a", older)
    attempts.cancel("a")
    attempts.add_running("a", newer)
    await asyncio.wait([older])

    assert list(attempts.running) == ["a"]
    assert attempts.tasks == [newer]
    attempts.cancel("a")
    await asyncio.wait([newer])
    assert not attempts.running
