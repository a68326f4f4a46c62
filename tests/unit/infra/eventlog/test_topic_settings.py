"""What of a topic's configuration would lose or refuse messages."""

from __future__ import annotations

import pytest

from infra.eventlog.kafka.topic_settings import (
    RETENTION_MS,
    configs_of,
    differences,
    mended,
)
from infra.setting_sections.storage import KafkaSettings
from schemas import topics as t

ALL = [*RETENTION_MS, t.SNAPSHOTS]
CLUSTER = KafkaSettings(replication_factor=3)


def names(topic: str, replicas: int = 3, **found: str) -> list[str]:
    """Return what differs, of a topic that is otherwise as it is created."""
    configs = {**configs_of(topic, CLUSTER), **found}
    return [d.name for d in differences(topic, configs, replicas, CLUSTER)]


@pytest.mark.parametrize("topic", ALL)
def test_topics_are_created_as_they_must_be(topic: str) -> None:
    """What is created passes; with three replicas two must be in sync."""
    assert names(topic) == []
    assert configs_of(topic, CLUSTER)["min.insync.replicas"] == "2"
    assert "min.insync.replicas" not in configs_of(topic, KafkaSettings())


@pytest.mark.parametrize("topic", ALL)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("message.timestamp.type", "CreateTime"),
        ("max.message.bytes", "1048588"),
        ("unclean.leader.election.enable", "true"),
        ("min.insync.replicas", "1"),
        ("cleanup.policy", "compact,delete"),
    ],
)
def test_what_would_lose_messages_is_found(topic: str, name: str, value: str) -> None:
    """On every topic, whatever it is for."""
    assert names(topic, **{name: value}) == [name]


@pytest.mark.parametrize("topic", RETENTION_MS)
def test_retention_is_by_time_alone_and_long_enough(topic: str) -> None:
    """Longer is fine, for ever is; a limit of bytes never is."""
    assert names(topic, **{"retention.ms": "3600000"}) == ["retention.ms"]
    assert names(topic, **{"retention.ms": "-1"}) == []
    assert names(topic, **{"retention.bytes": "1000000000"}) == ["retention.bytes"]


def test_events_stay_for_ever() -> None:
    """However long a limit is, it isn't long enough."""
    century = str(100 * 365 * 86_400_000)
    for topic in (t.EVENTS, t.REGISTRY):
        assert names(topic, **{"retention.ms": century}) == ["retention.ms"]


def test_what_older_versions_created_is_mended_but_not_refused() -> None:
    """A week of commands, dispatches and aborts; what is shorter is refused."""
    week, hour = str(7 * 86_400_000), "3600000"
    for topic in (t.COMMANDS, t.DISPATCHES, t.ABORTS):
        for value, is_tolerated in ((week, True), (hour, False)):
            (found,) = differences(topic, {"retention.ms": value}, 1, CLUSTER)
            assert (found.expected, found.is_tolerated) == ("-1", is_tolerated)
    (found,) = differences(t.EVENTS, {"retention.ms": week}, 1, CLUSTER)
    assert not found.is_tolerated


def test_more_than_needed_is_fine() -> None:
    """Larger messages, more replicas in sync; and what the broker doesn't show."""
    assert names(t.EVENTS, **{"max.message.bytes": "99999999"}) == []
    assert names(t.EVENTS, **{"min.insync.replicas": "3"}) == []
    assert names(t.EVENTS, replicas=1, **{"min.insync.replicas": "1"}) == []
    assert differences(t.EVENTS, {}, 3, CLUSTER) == []


def test_mending_keeps_what_else_was_set() -> None:
    """An operator's own choices stay, but for what must not be."""
    own = {"segment.ms": "7", "retention.ms": "1", "flush.ms": "5"}
    found = differences(t.EVENTS, {"retention.ms": "1"}, 1, CLUSTER)
    assert mended(t.EVENTS, own, found) == {**own, "retention.ms": "-1"}
    compacted = mended(t.SNAPSHOTS, {"segment.ms": "7"}, ())
    assert compacted["segment.ms"] == "7"
    assert compacted["min.cleanable.dirty.ratio"] == "0.2"
