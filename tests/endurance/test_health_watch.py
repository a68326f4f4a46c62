"""The watch itself: what it takes as an answer in time."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.endurance.health_watch import HealthWatch, Sample


def _watch(at_s: Iterable[float], *, status: int = 200) -> HealthWatch:
    samples = [Sample(s, status, "Waiting for the disk: full", s + 0.1) for s in at_s]
    return HealthWatch(port=0, samples=samples)


def test_answers_in_time_are_right() -> None:
    """Some slow ones among them."""
    _watch([0.0, 2.5, 4.4, 6.2, 7.9]).expect_ready(0.0, 8.0)


@pytest.mark.parametrize(
    "at_s", [[0.0, 2.5, 5.0, 7.0], [4.5, 6.0, 7.5], [2.5, 4.0, 5.0], [1.0, 1.5]]
)
def test_silence_is_no_right_answer(at_s: list[float]) -> None:
    """In between, at the beginning, at the end, throughout."""
    for expect in (
        lambda: _watch(at_s).expect_ready(0.0, 8.0),
        lambda: _watch(at_s, status=503).expect_away(0.0, 8.0, "disk"),
    ):
        with pytest.raises(AssertionError, match="answer"):
            expect()


def test_a_request_without_an_answer_breaks_no_silence() -> None:
    """Whatever was asked meanwhile."""
    watch = _watch([0.0, 2.5, 5.0, 6.5])
    watch.samples.append(Sample(4.0, 0, "timed out", 4.1))
    with pytest.raises(AssertionError, match="no answer for"):
        watch.expect_ready(0.0, 8.0)
