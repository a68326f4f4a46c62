"""What is kept in memory of the log: never a gap, never too much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from infra.eventlog.contract import Received
from infra.eventlog.postgres.recent_cache import RecentRecords
from schemas.envelope import Envelope


def record(position: int, topic: str = "a", body: bytes = b"") -> Received:
    """A message at a position."""
    return Received(
        topic=topic,
        key="k",
        envelope=Envelope(id=str(position), type="x", stream="s"),
        body=body,
        partition=0,
        position=position,
    )


def test_what_is_older_must_be_asked_for() -> None:
    """Below the known start there is no result; above it the result is complete."""
    recent = RecentRecords(10, records_max=5, bytes_max=10**6)
    recent.push([record(11), record(12, "b")])
    assert recent.read(["a"], 9, 5) is None
    assert recent.read(["a"], 10, 5) == [record(11)]
    assert recent.read(["a", "b"], 10, 5) == [record(11), record(12, "b")]
    assert recent.read(["c"], 10, 5) == []
    assert recent.end == 12


def test_a_topic_is_bounded_by_bytes() -> None:
    """Large records push out older ones."""
    recent = RecentRecords(0, records_max=1000, bytes_max=100_000)
    for position in range(1, 100):
        recent.push([record(position, body=b"x" * 10_000)])
    assert recent.read(["a"], 50, 100) is None
    kept = recent.read(["a"], 97, 100)
    assert kept is not None
    assert [r.position for r in kept] == [98, 99]


@given(
    pushed=st.lists(st.sampled_from("abc"), max_size=60),
    asked=st.sets(st.sampled_from("abc"), min_size=1),
    after=st.integers(0, 60),
    limit=st.integers(1, 70),
    kept=st.integers(1, 20),
)
def test_an_answer_never_has_a_gap(
    pushed: list[str], asked: set[str], after: int, limit: int, kept: int
) -> None:
    """Whatever is answered is exactly what a query would have found."""
    recent = RecentRecords(0, records_max=kept, bytes_max=10**9)
    everything = [record(n, topic) for n, topic in enumerate(pushed, 1)]
    for one in everything:
        recent.push([one])
    found = recent.read(sorted(asked), after, limit)
    newer = [r for r in everything if r.topic in asked and r.position > after]
    assert found is None or list(found) == newer[:limit]
